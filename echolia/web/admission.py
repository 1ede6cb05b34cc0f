"""Who asks: the access token of a request, verified once and then remembered, and whether it still counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cachetools import LRUCache

from echolia.core.errors import EcholiaError
from echolia.web.context import Caller, Devices

REMEMBERED: Final = 8192
LONGEST_TOKEN: Final = 2048


class Admission:
    """Turns an `Authorization` header into a `Caller`.

    `verify` reads a token's text; `clock` is in Unix seconds. A remembered token is still asked for its
    expiry and for its device each time: only the signature is not verified again.
    """

    def __init__(self, verify: Callable[[str], Caller], devices: Devices, clock: Callable[[], float]) -> None:
        self._verify = verify
        self._admits = devices.admits
        self._clock = clock
        self._callers: LRUCache[bytes, Caller] = LRUCache(REMEMBERED)

    def member(self, authorization: bytes | None) -> Caller:
        """The caller; raises `unauthorized`, `token_expired`, `device_revoked`, `account_unknown`."""
        if authorization is None:
            raise EcholiaError("unauthorized")
        caller = self._callers.get(authorization)
        if caller is None:
            caller = self._verify(_bearer(authorization))
            self._callers[authorization] = caller
        if caller.expires <= self._clock():
            del self._callers[authorization]
            raise EcholiaError("token_expired")
        self._admits(caller)
        return caller


def _bearer(authorization: bytes) -> str:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or len(token) > LONGEST_TOKEN or not token.isascii():
        raise EcholiaError("unauthorized")
    return token.decode("ascii").strip()
