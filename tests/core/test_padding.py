"""PADMÉ: few lengths, little waste, and no length leaks more than it must."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.padding import CEILING_BYTES, FLOOR_BYTES, is_padme, padme
from tests.vectors import reference

LENGTHS = st.integers(0, CEILING_BYTES)


@given(LENGTHS)
def test_the_padded_length_is_allowed_and_long_enough(length: int) -> None:
    assert padme(length) >= length
    assert is_padme(padme(length))


@given(LENGTHS)
def test_it_is_the_least_of_its_kind(length: int) -> None:
    assert padme(length) == reference.padme(length)


@given(LENGTHS)
def test_padding_twice_changes_nothing(length: int) -> None:
    assert padme(padme(length)) == padme(length)


@given(LENGTHS, LENGTHS)
def test_longer_never_becomes_shorter(one: int, other: int) -> None:
    assert (one <= other) <= (padme(one) <= padme(other))


@given(st.integers(FLOOR_BYTES, CEILING_BYTES))
def test_at_most_twelve_percent_is_wasted(length: int) -> None:
    assert padme(length) <= length * 1.12


def test_there_are_few_lengths() -> None:
    lengths = {padme(length) for length in range(FLOOR_BYTES, 1 << 16)}
    bits_leaked = math.log2(len(lengths))
    assert bits_leaked < 8


@pytest.mark.parametrize("length", [-1, 0, 255, 257, CEILING_BYTES + 1, CEILING_BYTES * 2, 2**32 - 1])
def test_no_body_has_such_a_length(length: int) -> None:
    assert not is_padme(length)
