"""The strict reading and the one writing of a change's plaintext: deterministic CBOR (RFC 8949, 4.2.1).

Everything that goes wrong here is `body_invalid`; details name the rule that was broken, never the content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

import cbor2

from echolia.core import canonical
from echolia.core.collections import NAME
from echolia.core.dots import DEVICE_BYTES, MAX_COUNTER, Vector
from echolia.core.errors import EcholiaError

# What a field can hold. Lists and maps are treated as frozen once they are in a state.
Value: TypeAlias = "bool | int | float | str | bytes | Sequence[Value] | Mapping[str, Value] | None"

_MAX_VALUE_DEPTH: Final = 16  # leaves room for whatever wraps a value
_INT_BOUND: Final = 2**63


def invalid(detail: str) -> NoReturn:
    """Refuse a plaintext."""
    raise EcholiaError("body_invalid", detail)


def load(plaintext: bytes) -> Any:
    """Parse CBOR without tags, indefinite lengths or duplicate keys; raises `body_invalid`."""
    try:
        return canonical.parse(plaintext)
    except ValueError:
        invalid("not CBOR")


def dump(tree: object) -> bytes:
    """The one encoding of a tree that was checked before."""
    return cbor2.dumps(tree, canonical=True)


def dump_value(value: Value) -> bytes:
    """The canonical bytes of a value, by which values are compared and ordered; raises `value_invalid`."""
    if not _is_value(value, _MAX_VALUE_DEPTH):
        raise EcholiaError("value_invalid")
    try:
        return cbor2.dumps(value, canonical=True)
    except ValueError:  # a text with half a surrogate pair
        raise EcholiaError("value_invalid") from None


def _is_value(value: object, depth: int) -> bool:
    kind = type(value)  # exact: a subclass could encode as anything
    if value is None or kind in (bool, str, bytes, float):
        return True
    if isinstance(value, int):
        return kind is int and -_INT_BOUND <= value < _INT_BOUND
    if depth == 0:
        return False
    if isinstance(value, list | tuple):
        return kind in (list, tuple) and all(_is_value(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return kind is dict and all(type(k) is str and _is_value(v, depth - 1) for k, v in value.items())
    return False


def expect_value(tree: object) -> bytes:
    """Check a value that was parsed; its canonical bytes."""
    try:
        return dump_value(tree)  # type: ignore[arg-type]  # dump_value checks what it is given
    except EcholiaError:
        invalid("value")


def expect_int(tree: object, low: int, high: int, what: str) -> int:
    """Check an integer's type and bounds."""
    if type(tree) is not int or not low <= tree <= high:
        invalid(what)
    return tree


def expect_list(tree: object, length: int | None, what: str) -> list[Any]:
    """Check an array and, unless `None`, its length."""
    if type(tree) is not list or (length is not None and len(tree) != length):
        invalid(what)
    return tree


def expect_map(tree: object, what: str) -> dict[Any, Any]:
    """Check a map."""
    if type(tree) is not dict:
        invalid(what)
    return tree


def expect_name(tree: object, what: str) -> str:
    """Check the name of a collection or field."""
    if type(tree) is not str or NAME.fullmatch(tree) is None:
        invalid(what)
    return tree


def expect_device(tree: object) -> bytes:
    """Check a device id."""
    if type(tree) is not bytes or len(tree) != DEVICE_BYTES:
        invalid("device")
    return tree


def expect_counter(tree: object) -> int:
    """Check the counter of a dot."""
    return expect_int(tree, 1, MAX_COUNTER, "counter")


def expect_vector(tree: object) -> Vector:
    """Check a version vector."""
    vector: Vector = expect_map(tree, "vector")
    for device, counter in vector.items():
        expect_device(device)
        expect_counter(counter)
    return vector
