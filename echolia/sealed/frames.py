"""JSON in a frame of few lengths: its own length, itself, zeros."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from echolia.core.errors import EcholiaError
from echolia.core.padding import padme

REQUEST_FLOOR_BYTES: Final = 1024
RESPONSE_STEP_BYTES: Final = 64
MAX_DEPTH: Final = 32
_LENGTH_BYTES: Final = 4


def request_length(length: int) -> int:
    """How long the plaintext of a request is that has so much to say."""
    return padme(max(length, REQUEST_FLOOR_BYTES))


def response_length(length: int) -> int:
    """How long the plaintext of a chunk of a response is."""
    return -(-length // RESPONSE_STEP_BYTES) * RESPONSE_STEP_BYTES


def dump(value: Mapping[str, Any]) -> bytes:
    """JSON in as few bytes as it takes, without numbers that JSON has not."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def framed_request(value: Mapping[str, Any]) -> bytes:
    """The plaintext of a request."""
    body = dump(value)
    size = request_length(_LENGTH_BYTES + len(body))
    return (len(body).to_bytes(_LENGTH_BYTES, "big") + body).ljust(size, b"\0")


def framed_response(value: Mapping[str, Any]) -> bytes:
    """The plaintext of a chunk of a response."""
    body = dump(value)
    size = response_length(_LENGTH_BYTES + len(body))
    return (len(body).to_bytes(_LENGTH_BYTES, "big") + body).ljust(size, b"\0")


def unframed_request(plain: bytes) -> dict[str, Any]:
    """What is in the plaintext of a request. Raises: `sealed_invalid`."""
    value = _unframed(plain)
    if len(plain) != request_length(_LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")):
        raise EcholiaError("sealed_invalid", "the padding")
    return value


def unframed_response(plain: bytes) -> dict[str, Any]:
    """What is in the plaintext of a chunk of a response. Raises: `sealed_invalid`."""
    value = _unframed(plain)
    if len(plain) != response_length(_LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")):
        raise EcholiaError("sealed_invalid", "the padding")
    return value


def unframed_final(plain: bytes) -> dict[str, Any]:
    """What is in the plaintext of the final chunk, `status` and more. Raises: `sealed_invalid`."""
    value = unframed_response(plain)
    if type(value.get("status")) is not int:
        raise EcholiaError("sealed_invalid", "no status")
    return value


def _unframed(plain: bytes) -> dict[str, Any]:
    end = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
    if len(plain) < _LENGTH_BYTES or end > len(plain) or plain.count(0, end) != len(plain) - end:
        raise EcholiaError("sealed_invalid", "the padding")
    if not (value := _parsed(plain[_LENGTH_BYTES:end])):
        raise EcholiaError("sealed_invalid", "the JSON")
    return value[0]


def _parsed(body: bytes) -> list[dict[str, Any]]:
    """One object, or nothing: who raises here must not carry what was sent as its cause."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite
        )
        if b"\\u" in body:
            dump({"": value})  # half a surrogate pair is no text: nobody could pass it on
    except (ValueError, RecursionError):
        return []
    return [value] if isinstance(value, dict) and _depth_fits(value) else []


def _depth_fits(value: Any, left: int = MAX_DEPTH) -> bool:
    if not isinstance(value, dict | list):
        return True
    within = value.values() if isinstance(value, dict) else value
    return left > 0 and all(_depth_fits(each, left - 1) for each in within)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _no_number(_: str) -> None:
    raise ValueError
