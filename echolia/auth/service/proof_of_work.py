"""A puzzle for sign-ups when they come too fast: stateless to hand out, one hash to check, harder under more
load.
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from struct import Struct
from typing import Final

from cachetools import TLRUCache

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.web.context import Dice, Refusal

LIFETIME_MS: Final = 10 * 60_000
MOST_BITS: Final = 26
_HEAD: Final = Struct(">QB16s")
_MAC_BYTES: Final = 16
# Each entry stands for a solved puzzle, so filling this costs whoever tries.
_MOST_SPENT: Final = 200_000


class Puzzles:
    """Counts sign-ups of the last minute and asks for a proof beyond `free_per_minute`, of `least_bits` or
    more.

    The key is made at the start, so that a restart, which forgets what was spent, forgets the puzzles too.
    """

    def __init__(
        self,
        free_per_minute: int,
        least_bits: int,
        clock_ms: Callable[[], int],
        dice: Dice = secrets.token_bytes,
    ) -> None:
        self._free = free_per_minute
        self._least_bits = least_bits
        self._clock_ms = clock_ms
        self._dice = dice
        self._key = dice(32)
        self._recent: deque[int] = deque(maxlen=1_000_000)
        self._spent: TLRUCache[str, int] = TLRUCache(
            _MOST_SPENT, ttu=lambda _, expires_ms, __: expires_ms, timer=clock_ms
        )

    def charge(self, challenge: str | None, nonce: str) -> None:
        """Let one sign-up through.

        Raises: `proof_of_work_required` with `challenge` and `bits`, `proof_of_work_invalid`.
        """
        bits = self._bits()
        if bits:
            if challenge is None:
                raise Refusal(
                    "proof_of_work_required", members={"challenge": self._challenge(bits), "bits": bits}
                )
            self._spend(challenge, nonce)
        self._recent.append(self._clock_ms())

    def _bits(self) -> int:
        """How hard it is now; 0 while sign-ups are free."""
        minute_ago = self._clock_ms() - 60_000
        while self._recent and self._recent[0] <= minute_ago:
            self._recent.popleft()
        count = len(self._recent)
        if count < self._free:
            return 0
        # One bit more, twice the work, whenever the load has doubled.
        doublings = (count // max(self._free, 1)).bit_length() - 1
        return min(self._least_bits + max(doublings, 0), max(MOST_BITS, self._least_bits))

    def _challenge(self, bits: int) -> str:
        head = _HEAD.pack(self._clock_ms() + LIFETIME_MS, bits, self._dice(16))
        return b64(head + self._mac(head))

    def _spend(self, challenge: str, nonce: str) -> None:
        expires_ms, bits = self._read(challenge)
        solution = sha256(f"{challenge}:{nonce}".encode()).digest()
        solved = int.from_bytes(solution, "big") >> (256 - bits) == 0
        if expires_ms <= self._clock_ms() or challenge in self._spent or not solved:
            raise EcholiaError("proof_of_work_invalid")
        self._spent[challenge] = expires_ms

    def _read(self, challenge: str) -> tuple[int, int]:
        try:
            raw = unb64(challenge, _HEAD.size + _MAC_BYTES)
        except EcholiaError:
            raise EcholiaError("proof_of_work_invalid") from None
        head, mac = raw[: _HEAD.size], raw[_HEAD.size :]
        if not hmac.compare_digest(mac, self._mac(head)):
            raise EcholiaError("proof_of_work_invalid")
        expires_ms, bits, _ = _HEAD.unpack(head)
        return expires_ms, bits

    def _mac(self, head: bytes) -> bytes:
        return hmac.digest(self._key, head, "sha256")[:_MAC_BYTES]
