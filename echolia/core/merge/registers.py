"""The fields that are registers: last-writer-wins, multi-value, add-wins set and counter.

Each is a join semilattice: `join` is commutative, associative and idempotent, also for states that no honest
device writes, so that devices agree even about those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

from echolia.core.clock import CLAMPED_LOGICAL, MAX_WALL_MS, Key
from echolia.core.dots import Vector, holds, join_vectors
from echolia.core.merge import plaintext
from echolia.core.merge.plaintext import Value, invalid

MAX_COUNT: Final = 2**53 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """Last writer wins: one value under a key that no other write has."""

    key: Key
    value: Value

    tag: ClassVar = "lww"

    def join(self, other: Register) -> Register:
        """The one with the greater key; of one key with two values (a writer's fault) the greater bytes."""
        if self.key != other.key:
            return self if self.key > other.key else other
        if self.value is other.value or self.encoded() >= other.encoded():
            return self
        return other

    def encoded(self) -> bytes:
        """The value's canonical bytes."""
        return plaintext.dump_value(self.value)

    def tree(self) -> list[object]:
        """The plaintext form."""
        return [self.tag, list(self.key), self.value]


# A write of a value: device, counter, and the value's canonical bytes (one change may add several to a set).
Write: TypeAlias = tuple[bytes, int, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Dotted:
    """Values with the dots of their writes, and a context: every write this state knows of, live or replaced.

    Serves `multi` (a write replaces all that its writer saw) and `set` (add-wins). Per write the order is
    unknown < live < replaced, and every live write is inside the context.
    """

    tag: Literal["multi", "set"]
    context: Vector
    live: Mapping[Write, Value]

    def join(self, other: Dotted) -> Dotted:
        """Keep what is live in both, and what is live in one and unknown to the other."""
        ours = {w: v for w, v in self.live.items() if w in other.live or not holds(other.context, w[0], w[1])}
        new = {w: v for w, v in other.live.items() if not holds(self.context, w[0], w[1])}
        return Dotted(self.tag, join_vectors(self.context, other.context), ours | new)

    def values(self) -> list[Value]:
        """The distinct live values: of a set by their bytes, of a multi-value by their (device, counter)."""
        distinct: dict[bytes, Value] = {}
        for write in sorted(self.live):
            distinct.setdefault(write[2], self.live[write])
        return [distinct[key] for key in (sorted(distinct) if self.tag == "set" else distinct)]

    def tree(self) -> list[object]:
        """The plaintext form."""
        return [self.tag, self.context, [[w[0], w[1], self.live[w]] for w in sorted(self.live)]]


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """For each device how much it added and took away in all; both only grow."""

    counts: Mapping[bytes, tuple[int, int]]

    tag: ClassVar = "counter"

    def join(self, other: Counter) -> Counter:
        """The greater counts of each device."""
        counts = dict(self.counts)
        for device, (plus, minus) in other.counts.items():
            ours = counts.get(device, (0, 0))
            counts[device] = (max(plus, ours[0]), max(minus, ours[1]))
        return Counter(counts)

    def total(self) -> int:
        """The counter's value."""
        return sum(plus - minus for plus, minus in self.counts.values())

    def tree(self) -> list[object]:
        """The plaintext form."""
        return [self.tag, {device: list(counts) for device, counts in self.counts.items()}]


def read_register(tree: list[object]) -> Register:
    """Check a parsed `lww` field."""
    _, key, value = plaintext.expect_list(tree, 3, "lww")
    wall_ms, logical, device, counter = plaintext.expect_list(key, 4, "lww key")
    plaintext.expect_value(value)
    return Register(
        Key(
            plaintext.expect_int(wall_ms, 0, MAX_WALL_MS, "wall"),
            plaintext.expect_int(logical, 0, CLAMPED_LOGICAL, "logical"),
            plaintext.expect_device(device),
            plaintext.expect_counter(counter),
        ),
        value,
    )


def read_dotted(tag: Literal["multi", "set"], tree: list[object]) -> Dotted:
    """Check a parsed `multi` or `set` field."""
    _, context_tree, writes = plaintext.expect_list(tree, 3, tag)
    context = plaintext.expect_vector(context_tree)
    live: dict[Write, Value] = {}
    for write in plaintext.expect_list(writes, None, tag):
        device, counter, value = plaintext.expect_list(write, 3, tag)
        plaintext.expect_device(device)
        if not holds(context, device, plaintext.expect_counter(counter)):
            invalid("live write outside its context")
        live[device, counter, plaintext.expect_value(value)] = value
    return Dotted(tag, context, live)


def read_counter(tree: list[object]) -> Counter:
    """Check a parsed `counter` field."""
    _, counts_tree = plaintext.expect_list(tree, 2, "counter")
    counts: dict[bytes, tuple[int, int]] = {}
    for device, pair in plaintext.expect_map(counts_tree, "counter").items():
        plus, minus = plaintext.expect_list(pair, 2, "counter")
        counts[plaintext.expect_device(device)] = (
            plaintext.expect_int(plus, 0, MAX_COUNT, "count"),
            plaintext.expect_int(minus, 0, MAX_COUNT, "count"),
        )
    return Counter(counts)
