"""The real model for tests, loaded once a process; where it is not installed they skip, and fail in CI."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from echolia.engines import choice, minilm
from echolia.engines.port import Engine
from tests.support.surroundings import absent

INSTALL = "make embeddings"
# With torch it takes seconds and half a gigabyte, so nothing but a comparison needs it.
REFERENCE_INSTALLED = find_spec("sentence_transformers") is not None and minilm.folder() is not None


@cache
def _loaded() -> Engine | None:
    return choice.installed_engine()


@cache
def reference() -> Engine:
    """The same model as its makers run it."""
    from echolia.engines.reference import ReferenceEngine  # noqa: PLC0415  # torch

    files = minilm.folder()
    assert files is not None
    return ReferenceEngine(files)


def real_model() -> Engine:
    """all-MiniLM-L6-v2 by onnxruntime."""
    engine = _loaded()
    if engine is None:
        absent("the model, or what runs it,", INSTALL)
    return engine
