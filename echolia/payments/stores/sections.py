"""The stores as the operator's file names them; files that it names lie beside it.

[apple]                                   [google]
bundle_id = "com.example.journal"         package_name = "com.example.journal"
app_apple_id = 1234567890                 key_file = "service-account.json"
environments = ["production"]             push_subscription = "projects/example/subscriptions/play"
issuer_id = "57246542-…"                  push_audience = "https://echolia.example/payments/webhook/google"
key_id = "2X9R4HXF34"                     push_email = "push@example.iam.gserviceaccount.com"
key_file = "SubscriptionKey.p8"
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from echolia.core.errors import EcholiaError
from echolia.core.purchases import Environment
from echolia.payments.stores.access import APPLE_URLS, GOOGLE_CERTS_URL, GOOGLE_URL, AppleAccess, GoogleAccess
from echolia.payments.stores.apple_root import APPLE_ROOT_CA_G3

Name = Annotated[str, Field(min_length=1, max_length=512)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$")]
_LARGEST_FILE: Final = 64 * 1024


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AppleSection(_Section):
    """An app in the App Store. `root_files` and `urls` are for a store of one's own, in tests."""

    bundle_id: Name
    app_apple_id: int = Field(ge=1)
    environments: Annotated[tuple[Environment, ...], Field(min_length=1, max_length=2)] = ("production",)
    issuer_id: Name = Field(repr=False)
    key_id: Name = Field(repr=False)
    key_file: Path = Field(repr=False)
    root_files: tuple[Path, ...] = ()
    urls: dict[Environment, Url] = {}

    def access(self, folder: Path) -> AppleAccess:
        """With what its files hold. Raises: `settings_invalid`."""
        roots = tuple(_content(folder / path) for path in self.root_files)
        return AppleAccess(
            self.bundle_id,
            self.app_apple_id,
            self.issuer_id,
            self.key_id,
            _text(folder / self.key_file),
            self.environments,
            roots or (APPLE_ROOT_CA_G3,),
            {**APPLE_URLS, **self.urls},
        )


class GoogleSection(_Section):
    """An app in Google Play. `url` and `certs_url` are for a store of one's own, in tests."""

    package_name: Name
    key_file: Path = Field(repr=False)
    push_subscription: Annotated[str, Field(pattern=r"^projects/[^\s/]+/subscriptions/[^\s/]+$")]
    push_audience: Name
    push_email: Name
    url: Url = GOOGLE_URL
    certs_url: Url = GOOGLE_CERTS_URL

    def access(self, folder: Path) -> GoogleAccess:
        """With what its file holds. Raises: `settings_invalid`."""
        return GoogleAccess(
            self.package_name,
            _text(folder / self.key_file),
            self.push_subscription,
            self.push_audience,
            self.push_email,
            self.url,
            self.certs_url,
        )


class _File(_Section):
    apple: AppleSection | None = None
    google: GoogleSection | None = None


def accesses_in(path: Path) -> Sequence[AppleAccess | GoogleAccess]:
    """The stores of a file. Raises: `settings_invalid`, which names places and nothing that is there."""
    try:
        file = _File.model_validate(tomllib.loads(_text(path)))
    except tomllib.TOMLDecodeError:
        wrong = "it is no TOML"
    except ValidationError as error:
        found = error.errors(include_input=False, include_context=False, include_url=False)
        wrong = ", ".join(sorted({".".join(map(str, one["loc"])) for one in found}))
    else:
        return [section.access(path.parent) for section in (file.apple, file.google) if section is not None]
    raise EcholiaError("settings_invalid", f"ECHOLIA_STORES: {wrong}")


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(_LARGEST_FILE + 1)
    except OSError:
        found = b""
    if not 0 < len(found) <= _LARGEST_FILE:
        raise EcholiaError("settings_invalid", f"{path.name} of a store cannot be read")
    return found


def _text(path: Path) -> str:
    try:
        return _content(path).decode()
    except UnicodeDecodeError:
        pass
    raise EcholiaError("settings_invalid", f"{path.name} of a store is no text")
