"""Requests without a token, limited by the client network that they come from, which nobody can name."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from math import ceil
from typing import Any, Final

import structlog

from echolia.storage.secret_files import KEY_BYTES
from echolia.web.context import Refusal
from echolia.web.limits import Clock, Limits
from echolia.web.shared_counts import SharedCounts, Window

DAY_S: Final = 86_400
UNKNOWN_ORIGIN: Final = "unknown"
# So long shared counts are not asked for once they did not answer.
PAUSE_S: Final = 5.0


class Networks:
    """Charges requests to client networks, in this process and, with `shared`, in all others together.

    This process's own counts come first, and go on where the shared ones are away: so those can let nobody
    through whom this process would not, and a flood that it refuses does not reach them.
    """

    def __init__(
        self,
        origins: Origins,
        limits: Limits,
        shared: SharedCounts | None = None,
        pause_s: float = PAUSE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origins = origins
        self._limits = limits
        self._shared = shared
        self._pause_s = pause_s
        self._monotonic = monotonic
        self._away = False
        self._ask_again = 0.0

    async def charge(self, name: str, scope: Mapping[str, Any]) -> None:
        """Count one request (an ASGI scope) in the limit `name`; raises `rate_limited` with the seconds until
        the window ends.
        """
        who = self._origins.pseudonym(scope)
        self._limits.charge(name, who)
        if self._shared is None or self._monotonic() < self._ask_again:
            return
        window = await self._counted(self._shared, name, who)
        if window is not None and window.used > self._limits.most(name):
            raise Refusal("rate_limited", retry_after_s=max(1, ceil(window.ends_in_s)))

    async def _counted(self, shared: SharedCounts, name: str, who: str) -> Window | None:
        if self._away:  # one request tries, and no other waits for it
            self._ask_again = self._monotonic() + self._pause_s
        window = await shared.count(name, who)
        if window is not None:
            self._away, self._ask_again = False, 0.0
            return window
        self._ask_again = self._monotonic() + self._pause_s
        if not self._away:
            self._away = True
            structlog.get_logger().warning("limits_away")
        return None

    async def close(self) -> None:
        """Let go of connections."""
        if self._shared is not None:
            await self._shared.close()


class Origins:
    """Tells client networks apart without keeping addresses: HMAC under a key of the day, which is forgotten.

    `new_key` gives the key of a day (days since 1970); the usual one is this process's own, in memory only.
    A network is an IPv4 /24 or an IPv6 /64. `X-Forwarded-For` is believed from `trusted` proxies alone.
    """

    def __init__(
        self,
        trusted: Sequence[IPv4Network | IPv6Network],
        clock: Clock,
        new_key: Callable[[int], bytes] = lambda _day: secrets.token_bytes(KEY_BYTES),
    ) -> None:
        self._trusted = tuple(trusted)
        self._clock = clock
        self._new_key = new_key
        self._day = -1
        self._key = b""
        self._is_trusted = lru_cache(4096)(self._belongs_to_a_proxy)

    def pseudonym(self, scope: Mapping[str, Any]) -> str:
        """The client network of a request (an ASGI scope), the same all day and meaningless afterwards."""
        day = int(self._clock() // DAY_S)
        if day != self._day:
            self._day, self._key = day, self._new_key(day)
        peer = scope.get("client")
        network = _network(self._client(peer[0] if peer else "", scope))
        return blake2b(network, key=self._key, digest_size=12).hexdigest()

    def _client(self, peer: str, scope: Mapping[str, Any]) -> str:
        if not self._trusted or not self._is_trusted(peer):
            return peer
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        # From the right: what stands left of the first stranger was written by that stranger.
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            address = hop.strip()
            if not _is_address(address):
                break
            peer = address
            if not self._is_trusted(address):
                break
        return peer

    def _belongs_to_a_proxy(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _network(address: str) -> bytes:
    if not _is_address(address):  # a Unix socket, or none at all
        return UNKNOWN_ORIGIN.encode()
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return b"6" + ip.packed[:8]
        ip = ip.ipv4_mapped
    return b"4" + ip.packed[:3]
