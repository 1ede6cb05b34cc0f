"""Which adapter is made of what the operator has, and what is refused before a server starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from echolia.core.errors import EcholiaError
from echolia.payments.stores.choice import make, open_stores
from echolia.payments.stores.sections import AppleSection, GoogleSection
from echolia.settings import Settings
from tests.support.app_store import AppleWorld
from tests.support.google_play import GoogleWorld

APPLE = {
    "bundle_id": "com.example.journal", "app_apple_id": 1234567890, "issuer_id": "i", "key_id": "k",
    "key_file": "key.p8",
}  # fmt: skip
GOOGLE = {
    "package_name": "com.example.journal", "key_file": "account.json", "push_audience": "https://x",
    "push_subscription": "projects/example/subscriptions/play", "push_email": "push@example",
}  # fmt: skip


async def test_apple_as_a_file_names_it(world: AppleWorld, tmp_path: Path) -> None:
    (tmp_path / "key.p8").write_text(world.store.private_key)
    (tmp_path / "root.cer").write_bytes(world.authority.root_der)
    server = {"urls": {"production": world.store.server.url}, "root_files": ["root.cer"]}
    names = {"issuer_id": world.store.issuer_id, "key_id": world.store.key_id}
    section = AppleSection.model_validate({**APPLE, **names, **server})
    apple = make(section.access(tmp_path), world.clock)
    sold = world.store.sell("plus.monthly")
    received = await apple.verify_receipt(world.store.sign(sold.last))
    assert apple.name == "apple" and len(await apple.fetch(received.purchase)) == 2
    await apple.close()


async def test_google_as_a_file_names_it(google_side: GoogleWorld, tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text(google_side.play.service_account)
    server = {"url": google_side.play.server.url, "certs_url": google_side.play.certs_url}
    access = GoogleSection.model_validate({**GOOGLE, **server}).access(tmp_path)
    google = make(access, google_side.clock)
    google_side.play.sell("token", "plus")
    assert google.name == "google" and (await google.verify_receipt("token")).facts
    await google.close()


def test_apples_own_root_and_addresses_are_the_defaults(world: AppleWorld, tmp_path: Path) -> None:
    (tmp_path / "key.p8").write_text(world.store.private_key)
    access = AppleSection.model_validate(APPLE).access(tmp_path)
    assert access.urls["production"] == "https://api.storekit.apple.com"
    assert access.environments == ("production",) and len(access.roots) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"environments": ["xcode"]}, {"environments": ["Xcode"]},
        {"environments": ["production", "LocalTesting"]},
        {"environments": []}, {"app_apple_id": 0}, {"bundle_id": ""}, {"unknown": 1},
        {"urls": {"xcode": "http://x"}}, {"urls": {"production": "ftp://x"}},
    ],
)  # fmt: skip
def test_what_apples_section_may_not_say(changed: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AppleSection.model_validate({**APPLE, **changed})


@pytest.mark.parametrize("changed", [{"push_subscription": "play"}, {"push_email": ""}, {"url": "ftp://x"}])
def test_what_googles_section_may_not_say(changed: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GoogleSection.model_validate({**GOOGLE, **changed})


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"x" * 70_000, b"no key"])
def test_files_that_hold_no_key(world: AppleWorld, tmp_path: Path, content: bytes | None) -> None:
    for name in ("key.p8", "account.json"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(EcholiaError, match="settings_invalid") as raised:
        make(AppleSection.model_validate(APPLE).access(tmp_path), world.clock)
    assert str(tmp_path) not in str(raised.value)
    with pytest.raises(EcholiaError, match="settings_invalid"):
        make(GoogleSection.model_validate(GOOGLE).access(tmp_path), world.clock)


async def test_stores_that_the_settings_name(
    world: AppleWorld, google_side: GoogleWorld, tmp_path: Path
) -> None:
    (tmp_path / "key.p8").write_text(world.store.private_key)
    (tmp_path / "account.json").write_text(google_side.play.service_account)
    file = tmp_path / "stores.toml"
    file.write_text(
        "".join(
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
            for name, section in (("apple", APPLE), ("google", GOOGLE))
        )
    )
    stores = open_stores(Settings(stores=file, data=tmp_path), world.clock)
    assert set(stores) == {"apple", "google"}
    for store in stores.values():
        await store.close()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[apple", "it is no TOML"),
        ("[amazon]", "amazon"),
        ('[google]\npackage_name = "canary"', "google.key_file"),
        ('[apple]\nenvironments = ["Xcode"]', "apple.environments"),
    ],
)
def test_a_file_of_stores_that_is_none(world: AppleWorld, tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "stores.toml"
    file.write_text(content)
    with pytest.raises(EcholiaError, match="settings_invalid") as raised:
        open_stores(Settings(stores=file, data=tmp_path), world.clock)
    assert told in raised.value.detail and "canary" not in raised.value.detail


@pytest.mark.parametrize("roots", [(), (b"no certificate",)])
def test_a_root_that_is_no_certificate(world: AppleWorld, roots: tuple[bytes, ...]) -> None:
    with pytest.raises(EcholiaError, match="settings_invalid"):
        make(world.access(roots=roots), world.clock)


LAZY = """
import sys
from echolia.payments.stores.choice import make, open_stores
from echolia.payments.stores.sections import AppleSection
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"appstoreserverlibrary", "google", "httpx2", "OpenSSL"}))
sys.modules["appstoreserverlibrary"] = None
from pathlib import Path
from echolia.core.errors import EcholiaError
try:
    make(AppleSection.model_validate(eval(sys.argv[1])).access(Path(sys.argv[2])), lambda: 0)
except EcholiaError as error:
    print(error.code, error.detail)
"""


def test_libraries_are_loaded_when_a_store_is_made(world: AppleWorld, tmp_path: Path) -> None:
    (tmp_path / "key.p8").write_text(world.store.private_key)
    command = [sys.executable, "-c", LAZY, repr(APPLE), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ('[]\nsettings_invalid app stores need an extra: pip install "echolia[payments]"\n')
