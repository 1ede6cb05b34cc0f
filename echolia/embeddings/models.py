"""What a device asks to be embedded, as it comes out of its seal (`spec/embeddings.md#ask`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from echolia.core.embedding_place import Capability, capability_of
from echolia.core.errors import EcholiaError
from echolia.core.ids import unb64
from echolia.core.model_identity import IDENTITY_BYTES

MOST_TEXTS: Final = 128
LEAST_S: Final = 0.1
MOST_S: Final = 60.0
_USUAL: Final = frozenset({"identity", "within_s", "capability"})


class EmbeddingAsk(NamedTuple):
    """Texts, the model that they are for, how long the device waits, and what it could do itself."""

    identity: bytes
    texts: list[str]
    within_s: float
    capability: Capability | None

    def __repr__(self) -> str:
        """Nothing of the texts."""
        return f"EmbeddingAsk({len(self.texts)})"


def read_ask(value: object, *, one: bool) -> EmbeddingAsk:
    """The ask in a sealed request, of `one` text or of several. Raises: `ask_invalid`, which says where."""
    name = "text" if one else "texts"
    if not isinstance(value, dict) or not {"identity", name} <= value.keys() <= {*_USUAL, name}:
        raise EcholiaError("ask_invalid", "the members")
    texts = [value[name]] if one else value[name]
    if not isinstance(texts, list) or not 1 <= len(texts) <= MOST_TEXTS:
        raise EcholiaError("ask_invalid", name)
    if not all(isinstance(text, str) and text for text in texts):
        raise EcholiaError("ask_invalid", name)
    return EmbeddingAsk(_identity(value), texts, _within_s(value), _capability(value))


def _identity(value: Mapping[str, Any]) -> bytes:
    said = value["identity"]
    if isinstance(said, str):
        try:
            return unb64(said, IDENTITY_BYTES)
        except EcholiaError:
            pass
    raise EcholiaError("ask_invalid", "identity")


def _within_s(value: Mapping[str, Any]) -> float:
    said = value.get("within_s", MOST_S)
    if type(said) not in (int, float) or not LEAST_S <= said <= MOST_S:
        raise EcholiaError("ask_invalid", "within_s")
    return float(said)


def _capability(value: Mapping[str, Any]) -> Capability | None:
    if "capability" not in value:
        return None
    if not isinstance(value["capability"], dict):
        raise EcholiaError("ask_invalid", "capability")
    return capability_of(value["capability"])
