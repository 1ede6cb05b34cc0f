"""SQL values as Hrana's JSON has them: integers as decimal text, blobs as base64 without padding."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Final

from echolia.storage.engine import OutcomeUnknown, StorageError, Value

Json = dict[str, Any]

_NULL: Final[Json] = {"type": "null"}
_LEAST, _GREATEST = -(2**63), 2**63 - 1


def to_json(value: Value) -> Json:
    """A parameter as the protocol carries it.

    Raises: StorageError where it cannot: an integer beyond 64 bits, a float that is infinite or no number
    (JSON has none, and SQLite would give it back as NULL), text with half a surrogate pair.
    """
    if value is None:
        return _NULL
    if isinstance(value, bytes):
        return {"type": "blob", "base64": base64.b64encode(value).rstrip(b"=").decode("ascii")}
    if isinstance(value, int):
        if not _LEAST <= value <= _GREATEST:
            raise StorageError("INTEGER_TOO_BIG")
        return {"type": "integer", "value": str(int(value))}
    if isinstance(value, str):
        return {"type": "text", "value": value}
    if not math.isfinite(value):
        raise StorageError("FLOAT_NOT_FINITE")
    return {"type": "float", "value": value}


def from_json(value: Json) -> Value:
    """A column of a row that was answered. Raises: `OutcomeUnknown`: it was run and cannot be read."""
    kind = value.get("type")
    if kind == "integer":
        return _integer(value.get("value"))
    if kind == "blob":
        return _blob(value.get("base64"))
    if kind == "text" and isinstance(text := value.get("value"), str):
        return text
    if kind == "null":
        return None
    if kind == "float":
        return _float(value.get("value"))
    raise OutcomeUnknown("ANSWER_UNREADABLE")


def _integer(digits: object) -> int:
    if not isinstance(digits, str) or len(digits) > 20:
        raise OutcomeUnknown("ANSWER_UNREADABLE")
    try:
        return int(digits)
    except ValueError:
        pass
    raise OutcomeUnknown("ANSWER_UNREADABLE")


def _blob(text: object) -> bytes:
    if not isinstance(text, str):
        raise OutcomeUnknown("ANSWER_UNREADABLE")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        pass
    raise OutcomeUnknown("ANSWER_UNREADABLE")


def _float(number: object) -> float:
    if isinstance(number, int | float):
        return float(number)
    # Infinity is answered as null.
    raise OutcomeUnknown("FLOAT_NOT_FINITE" if number is None else "ANSWER_UNREADABLE")
