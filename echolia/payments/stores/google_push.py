"""Who pushed: the token of a Pub/Sub push, verified in every claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jwt

from echolia.payments.stores.access import GoogleAccess
from echolia.payments.stores.unavailable import StoreUnavailable

_ISSUER: Final = "https://accounts.google.com"
_LIFESPAN_S: Final = 6 * 3600
# An unknown key is looked for at most so often, whoever makes it up.
_COOLDOWN_S: Final = 60.0
_LEEWAY_S: Final = 60
_LONGEST: Final = 8 * 1024
_REQUIRED: Final = ("aud", "email", "email_verified", "exp", "iat", "iss", "sub")


class PushTokens:
    """Verifies for one push subscription. It blocks where keys have to be fetched: for worker threads."""

    def __init__(self, access: GoogleAccess, cooldown_s: float = _COOLDOWN_S) -> None:
        self._access = access
        self._keys = jwt.PyJWKClient(
            access.certs_url,
            lifespan=_LIFESPAN_S,
            timeout=access.timeout_s,
            cooldown_duration=cooldown_s,
        )

    def admits(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether it is the one that may push. Raises: `StoreUnavailable` where keys cannot be had."""
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or len(token) > _LONGEST:
            return False
        claims = self._verified(token)
        if claims is None:
            return False
        return claims["email_verified"] is True and claims["email"] == self._access.push_email

    def _verified(self, token: bytes) -> dict[str, Any] | None:
        key = self._key(token)
        if key is None:
            return None
        try:
            return jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._access.push_audience,
                issuer=_ISSUER,
                leeway=_LEEWAY_S,
                options={"require": list(_REQUIRED), "strict_aud": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None

    def _key(self, token: bytes) -> jwt.PyJWK | None:
        """The key that the token names, if Google has such a key. Raises: `StoreUnavailable`."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        if not isinstance(key_id, str):
            return None
        try:
            return self._keys.get_signing_key(key_id)
        except (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, OSError, ValueError):
            pass  # Google does not answer, or answers something else
        except jwt.PyJWKClientError:
            return None
        raise StoreUnavailable("unreachable")
