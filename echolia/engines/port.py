"""What an engine is: a model's identity, its tokens, and vectors of windows of them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from echolia.core.model_identity import ModelIdentity

Tokens: TypeAlias = Sequence[int]


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it is told of: `marks` are the tokens of a window that the model puts around the text's.

    `development`: it understands nothing, and is no engine for anybody's entries.
    """

    name: str
    revision: str
    engine: str
    identity: ModelIdentity
    marks: int
    development: bool = False

    @property
    def room(self) -> int:
        """How many of a text's tokens go into a window."""
        return self.identity.max_tokens - self.marks

    def as_json(self) -> dict[str, Any]:
        """As `GET /embeddings/models` has it."""
        named = {"name": self.name, "revision": self.revision, "engine": self.engine}
        return {**self.identity.as_json(), **named, "development": self.development}


class Engine(Protocol):
    """A model that can be run, by several threads at once; each call takes one core."""

    @property
    def model(self) -> Model:
        """Which model, and how its vectors come about."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of whole texts, without marks, however long."""
        ...

    def embed(self, windows: Sequence[Tokens]) -> list[array[float]]:
        """A vector of each window, which has at most `model.room` tokens.

        What else is in the same call changes a vector by rounding and no more.
        """
        ...
