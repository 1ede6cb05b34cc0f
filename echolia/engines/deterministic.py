"""An engine for development: needs no download, understands nothing, finds texts that share words.

A word's hash chooses where it counts; a text's vector is the sum over its words, made to length 1.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b, sha256
from math import sqrt
from typing import Final

from echolia.core.model_identity import ModelIdentity
from echolia.engines.port import Model, Tokens

DIMENSIONS: Final = 256
_WORD: Final = re.compile(r"\w+")
_PLACES: Final = 4


class DeterministicEngine:
    """See `port.Engine`; engines of another `seed` are other models."""

    def __init__(self, seed: str = "1") -> None:
        rule = sha256(f"echolia deterministic {seed}".encode()).digest()
        identity = ModelIdentity(rule, rule, max_tokens=258, overlap=32, dimensions=DIMENSIONS)
        self._seed = seed.encode()
        self.model = Model(f"deterministic-{seed}", seed, "deterministic", identity, 2, development=True)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """See `Engine.tokens`: a number for each word."""
        return [[_number(word) for word in _WORD.findall(text.lower())] for text in texts]

    def embed(self, windows: Sequence[Tokens]) -> list[array[float]]:
        """See `Engine.embed`."""
        return [self._vector(window) for window in windows]

    def _vector(self, window: Tokens) -> array[float]:
        sums = [0] * DIMENSIONS
        for token in window:
            for place, sign in self._counts(token):
                sums[place] += sign
        if not any(sums):
            sums[0] = 1
        length = sqrt(sum(part * part for part in sums))
        return array("f", [part / length for part in sums])

    def _counts(self, token: int) -> Iterator[tuple[int, int]]:
        spread = blake2b(token.to_bytes(4, "big"), key=self._seed, digest_size=2 * _PLACES).digest()
        for at in range(0, len(spread), 2):
            yield spread[at] % DIMENSIONS, 1 if spread[at + 1] & 1 else -1


def _number(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=4).digest(), "big")
