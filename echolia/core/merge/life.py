"""Whether an object lives: a causal length (create 1, delete 2, restore 3, …), and what its deleter saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from echolia.core.dots import Vector, covers, join_vectors
from echolia.core.errors import EcholiaError
from echolia.core.merge.plaintext import expect_int, expect_list, expect_vector

_MAX_LENGTH: Final = 2**53 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """`length` is odd while the object lives; `seen` is what the writer of that length had seen of it."""

    length: int
    seen: Vector

    @property
    def alive(self) -> bool:
        """Whether the last one who decided wanted the object."""
        return self.length % 2 == 1

    def missed(self, dots: Mapping[bytes, int]) -> bool:
        """Whether `dots` hold an edit that whoever decided had not seen."""
        return not covers(self.seen, dots)

    def join(self, other: Life) -> Life:
        """The longer life; of two as long, what both deciders together had seen."""
        if self.length != other.length:
            return self if self.length > other.length else other
        return Life(self.length, join_vectors(self.seen, other.seen))

    def tree(self) -> list[object]:
        """The plaintext form."""
        return [self.length, self.seen]


BORN: Final = Life(1, {})


def deleted(life: Life | None, seen: Vector) -> Life:
    """The life after a deletion by one who had seen `seen`; deleting again confirms with what is seen now."""
    length = (life or BORN).length
    if length == _MAX_LENGTH:  # no honest device has brought it there, and no length is left
        raise EcholiaError("value_invalid", "length of life")
    return Life(length + length % 2, seen)


def restored(life: Life | None) -> Life:
    """The life after taking an object back out of the Trash."""
    length = (life or BORN).length
    return Life(length + 1 - length % 2, {})


def read_life(tree: object) -> Life:
    """Check a parsed life."""
    length, seen = expect_list(tree, 2, "life")
    return Life(expect_int(length, 1, _MAX_LENGTH, "life"), expect_vector(seen))
