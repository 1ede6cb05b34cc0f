"""Device keys, account secrets and key boxes: who can open what, and that nothing secret is ever shown."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_box_seal

from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.core.ids import device_id
from echolia.core.signing import verify
from echolia.e2ee.keys import AccountSecrets, KeyPairs, open_key_box, seal_key_box
from tests.vectors.world import ACCOUNT, LAPTOP, PHONE, seed

KEYS = KeyPairs(PHONE.sign_seed, PHONE.box_secret)
OTHER = KeyPairs(LAPTOP.sign_seed, LAPTOP.box_secret)
SECRETS = AccountSecrets(ACCOUNT, 2, {1: seed("key 1"), 2: seed("key 2")}, seed("index key"))
EXPECTED = {"key_box_invalid", "unsupported_version"}
STRANGE: st.SearchStrategy[object] = st.sampled_from(
    [
        None,
        True,
        0,
        1,
        2,
        -1,
        0.5,
        "",
        b"",
        bytes(16),
        bytes(32),
        [],
        {},
        {1: 1},
        {2: bytes(31)},
        {True: bytes(32)},
    ]
)


def refusal(plaintext: bytes) -> str | None:
    """The code by which secrets are refused, or None; any other exception is the test's failure."""
    try:
        AccountSecrets.decode(plaintext)
    except EcholiaError as error:
        return error.code
    return None


def test_public_keys_and_id_are_those_of_another_implementation() -> None:
    assert KEYS.public() == PHONE.public
    assert KEYS.device == PHONE.id == device_id(KEYS.sign_public, KEYS.box_public)
    assert verify(PHONE.public["sign"], b"message", KEYS.sign(b"message"))


def test_nothing_secret_is_shown() -> None:
    shown = repr(KEYS) + str(KEYS) + repr(SECRETS) + str(SECRETS)
    for secret in (KEYS.sign_secret, KEYS.box_secret, *SECRETS.keys.values(), SECRETS.index):
        for part in (secret.hex(), repr(secret)[2:-1], str(list(secret))):
            assert part not in shown


def test_a_box_opens_for_its_recipient_alone() -> None:
    box = seal_key_box(SECRETS, KEYS.box_public)
    assert open_key_box(box, KEYS) == SECRETS
    with pytest.raises(EcholiaError) as refused:
        open_key_box(box, OTHER)
    assert refused.value.code == "key_box_invalid"


def test_two_boxes_of_the_same_secrets_differ() -> None:
    assert seal_key_box(SECRETS, KEYS.box_public) != seal_key_box(SECRETS, KEYS.box_public)


@settings(max_examples=60)
@given(st.binary(max_size=120))
@example(bytes(48))
@example(crypto_box_seal(b"", PHONE.public["box"]))
@example(crypto_box_seal(b"secret plaintext", PHONE.public["box"]))
def test_any_other_box_is_refused_without_a_word_of_it(box: bytes) -> None:
    with pytest.raises(EcholiaError) as refused:
        open_key_box(box, KEYS)
    assert refused.value.code == "key_box_invalid"
    assert "secret plaintext" not in str(refused.value)


@given(
    st.dictionaries(st.integers(1, 2**32 - 1), st.binary(min_size=32, max_size=32), min_size=1, max_size=4),
    st.data(),
)
def test_secrets_come_back(keys: dict[int, bytes], data: st.DataObject) -> None:
    generation = data.draw(st.sampled_from(sorted(keys)))
    secrets = AccountSecrets(ACCOUNT, generation, keys, seed("index"))
    assert AccountSecrets.decode(secrets.encode()) == secrets


@settings(max_examples=200)
@given(st.sampled_from(["v", "account", "generation", "keys", "index"]), STRANGE)
def test_any_other_shape_is_refused(field: str, value: object) -> None:
    fields = canonical.decode(SECRETS.encode())
    found = refusal(canonical.encode({**fields, field: value}))
    right = (field, value) in [("v", 1), ("account", bytes(16)), ("index", bytes(32)), ("generation", 1)]
    unchanged = (field, value) == ("generation", 2)
    taken = type(value) is not bool and (right or unchanged)
    assert (found is None) if taken else (found in EXPECTED)


@given(st.binary(max_size=80))
def test_any_bytes_are_refused(raw: bytes) -> None:
    assert refusal(raw) in EXPECTED


def test_pseudonyms_tell_nothing_and_stay() -> None:
    other = AccountSecrets(ACCOUNT, 1, {1: bytes(32)}, seed("another index key"))
    streams = {secrets.stream(name) for secrets in (SECRETS, other) for name in ("entries", "tags")}
    assert len(streams) == 4
    assert SECRETS.stream("entries") == AccountSecrets(ACCOUNT, 9, {9: bytes(32)}, SECRETS.index).stream(
        "entries"
    )


def test_importing_twice_finds_the_same_object() -> None:
    assert SECRETS.imported_object("obsidian", "a.md") == SECRETS.imported_object("obsidian", "a.md")
    assert SECRETS.imported_object("obsidian", "a.md") != SECRETS.imported_object("dayone", "a.md")
