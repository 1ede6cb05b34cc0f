"""Deterministic CBOR (RFC 8949, 4.2.1): one spelling for each value, any other refused."""

from __future__ import annotations

from typing import Any, Final

import cbor2

MAX_DEPTH: Final = 32


def encode(value: Any) -> bytes:
    """The deterministic CBOR of null, bool, int, float, text, bytes, lists and maps."""
    return cbor2.dumps(value, canonical=True)


def decode(raw: bytes) -> Any:
    """The value of deterministic CBOR; raises ValueError for anything else."""
    try:
        value = cbor2.loads(raw)
        again = encode(value)
    except Exception:  # noqa: BLE001 — cbor2 lets many types escape; none may carry the input on
        value, again = None, None
    if again != raw:
        raise ValueError("not deterministic CBOR")
    return value
