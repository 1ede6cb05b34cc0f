"""The server's keys that requests are sealed to: a chain of secrets in memory that only goes forward.

From each link come a key and the next link, and the link is let go of: what a ring holds opens nothing
earlier. Processes that begin with the same link make the same keys, without asking each other
(`spec/sealed.md#key-document`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from echolia.sealed.documents import SealingKey
from echolia.sealed.suites import public_of

PERIOD_MS: Final = 3_600_000
EARLY_MS: Final = 300_000
LATE_MS: Final = 3_600_000
LINK_BYTES: Final = 32


class Link(NamedTuple):
    """A secret of period `number`: from which its key and all later links are made, or the key itself."""

    secret: bytes
    number: int

    def __repr__(self) -> str:
        """Nothing secret."""
        return f"Link({self.number})"


class Chain(NamedTuple):
    """All that a process needs to have the same keys as another: when period 0 began, the keys that are still
    opened for, and the link that comes next.
    """

    begun_ms: int
    kept: Sequence[Link]
    next: Link

    def dump(self) -> str:
        """For a child process, by a pipe; never for a disk."""
        links = [[link.secret.hex(), link.number] for link in (*self.kept, self.next)]
        return json.dumps([self.begun_ms, links])

    @classmethod
    def load(cls, text: str) -> Chain:
        """What `dump` gave."""
        begun_ms, links = json.loads(text)
        *kept, following = [Link(bytes.fromhex(secret), number) for secret, number in links]
        return cls(begun_ms, kept, following)


def new_chain(secret: bytes, now_ms: int) -> Chain:
    """A chain that begins now; `secret` is 32 random bytes."""
    return Chain(now_ms, (), Link(secret, 0))


class _Key(NamedTuple):
    link: Link  # whose secret is the key's own
    shown: SealingKey


class KeyRing:
    """The keys of now; `clock_ms` is the host's time. A clock set back brings no key back."""

    def __init__(self, chain: Chain, clock_ms: Callable[[], int]) -> None:
        self._begun_ms = chain.begun_ms
        self._next = chain.next
        self._clock_ms = clock_ms
        self._keys = [self._key(link) for link in chain.kept]

    def chain(self) -> Chain:
        """What another process begins with to have the same keys."""
        self._advance()
        return Chain(self._begun_ms, [key.link for key in self._keys], self._next)

    def shown(self) -> list[SealingKey]:
        """The keys to tell devices of, the one to be used first."""
        self._advance()
        now_ms = self._clock_ms()
        ahead = [key.shown for key in self._keys if key.shown.until_ms > now_ms]
        return ahead or [self._keys[-1].shown]

    def secret_of(self, key_id: int) -> bytes | None:
        """The secret of a key that requests are still opened for."""
        self._advance()
        return next((key.link.secret for key in self._keys if key.shown.id == key_id), None)

    def _advance(self) -> None:
        now_ms = self._clock_ms()
        # There is a key always, even where the clock was set back before the first was asked for.
        while not self._keys or self._starts_ms(self._next.number) - EARLY_MS <= now_ms:
            link = self._next
            self._next = Link(_derived(link.secret, b"link"), link.number + 1)
            if now_ms < self._starts_ms(link.number + 1) + LATE_MS:
                # Of a link that is kept only the key is: the next link cannot be had from it.
                kept = Link(_derived(link.secret, b"key"), link.number)
                self._keys.append(self._key(kept))
        self._keys = [key for key in self._keys if now_ms < key.shown.until_ms + LATE_MS]

    def _starts_ms(self, number: int) -> int:
        return self._begun_ms + number * PERIOD_MS

    def _key(self, link: Link) -> _Key:
        from_ms = self._starts_ms(link.number)
        shown = SealingKey(link.number % 256, public_of(link.secret), from_ms, from_ms + PERIOD_MS)
        return _Key(link, shown)


def _derived(secret: bytes, what: bytes) -> bytes:
    return blake2b(what, key=secret, digest_size=32, person=b"echolia/1/ring").digest()
