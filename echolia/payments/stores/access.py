"""What whoever runs the server has of each store: whose app it is, and what it asks the store by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, get_args

from echolia.core.errors import EcholiaError
from echolia.core.purchases import Environment
from echolia.payments.stores.apple_root import APPLE_ROOT_CA_G3

APPLE_URLS: Final[Mapping[Environment, str]] = MappingProxyType(
    {
        "production": "https://api.storekit.apple.com",
        "sandbox": "https://api.storekit-sandbox.apple.com",
    }
)
GOOGLE_URL: Final = "https://androidpublisher.googleapis.com"
GOOGLE_CERTS_URL: Final = "https://www.googleapis.com/oauth2/v3/certs"


@dataclass(frozen=True, slots=True)
class AppleAccess:
    """One app in the App Store, and a key of its App Store Server API.

    `app_apple_id` is the app's number in the store, `private_key` the key's file as text (PEM). Only the two
    real environments can be named: in Xcode's nothing is signed. Raises: `settings_invalid`.
    """

    bundle_id: str
    app_apple_id: int
    issuer_id: str = field(repr=False)
    key_id: str = field(repr=False)
    private_key: str = field(repr=False)
    environments: tuple[Environment, ...] = ("production",)
    roots: tuple[bytes, ...] = (APPLE_ROOT_CA_G3,)
    urls: Mapping[Environment, str] = field(default_factory=lambda: APPLE_URLS)
    timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if not self.environments or not set(self.environments) <= set(get_args(Environment)):
            raise EcholiaError("settings_invalid", "Apple's environments are production and sandbox")


@dataclass(frozen=True, slots=True)
class GoogleAccess:
    """One app in Google Play, the service account that may ask about it, and the push subscription.

    `service_account` is its key file as text (JSON). A push has to come by `push_subscription`
    (`projects/…/subscriptions/…`), signed for `push_audience` as `push_email`.
    """

    package_name: str
    service_account: str = field(repr=False)
    push_subscription: str
    push_audience: str
    push_email: str
    url: str = GOOGLE_URL
    certs_url: str = GOOGLE_CERTS_URL
    timeout_s: float = 20.0
