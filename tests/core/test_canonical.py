"""Deterministic CBOR: every value has one spelling, and nothing else is ever read."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echolia.core import canonical
from tests.vectors import reference

# A short alphabet of every UTF-8 length; all of Unicode would cost a second to load.
TEXT = st.text("ab\0é€📊", max_size=30)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=8)
)
KEYS = st.sampled_from([TEXT, st.binary(max_size=30), st.integers(0, 2**64 - 1)])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | KEYS.flatmap(lambda keys: st.dictionaries(keys, inner, max_size=3))
    ),
    max_leaves=8,
)


@given(VALUES)
def test_values_come_back(value: object) -> None:
    raw = canonical.encode(value)
    again = canonical.decode(raw)
    assert again == value
    assert canonical.encode(again) == raw


@given(st.dictionaries(TEXT | st.integers(0, 2**64 - 1), st.integers(-99, 99)))
def test_two_implementations_write_the_same(fields: dict[str | int, int]) -> None:
    for kind in (str, int):
        alike = {key: value for key, value in fields.items() if type(key) is kind}
        assert canonical.encode(alike) == reference.cbor(alike)


@settings(max_examples=300)
@given(st.binary(max_size=60))
@example(b"\x9b" + b"\xff" * 8)
@example(b"\xbb" + b"\xff" * 8)
@example(b"\x7b" + b"\xff" * 8)
@example(b"\xd8\x1c\x81\xd8\x1d\x00")
@example(b"\x81" * 100_000)
@example(b"\xc2\x5a\x7f\xff\xff\xff")
def test_any_bytes_are_one_spelling_or_refused(raw: bytes) -> None:
    try:
        value = canonical.decode(raw)
    except ValueError:
        return
    assert canonical.encode(value) == raw


@pytest.mark.parametrize("raw", [b"\x67secret!?", b"\x67secret", b"\xc1\x66secret", b"\x67secret\xff"])
def test_a_refusal_carries_nothing_of_what_was_read(raw: bytes) -> None:
    with pytest.raises(ValueError, match="CBOR") as refused:
        canonical.decode(raw)
    assert "secret" not in repr(refused.value)
    assert refused.value.__context__ is None or refused.value.__suppress_context__


@given(VALUES, st.data())
def test_a_cut_value_is_refused(value: object, data: st.DataObject) -> None:
    raw = canonical.encode(value)
    with pytest.raises(ValueError, match="CBOR"):
        canonical.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(VALUES, st.binary(min_size=1, max_size=3))
def test_bytes_after_a_value_are_refused(value: object, more: bytes) -> None:
    with pytest.raises(ValueError, match="CBOR"):
        canonical.decode(canonical.encode(value) + more)


def test_nesting_is_bounded() -> None:
    deep: object = 0
    for _ in range(canonical.MAX_DEPTH):
        deep = [deep]
    assert canonical.decode(canonical.encode(deep)) == deep
    with pytest.raises(ValueError, match="CBOR"):
        canonical.decode(canonical.encode([deep]))


@pytest.mark.parametrize(
    "value", [2**64, -(2**63) - 1, {1: 0, "a": 0}, {-1: 0}, {1.5: 0}, {None: 0}, {True: 0}]
)
def test_what_other_implementations_might_read_otherwise_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="CBOR"):
        canonical.decode(canonical.encode(value))
