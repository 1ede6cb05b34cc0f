"""Which model a vector is of: vectors of different identities are never compared (`spec/embeddings.md`)."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from math import isfinite
from typing import Any, Final

from echolia.core.canonical import encode
from echolia.core.ids import b64, unb64

LABEL: Final = b"echolia/1/embedding-model"
IDENTITY_BYTES: Final = 32
MOST_DIMENSIONS: Final = 8192
_NUMBER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The facts that a vector depends on; `weights` and `tokenizer` are SHA-256 of their files.

    `max_tokens` of a window, the model's marks included; neighbouring windows share `overlap` tokens.
    """

    weights: bytes
    tokenizer: bytes
    max_tokens: int
    overlap: int
    dimensions: int
    pooling: str = "mean"
    normalized: bool = True
    dtype: str = "float32"

    @property
    def digest(self) -> bytes:
        """What binds a vector to its model, 32 bytes."""
        return _digest(self)

    def facts(self) -> dict[str, Any]:
        """What the digest is of."""
        return {
            "weights": self.weights,
            "tokenizer": self.tokenizer,
            "max_tokens": self.max_tokens,
            "overlap": self.overlap,
            "dimensions": self.dimensions,
            "pooling": self.pooling,
            "normalized": self.normalized,
            "dtype": self.dtype,
        }

    def as_json(self) -> dict[str, Any]:
        """The facts and the digest as JSON has them."""
        told = {name: b64(fact) if isinstance(fact, bytes) else fact for name, fact in self.facts().items()}
        return {"identity": b64(self.digest), **told}


@lru_cache(maxsize=64)
def _digest(identity: ModelIdentity) -> bytes:
    return sha256(LABEL + encode(identity.facts())).digest()


def identity_of(said: Mapping[str, Any]) -> ModelIdentity:
    """The identity whose facts these are, as JSON has them; what is said of the digest is not looked at.

    Raises: `invalid_request`, KeyError, TypeError or ValueError where they are none.
    """
    numbers = {name: said[name] for name in ("max_tokens", "overlap", "dimensions")}
    if any(type(number) is not int for number in numbers.values()):
        raise ValueError("numbers")
    if (
        not 0 <= numbers["overlap"] < numbers["max_tokens"]
        or not 1 <= numbers["dimensions"] <= MOST_DIMENSIONS
    ):
        raise ValueError("numbers")
    if not isinstance(said["pooling"], str) or not isinstance(said["dtype"], str):
        raise TypeError("texts")
    if type(said["normalized"]) is not bool:
        raise TypeError("normalized")
    weights, tokenizer = (unb64(said[name], IDENTITY_BYTES) for name in ("weights", "tokenizer"))
    texts = {name: said[name] for name in ("pooling", "dtype", "normalized")}
    return ModelIdentity(weights, tokenizer, **numbers, **texts)


def packed(vector: array[float]) -> bytes:
    """A vector's bytes on the wire and at rest."""
    return struct.pack(f"<{len(vector)}f", *vector)


def unpacked(raw: bytes, dimensions: int) -> array[float]:
    """The vector in these bytes; ValueError where it is none of so many dimensions."""
    if len(raw) != dimensions * _NUMBER_BYTES:
        raise ValueError("a vector's length")
    vector = array("f", struct.unpack(f"<{dimensions}f", raw))
    if not all(map(isfinite, vector)):
        raise ValueError("a number that is none")
    return vector
