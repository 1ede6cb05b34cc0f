"""Plaintexts: what is written is read back, anything else is refused by one code; and clamping."""

from __future__ import annotations

from random import Random
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.clock import Key, Stamp
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import (
    Add,
    Increment,
    ObjectState,
    ReplaceText,
    Set,
    canonical_view,
    clamp,
    decode,
    encode,
    join,
    newest_stamp,
    view,
)
from echolia.core.merge.fields import Mixed
from echolia.core.merge.plaintext import load
from echolia.core.merge.registers import Register
from tests.core.merge.objects import A, B, Device, joined, moderate, states

KEY = [1, 0, A, 1]


def _refused(body: bytes) -> None:
    with pytest.raises(EcholiaError) as caught:
        decode(body)
    assert caught.value.code == "body_invalid"


def _read_or_code(body: bytes) -> ObjectState | str:
    try:
        return decode(body)
    except EcholiaError as error:
        return error.code


def _tree(**changes: Any) -> dict[str, Any]:
    return {"v": 1, "c": "notes", "o": {A: 1}, "f": {}} | changes


def _field(*field: Any) -> dict[str, Any]:
    return _tree(f={"x": list(field)})


@moderate
@given(states())
def test_what_is_written_is_read_back(state: ObjectState) -> None:
    assert encode(decode(encode(state))) == encode(state)


WRONG: dict[str, Any] = {
    "no map": [],
    "a newer version": _tree(v=2),
    "a version that is true": _tree(v=True),
    "an unknown key": _tree(z=1),
    "a missing key": {"v": 1, "c": "notes", "o": {}},
    "a collection's name": _tree(c="Notes"),
    "a long name": _tree(c="a" * 33),
    "a field's name": _tree(f={"": ["lww", KEY, 1]}),
    "a field's name of bytes": _tree(f={b"x": ["lww", KEY, 1]}),
    "a vector's device": _tree(o={b"short": 1}),
    "a vector's counter of 0": _tree(o={A: 0}),
    "a vector's counter above 2^53": _tree(o={A: 2**53}),
    "a life of 0": _tree(l=[0, {}]),
    "a life without a vector": _tree(l=[1]),
    "a life that is null": _tree(l=None),
    "an empty field": _field(),
    "an unknown policy": _field("max", KEY, 1),
    "a policy that is no text": _field(["lww"], KEY, 1),
    "a register without a value": _field("lww", KEY),
    "a wall before 1970": _field("lww", [-1, 0, A, 1], 1),
    "a wall that is a float": _field("lww", [1.5, 0, A, 1], 1),
    "a logical above 0xFFFF": _field("lww", [1, 0x10000, A, 1], 1),
    "a value with a number for a key": _field("lww", KEY, {1: 1}),
    "a value above 64 bits": _field("lww", KEY, 2**63),
    "an undefined value": _field("lww", KEY, cbor2.undefined),
    "a date": _field("lww", KEY, cbor2.CBORTag(1, 0)),
    "a value that is too deep": _field("lww", KEY, [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]),
    "a live write outside its context": _field("set", {A: 1}, [[A, 2, "x"]]),
    "a live write twice": _field("set", {A: 1}, [[A, 1, "x"], [A, 1, "x"]]),
    "live writes out of order": _field("multi", {A: 2}, [[A, 2, "x"], [A, 1, "y"]]),
    "a count below 0": _field("counter", {A: [0, -1]}),
    "a count alone": _field("counter", {A: [0]}),
    "a mixed field of one": _field("mixed", ["lww", KEY, 1]),
    "a mixed field out of order": _field("mixed", ["multi", {}, []], ["lww", KEY, 1]),
    "a mixed field in a mixed field": _field("mixed", ["mixed", ["lww", KEY, 1]], ["set", {}, []]),
}


@pytest.mark.parametrize("tree", WRONG.values(), ids=WRONG.keys())
def test_a_plaintext_with_a_wrong_part_is_refused(tree: Any) -> None:
    _refused(cbor2.dumps(tree, canonical=True))


def test_these_trees_are_wrong_in_that_part_only() -> None:
    for tree in (_tree(), _tree(l=[1, {}]), _field("lww", KEY, [{"k": [2**63 - 1, -(2**63)]}]),
                 _field("set", {A: 2}, [[A, 1, "y"], [A, 2, "x"]]), _field("counter", {A: [0, 1]}),
                 _field("mixed", ["lww", KEY, 1], ["multi", {}, []])):  # fmt: skip
        decode(cbor2.dumps(tree, canonical=True))


