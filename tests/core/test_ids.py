"""Ids and base64url: one spelling for the same bytes, ids bound to their keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES, account_id, b64, device_id, unb64


@given(st.binary(max_size=80))
def test_bytes_come_back_from_their_text(raw: bytes) -> None:
    assert unb64(b64(raw)) == raw
    assert unb64(b64(raw), len(raw)) == raw


@given(st.text("ABCxyz019-_=+/ \né📊", max_size=30))
def test_any_text_is_one_spelling_or_refused(text: str) -> None:
    try:
        raw = unb64(text)
    except EcholiaError:
        return
    assert b64(raw) == text


@pytest.mark.parametrize("text", ["AB", "AA==", "secret, secret", "📊"])
def test_a_refusal_does_not_repeat_what_was_sent(text: str) -> None:
    with pytest.raises(EcholiaError) as refused:
        unb64(text)
    assert refused.value.code == "invalid_request" and text not in str(refused.value)


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_another_length_is_refused(length: int) -> None:
    with pytest.raises(EcholiaError, match="right length"):
        unb64(b64(bytes(16)), length)


def test_ids_depend_on_every_key() -> None:
    keys = bytes(32), bytes([1]) * 32
    found = {
        device_id(*keys),
        device_id(*keys[::-1]),
        device_id(keys[0], keys[0]),
        device_id(keys[1], keys[1]),
    }
    assert len(found) == 4
    assert {len(each) for each in found} == {ID_BYTES}


def test_accounts_and_devices_have_ids_of_their_own() -> None:
    keys = bytes(32), bytes([1]) * 32
    assert account_id(b"".join(keys)) != device_id(*keys)
    assert len(account_id(b"")) == ID_BYTES
