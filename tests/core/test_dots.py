"""Version vectors: what they hold, and their join."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from echolia.core.dots import Dot, Vector, covers, holds, join_vectors, with_dot

A, B = b"A" * 16, b"B" * 16
moderate = settings(max_examples=40, deadline=None, derandomize=True, database=None)
vectors = st.dictionaries(st.sampled_from([A, B]), st.integers(1, 4))


def test_a_vector_holds_all_changes_up_to_its_counter() -> None:
    assert holds({A: 2}, A, 1)
    assert holds({A: 2}, A, 2)
    assert not holds({A: 2}, A, 3)
    assert not holds({A: 2}, B, 1)


def test_seeing_a_dot_leaves_the_vector_given_as_it_was() -> None:
    vector = {A: 1}
    assert with_dot(vector, Dot(A, 3)) == {A: 3}
    assert with_dot(vector, Dot(B, 1)) == {A: 1, B: 1}
    assert vector == {A: 1}


def test_nothing_covers_nothing_only() -> None:
    assert covers({}, {})
    assert not covers({}, {A: 1})


@moderate
@given(vectors, vectors, vectors)
def test_the_join_is_the_least_vector_that_covers_both(one: Vector, other: Vector, third: Vector) -> None:
    joined = join_vectors(one, other)
    assert joined == join_vectors(other, one)
    assert covers(joined, one) and covers(joined, other)
    if covers(third, one) and covers(third, other):
        assert covers(third, joined)
