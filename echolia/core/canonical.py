"""Deterministic CBOR (RFC 8949, 4.2.1): one spelling for each value, any other refused."""

from __future__ import annotations

from typing import Any, Final

import cbor2

MAX_DEPTH: Final = 32
_SCALARS: Final = (type(None), bool, int, float, str, bytes)
_ALIKE: Final[tuple[set[type], ...]] = (set(), {int}, {str}, {bytes})


def encode(value: Any) -> bytes:
    """The deterministic CBOR of null, bool, int, float, text, bytes, lists and maps."""
    return cbor2.dumps(value, canonical=True)


def decode(raw: bytes) -> Any:
    """The value of deterministic CBOR without tags; raises ValueError for anything else.

    Lists and maps nest at most `MAX_DEPTH` deep, integers fit 64 bits, and a map's keys are all text, all
    bytes or all integers from 0 (so that every order that was ever called canonical is the same one).
    """
    try:
        value = cbor2.loads(raw)
        again = encode(value) if _plain(value, MAX_DEPTH) else None
    except Exception:  # noqa: BLE001 — cbor2 lets many types escape on hostile input; none may carry the input on
        value, again = None, None
    if again != raw:
        raise ValueError("not deterministic CBOR")
    return value


def _plain(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind is list:
        return depth > 0 and all(_plain(each, depth - 1) for each in value)
    if kind is dict:
        return depth > 0 and _alike(value) and all(_plain(each, depth - 1) for each in value.values())
    return kind in _SCALARS and (kind is not int or -(2**63) <= value < 2**64)


def _alike(fields: dict[Any, Any]) -> bool:
    kinds = {type(key) for key in fields}
    return kinds in _ALIKE and (kinds != {int} or all(0 <= key < 2**64 for key in fields))
