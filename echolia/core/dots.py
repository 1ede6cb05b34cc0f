"""Dots and version vectors: which change is which, and which changes something holds.

A dot names one change: the device that wrote it and that device's dense counter, from 1. A vector maps a
device to the highest counter held. Vectors are values: nothing here or elsewhere changes one in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

DEVICE_BYTES: Final = 16
MAX_COUNTER: Final = 2**53 - 1  # what every language's numbers hold exactly

Vector: TypeAlias = dict[bytes, int]


class Dot(NamedTuple):
    """The identity of one change: `device` (16 bytes) and its `counter` (1 … 2^53 - 1)."""

    device: bytes
    counter: int


def join_vectors(one: Mapping[bytes, int], other: Mapping[bytes, int]) -> Vector:
    """The smallest vector that holds whatever either holds."""
    joined = dict(one)
    for device, counter in other.items():
        if counter > joined.get(device, 0):
            joined[device] = counter
    return joined


def with_dot(vector: Mapping[bytes, int], dot: Dot) -> Vector:
    """The vector after also seeing `dot`."""
    return join_vectors(vector, {dot.device: dot.counter})


def holds(vector: Mapping[bytes, int], device: bytes, counter: int) -> bool:
    """Whether the vector holds that device's change of that counter."""
    return counter <= vector.get(device, 0)


def covers(vector: Mapping[bytes, int], other: Mapping[bytes, int]) -> bool:
    """Whether the vector holds everything that `other` holds."""
    return all(counter <= vector.get(device, 0) for device, counter in other.items())
