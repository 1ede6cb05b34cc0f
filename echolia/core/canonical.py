"""Deterministic CBOR (RFC 8949, 4.2.1): one spelling for each value, any other refused."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import cbor2

MAX_DEPTH: Final = 32
_SCALARS: Final = (type(None), bool, int, float, str, bytes)
_ALIKE: Final[tuple[set[type], ...]] = (set(), {int}, {str}, {bytes})
# Every tag that cbor2 knows by heart; the rest goes to its tag hook. No tag may occur, and those for shared
# values must not even be resolved: a few bytes of them unfold into gigabytes.
_TAGS: Final = (*range(6), *range(21, 26), 28, 29, 30, *range(35, 38), 52, 54, 100, 256, 258, 260, 261)
_MORE_TAGS: Final = (1004, 6147, 43000, 55799, 55800)


def encode(value: Any) -> bytes:
    """The deterministic CBOR of null, bool, int, float, text, bytes, lists and maps."""
    return cbor2.dumps(value, canonical=True)


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("tag")


_REFUSED: Final = dict.fromkeys(_TAGS + _MORE_TAGS, _refuse_tag)


def parse(raw: bytes) -> Any:
    """The value of CBOR without tags, indefinite lengths or duplicate keys, at most `MAX_DEPTH` deep.

    Its spelling may still not be the deterministic one. Raises ValueError without the input.
    """
    try:
        return cbor2.loads(
            raw,
            tag_hook=_refuse_tag,
            semantic_decoders=_REFUSED,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except Exception:  # noqa: BLE001 — whatever a parser meets in bytes from elsewhere has one answer
        raise ValueError("not CBOR") from None


def decode(raw: bytes) -> Any:
    """The value of deterministic CBOR without tags; raises ValueError for anything else.

    Lists and maps nest at most `MAX_DEPTH` deep, integers fit 64 bits, and a map's keys are all text, all
    bytes or all integers from 0 (so that every order that was ever called canonical is the same one).
    """
    value = parse(raw)
    if not _plain(value, MAX_DEPTH) or _encoded(value) != raw:
        raise ValueError("not deterministic CBOR")
    return value


def _encoded(value: Any) -> bytes | None:
    try:
        return encode(value)
    except ValueError:  # a text with half a surrogate pair
        return None


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
