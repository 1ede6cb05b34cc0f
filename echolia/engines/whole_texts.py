"""Vectors of whole texts, however long: laid into windows, computed in batches, pooled."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from echolia.core.errors import EcholiaError
from echolia.core.windows import MOST_WINDOWS, Window, pooled, windows
from echolia.engines.batches import first_batch, padded
from echolia.engines.port import Engine, Tokens


class Laid(NamedTuple):
    """The windows of several texts: of each text its windows; of all windows their tokens, and the lengths
    that they are computed with, in order.
    """

    texts: list[list[Window]]
    windows: list[Tokens]
    lengths: list[int]

    @property
    def tokens(self) -> int:
        """How many tokens are read, those that windows share counted twice."""
        return sum(map(len, self.windows))

    def by_length(self) -> list[int]:
        """The windows' numbers, the shortest first, so that those of one length are neighbours."""
        return sorted(range(len(self.windows)), key=self.lengths.__getitem__)

    def pooled(self, vectors: Sequence[array[float]]) -> list[array[float]]:
        """A vector for each text, of the windows' vectors in order."""
        found, at = [], 0
        for laid in self.texts:
            own = vectors[at : at + len(laid)]
            found.append(pooled(own, [window.weight for window in laid]))
            at += len(laid)
        return found

    def __repr__(self) -> str:
        """Nothing of the texts."""
        return f"Laid({len(self.texts)})"


def lay(engine: Engine, texts: Sequence[str]) -> Laid:
    """The texts' windows. Raises: `embedding_too_long`."""
    model = engine.model
    laid: list[list[Window]] = []
    cut: list[Tokens] = []
    for tokens in engine.tokens(texts):
        own = windows(len(tokens), model.room, model.identity.overlap)
        laid.append(own)
        cut += [tokens[window.start : window.stop] for window in own]
        if len(cut) > MOST_WINDOWS:
            raise EcholiaError("embedding_too_long", f"at most {MOST_WINDOWS} windows at a time")
    return Laid(laid, cut, [padded(len(window) + model.marks) for window in cut])


def embed_texts(engine: Engine, texts: Sequence[str]) -> list[array[float]]:
    """A vector for each text, computed here and now, on one core. Raises: `embedding_too_long`."""
    laid = lay(engine, texts)
    order = laid.by_length()
    vectors: dict[int, array[float]] = {}
    while order:
        count = first_batch([laid.lengths[number] for number in order])
        now, order = order[:count], order[count:]
        vectors.update(zip(now, engine.embed([laid.windows[number] for number in now]), strict=True))
    return laid.pooled([vectors[number] for number in range(len(laid.windows))])
