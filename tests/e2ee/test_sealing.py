"""Sealed bodies: they open where they belong and nowhere else, and their lengths tell little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echolia.core import runs
from echolia.core.errors import EcholiaError
from echolia.core.padding import CEILING_BYTES, FLOOR_BYTES, is_padme
from echolia.core.runs import Change
from echolia.e2ee import sealing
from echolia.e2ee.keys import AccountSecrets
from echolia.e2ee.sealing import MAX_PLAINTEXT_BYTES, Draft, ObjectKey
from tests.vectors import reference as ref
from tests.vectors.world import ACCOUNT, ENTRIES, LAPTOP, NOTE, OTHER_NOTE, PHONE, TABLET, TAGS, seed

SECRETS = AccountSecrets(ACCOUNT, 1, {1: seed("key 1"), 2: seed("key 2")}, seed("index key"))
CONTEXT = dict(sorted([(PHONE.id, 7), (TABLET.id, 3)]))


class Dice:
    """Bytes that look random and are always the same."""

    def __init__(self, name: str = "dice") -> None:
        self._name, self._n = name, 0

    def __call__(self, length: int) -> bytes:
        """The next bytes, at most 32."""
        self._n += 1
        return sha256(f"{self._name} {self._n}".encode()).digest()[:length]


def draft(plaintext: bytes = b"a note", counter: int = 1, kind: int = runs.STATE) -> Draft:
    """A change of the first note."""
    return Draft(counter, kind, NOTE, ENTRIES, CONTEXT, plaintext)


def sealed(plaintext: bytes = b"a note", dice: Callable[[int], bytes] | None = None) -> Change:
    """The sealed change of that draft."""
    dice = dice or Dice()
    key = sealing.new_object_key(SECRETS, NOTE, dice)
    return runs.read_change(sealing.seal(SECRETS, LAPTOP.id, draft(plaintext), key, dice), 1)


def opened(change: Change, secrets: AccountSecrets = SECRETS, device: bytes = LAPTOP.id) -> bytes:
    """What is inside."""
    return sealing.open_change(secrets, device, change)[0]


def refusal(change: Change, secrets: AccountSecrets = SECRETS, device: bytes = LAPTOP.id) -> str | None:
    """All that a refusal says, but for a missing generation; any other exception is the test's failure."""
    try:
        opened(change, secrets, device)
    except EcholiaError as error:
        return str(error).removesuffix(": generation 2")
    return None


@settings(max_examples=60)
@given(st.binary(max_size=600))
def test_a_plaintext_comes_back_from_a_body_of_an_allowed_length(plaintext: bytes) -> None:
    change = sealed(plaintext)
    assert opened(change) == plaintext
    assert is_padme(len(change.body))
    assert len(change.body) >= FLOOR_BYTES


@pytest.mark.parametrize("tail", [b"", b"\x80", b"\x80\0", b"\0\0", b"\x80\x80\0\x80"])
def test_what_looks_like_padding_is_kept(tail: bytes) -> None:
    assert opened(sealed(b"text" + tail)) == b"text" + tail


def test_short_plaintexts_cannot_be_told_apart_by_length() -> None:
    assert {len(sealed(bytes(length)).body) for length in (0, 1, 50, 111)} == {256}


def test_long_plaintexts_share_few_lengths() -> None:
    lengths = {len(sealed(bytes(length)).body) for length in range(1000, 1064)}
    assert len(lengths) == 2
    assert all(map(is_padme, lengths))


def test_the_plaintext_is_nowhere_in_the_change() -> None:
    change = sealed(b"a very recognisable plaintext")
    assert b"recognisable" not in change.header + change.body


