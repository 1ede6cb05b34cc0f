"""Notices as a stranger carries them: sealed, of one length, and nothing unless sealed under the key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from echolia.storage.secret_files import KEY_BYTES
from echolia.web.notices.form import SENDER_BYTES, Told
from echolia.web.notices.port import MISSED, Ended, HeadMoved, Notice
from echolia.web.notices.sealing import Seal

SEAL, OTHER = Seal(bytes(KEY_BYTES)), Seal(b"\1" * KEY_BYTES)
ID = st.binary(min_size=16, max_size=16)
NUMBER = st.integers(0, 2**53 - 1)
NOTICE: st.SearchStrategy[Notice] = st.one_of(
    st.builds(HeadMoved, ID, NUMBER, NUMBER), st.builds(Ended, ID, st.none() | ID), st.just(MISSED)
)
SENDER = st.binary(min_size=SENDER_BYTES, max_size=SENDER_BYTES)


@given(NOTICE, SENDER)
def test_what_is_opened_is_what_was_told(notice: Notice, sender: bytes) -> None:
    opened = SEAL.open(SEAL.close(Told(sender, notice)))
    assert opened == (sender, notice)
    assert opened is not None
    assert type(opened.notice) is type(notice)


@given(NOTICE, SENDER)
def test_all_look_alike(notice: Notice, sender: bytes) -> None:
    sealed = SEAL.close(Told(sender, notice))
    assert len(sealed) == 97
    assert sealed != SEAL.close(Told(sender, notice))
    for part in notice:
        if isinstance(part, bytes):
            assert part not in sealed


@given(st.binary(max_size=200))
def test_any_bytes_are_nothing(data: bytes) -> None:
    assert SEAL.open(data) is None


def test_another_key_opens_nothing() -> None:
    sealed = OTHER.close(Told(bytes(SENDER_BYTES), MISSED))
    assert OTHER.open(sealed) is not None
    assert SEAL.open(sealed) is None
    assert SEAL.channel != OTHER.channel
