"""Embeddings: identities, windows, places."""

from __future__ import annotations

from echolia.core.embedding_place import Need, capability_of, place
from echolia.core.model_identity import identity_of, packed, unpacked
from echolia.core.windows import pooled, windows
from tests.vectors.ends.vector_file import Found, VectorFile


def identity(vector: VectorFile) -> Found:
    """What binds a vector to its model."""
    found = identity_of(vector.given["facts"])
    assert {**vector.given["facts"], "identity": found.as_json()["identity"]} == found.as_json()
    return {"identity": found.digest}


def laid(vector: VectorFile) -> Found:
    """A text's windows, and perhaps its vector."""
    given = vector.given
    found = windows(given["count"], given["room"], given["overlap"])
    said = {"windows": [list(window) for window in found]}
    if "vectors" not in given:
        return said
    parts = [unpacked(bytes.fromhex(part), 2) for part in given["vectors"]]
    return {**said, "pooled": packed(pooled(parts, [window.weight for window in found]))}


def placed(vector: VectorFile) -> Found:
    """Where it is made."""
    given = vector.given
    able = capability_of(given["capability"])
    assert capability_of(able.as_json()) == able
    need = Need(vector.raw("identity"), given["tokens"], given["urgent"])
    return {"place": place(able, need, [bytes.fromhex(each) for each in given["offered"]])}
