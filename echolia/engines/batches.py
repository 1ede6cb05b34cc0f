"""How much is computed at once: as many windows of like length as pay (bench/embeddings.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Padded tokens of one call. On a CPU more at once is no faster, and whoever waits waits longer.
BATCH_TOKENS: Final = 256
BATCH_WINDOWS: Final = 32


def first_batch(lengths: Sequence[int]) -> int:
    """How many of the windows of these lengths, the shortest first, go into one call: at least one."""
    count = 0
    for length in lengths[:BATCH_WINDOWS]:
        if count and (count + 1) * length > BATCH_TOKENS:
            break
        count += 1
    return count