@settings(max_examples=150)
@given(st.integers(0, 256 * 8 - 1))
def test_no_bit_of_a_body_is_spare(bit: int) -> None:
    change = sealed()
    body = bytearray(change.body)
    body[bit // 8] ^= 1 << bit % 8
    assert refusal(change._replace(body=bytes(body))) == "body_unreadable"


@settings(max_examples=60)
@given(st.binary(max_size=600))
def test_any_other_body_is_unreadable(body: bytes) -> None:
    assert refusal(sealed()._replace(body=body)) == "body_unreadable"


def test_every_cut_is_unreadable() -> None:
    change = sealed()
    codes = {refusal(change._replace(body=change.body[:length])) for length in range(256)}
    assert codes == {"body_unreadable"}


@pytest.mark.parametrize(
    "moved",
    [
        {"kind": runs.DELTA},
        {"object_": OTHER_NOTE},
        {"stream": TAGS},
        {"context": {}},
        {"generation": 2},
        {"body_bytes": 272},
    ],
    ids=lambda moved: next(iter(moved)),
)
def test_a_body_belongs_to_its_header(moved: dict[str, object]) -> None:
    fields = {
        "kind": 1, "generation": 1, "object_": NOTE, "stream": ENTRIES, "context": CONTEXT, "body_bytes": 256,
    }  # fmt: skip
    change = sealed()
    assert runs.change_header(**fields) == change.header  # type: ignore[arg-type]
    header = runs.change_header(**fields | moved)  # type: ignore[arg-type]
    assert refusal(runs.read_change(header + change.body, 1)) == "body_unreadable"


def test_each_part_of_a_bodys_place_counts_by_itself() -> None:
    """Sealed by another implementation with the right keys and nonces, and one part of the AAD another."""
    whole = sealed()
    head = ref.Change(b"", runs.STATE, 1, NOTE, ENTRIES, sorted(CONTEXT.items()), 256)
    assert head.header == whole.header
    dice = Dice()
    key, wrap_nonce, nonce = dice(32), dice(24), dice(24)
    padded = ref.pad(b"a note", 256)

    def found(wrap: dict[str, Any], **other: Any) -> str | None:
        place: dict[str, Any] = {"account": ACCOUNT, "object_": NOTE, "generation": 1} | wrap
        wrapped = ref.wrap(SECRETS.keys[1], wrap_nonce, key, **place)
        parts: dict[str, Any] = {
            "account": ACCOUNT,
            "device": LAPTOP.id,
            "counter": 1,
            "suite": 1,
            "head": head,
        } | other
        where = (parts["account"], parts["device"], parts["counter"])
        body = ref.seal(wrapped, key, nonce, padded, where, parts["head"], parts["suite"])
        return refusal(whole._replace(body=body))

    assert found({}) is None
    wraps: list[dict[str, Any]] = [{"account": bytes(16)}, {"object_": OTHER_NOTE}, {"generation": 2}]
    assert {found(each) for each in wraps} == {"body_unreadable"}
    places: list[dict[str, Any]] = [{"suite": 2}, {"suite": 0}, {"account": bytes(16)}]
    places += [{"device": PHONE.id}, {"counter": 2}]
    headers: list[dict[str, Any]] = [
        {"object": OTHER_NOTE},
        {"stream": TAGS},
        {"kind": runs.DELTA},
        {"generation": 2},
    ]
    headers += [{"context": []}, {"body_length": 272}]
    places += [{"head": replace(head, **each)} for each in headers]
    assert {found({}, **each) for each in places} == {"body_unreadable"}


def test_a_body_belongs_to_its_device_counter_and_account() -> None:
    change = sealed()
    assert refusal(change, device=PHONE.id) == "body_unreadable"
    assert refusal(change._replace(counter=2)) == "body_unreadable"
    assert refusal(change, replace(SECRETS, account=bytes(16))) == "body_unreadable"


def test_a_generation_not_known_yet_is_another_matter() -> None:
    later = replace(SECRETS, generation=2)
    dice = Dice()
    key = sealing.new_object_key(later, NOTE, dice)
    change = runs.read_change(sealing.seal(later, LAPTOP.id, draft(), key, dice), 1)
    without = replace(SECRETS, keys={1: SECRETS.keys[1]})
    assert refusal(change, without) == "key_missing"
    assert refusal(change) is None


def test_an_objects_key_serves_again_and_moves_to_the_next_generation() -> None:
    dice = Dice()
    key = sealing.new_object_key(SECRETS, NOTE, dice)
    assert sealing.rewrap(SECRETS, NOTE, key, dice) is key
    later = replace(SECRETS, generation=2)
    moved = sealing.rewrap(later, NOTE, key, dice)
    assert (moved.generation, moved.key) == (2, key.key)
    assert moved.wrapped != key.wrapped
    assert sealing.unwrap(SECRETS, NOTE, 2, moved.wrapped) == moved
    change = runs.read_change(sealing.seal(SECRETS, LAPTOP.id, draft(counter=9), moved, dice), 9)
    assert sealing.open_change(SECRETS, LAPTOP.id, change) == (b"a note", moved)


def test_a_wrapped_key_belongs_to_its_object() -> None:
    key = sealing.new_object_key(SECRETS, NOTE, Dice())
    with pytest.raises(EcholiaError) as refused:
        sealing.unwrap(SECRETS, OTHER_NOTE, 1, key.wrapped)
    assert refused.value.code == "body_unreadable"


def test_the_same_plaintext_never_gives_the_same_body() -> None:
    one, other = sealed(dice=Dice("one")), sealed(dice=Dice("other"))
    assert all(a != b for a, b in zip(_parts(one), _parts(other), strict=True))


def _parts(change: Change) -> list[bytes]:
    body = change.body
    return [body[:72], body[72:96], body[96:128], body[128:]]


def test_a_repeated_nonce_under_another_key_shares_nothing() -> None:
    nonce = Dice("nonce")(24)

    def body_under(name: str) -> Change:
        key = ObjectKey(1, bytes(72), seed(name))
        return runs.read_change(sealing.seal(SECRETS, LAPTOP.id, draft(), key, lambda length: nonce), 1)

    one, other = _parts(body_under("one")), _parts(body_under("other"))
    assert one[1] == other[1] and one[2] != other[2] and one[3] != other[3]


@pytest.mark.parametrize(("length", "taken"), [(MAX_PLAINTEXT_BYTES, True), (MAX_PLAINTEXT_BYTES + 1, False)])
def test_a_body_is_at_most_a_mebibyte(length: int, taken: bool) -> None:
    if taken:
        assert len(sealed(bytes(length)).body) == CEILING_BYTES
        return
    with pytest.raises(EcholiaError) as refused:
        sealed(bytes(length))
    assert refused.value.code == "body_too_large"


def test_nothing_secret_is_shown() -> None:
    key = sealing.new_object_key(SECRETS, NOTE, Dice())
    shown = repr(key) + repr(draft(b"a very recognisable plaintext"))
    assert "recognisable" not in shown
    assert repr(key.key)[2:-1] not in shown and key.key.hex() not in shown
