"""How much is computed at once: as many windows of one length as pay (bench/embeddings.py).

A window is computed with the next length that is a multiple of `STEP`, alone and among others. Windows of one
call are of one such length, so that what else is in it changes nothing of a vector, not by rounding either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

STEP: Final = 4
# Padded tokens of one call. On a CPU more at once is hardly faster, and whoever waits waits longer.
BATCH_TOKENS: Final = 128
# Of one call for several requests: they are all answered at its end, and others are to be in work meanwhile.
SHARED_TOKENS: Final = 64
BATCH_WINDOWS: Final = 32


def padded(tokens: int) -> int:
    """The length that a window of so many tokens, marks included, is computed with."""
    return -(-tokens // STEP) * STEP


def most_windows(length: int, tokens: int = BATCH_TOKENS) -> int:
    """How many windows of this length, padded, go into one call of so many tokens: at least one."""
    return max(1, min(BATCH_WINDOWS, tokens // max(length, 1)))


def first_batch(lengths: Sequence[int]) -> int:
    """How many of the windows of these lengths, padded and the shortest first, go into one call."""
    alike = lengths[: most_windows(lengths[0])]
    return alike.count(lengths[0])