CBOR = {
    "nothing": "",
    "a map out of order": "a4" + "6176016163616e616fa06166a0",
    "a long form of 1": "a461631801616fa06166a0617601",
    "a key twice": "a5617601" * 2 + "6163616e616fa06166a0",
    "an indefinite map": "bf61763961ff",
    "something after it": encode(Device(A).write(color=Set(1))).hex() + "00",
    "a self-described start": "d9d9f7" + encode(Device(A).write(color=Set(1))).hex(),
    "nesting without end": "81" * 100_000,
    "an array of 2^64 - 1": "9bffffffffffffffff",
    "a text of 2^63": "7b7fffffffffffffff",
    "a wrong UTF-8 text": "a161ff00",
}


@pytest.mark.parametrize("body", CBOR.values(), ids=CBOR.keys())
def test_bytes_that_are_not_deterministic_cbor_are_refused(body: str) -> None:
    _refused(bytes.fromhex(body))


TAGS = {
    "a big number": "c24101",
    "a big negative number": "c34101",
    "a decimal fraction": "c4820101",
    "a value to share, and its share": "82d81c80d81d00",  # a few of these, nested, unfold into gigabytes
    "a text to share": "d901008163616161",
    "a set": "d9010280",
    "an address": "d9010444c0a80001",
    "CBOR that says so": "d9d9f701",
    "a tag without a meaning": "d9ffff01",
}


@pytest.mark.parametrize("body", TAGS.values(), ids=TAGS.keys())
def test_tags_are_refused_before_they_are_followed(body: str) -> None:
    with pytest.raises(EcholiaError, match="body_invalid"):
        load(bytes.fromhex(body))


@moderate
@given(st.binary(max_size=64))
def test_random_bytes_are_refused(body: bytes) -> None:
    _refused(body)


def test_damaged_plaintexts_are_refused_or_read_never_anything_else() -> None:
    a = Device(A)
    state = a.write(
        title=Set("t"), body=ReplaceText("b"), labels=Add(1.5), color=Set({"k": [None]}), reads=Increment()
    )
    body, random = encode(state), Random(7)
    for _ in range(1500):
        damaged = bytearray(body)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(body))] = random.randrange(256)
        read = _read_or_code(bytes(damaged))
        assert read == "body_invalid" if isinstance(read, str) else encode(read) == damaged


def test_fields_of_a_newer_app_are_carried_along() -> None:
    newer = decode(cbor2.dumps(_field("set", {B: 1}, [[B, 1, "x"]]), canonical=True))
    both = decode(encode(join(Device(A).write(color=Set(1)), newer)))
    assert view(both)["fields"] == {"color": 1, "x": ["x"]}


def test_a_field_under_two_policies_keeps_both() -> None:
    one = decode(cbor2.dumps(_field("lww", KEY, "old"), canonical=True))
    other = decode(cbor2.dumps(_field("multi", {B: 1}, [[B, 1, "new"]]), canonical=True))
    both = joined(one, other, one)
    assert isinstance(both.fields["x"], Mixed)
    assert canonical_view(both) == canonical_view(join(other, one))
    assert encode(decode(encode(both))) == encode(both)
    assert view(both)["conflicts"] == ["x"]


def _register(state: ObjectState, field: str = "color") -> Key:
    register = state.fields[field]
    assert isinstance(register, Register)
    return register.key


def test_a_claim_after_its_arrival_is_read_as_its_arrival() -> None:
    late = Device(A).write(9_000_000, color=Set("red"))
    read = clamp(late, {Dot(A, 1): 5000}.get)
    assert _register(read) == Key(5000, 0xFFFF, A, 1)
    assert newest_stamp(read) == Stamp(5000, 0xFFFF)


@pytest.mark.parametrize("received", [{Dot(A, 1): 5000}, {Dot(A, 1): 9000}, {}])
def test_an_honest_or_unacknowledged_claim_stays(received: dict[Dot, int]) -> None:
    claim = Device(A).write(5000, color=Set("red"))
    assert _register(clamp(claim, received.get)) == _register(claim)


def test_clamping_reaches_into_mixed_fields() -> None:
    tree = _field("mixed", ["lww", [9000, 0, A, 1], 1], ["multi", {}, []])
    read = clamp(decode(cbor2.dumps(tree, canonical=True)), {Dot(A, 1): 5}.get)
    assert newest_stamp(read) == Stamp(5, 0xFFFF)


def test_a_device_ten_years_ahead_loses_to_the_next_writer() -> None:
    """Though that one has not even seen its write, and both logged theirs within a second."""
    ten_years_ms = 10 * 365 * 86_400_000
    ahead = Device(A).write(1_000_000 + ten_years_ms, color=Set("from the future"))
    honest = Device(B).write(1_000_900, color=Set("now"))
    received = {Dot(A, 1): 1_000_100, Dot(B, 1): 1_001_000}.get
    assert view(join(clamp(ahead, received), clamp(honest, received)))["fields"]["color"] == "now"


def test_a_state_without_registers_teaches_the_clock_nothing() -> None:
    assert newest_stamp(Device(A).write(labels=Add(1))) == Stamp(0, 0)
