"""What devices sign: no message can ever be taken for another, and each binds all its fields."""

from __future__ import annotations

from itertools import combinations

import pytest

from echolia.core import messages
from echolia.core.positions import LogPosition
from tests.vectors.world import ACCOUNT, LAPTOP, OTHER_ACCOUNT, PHONE, seed

SEEN = LogPosition(5, 6, seed("log"))
EVERY = {
    "run": messages.run_message(1, ACCOUNT, LAPTOP.id, 7, seed("chain"), SEEN),
    "ack": messages.ack_message(ACCOUNT, LAPTOP.id, SEEN, 3, seed("head")),
    "login": messages.login_message(LAPTOP.id, seed("challenge")),
    "delete": messages.delete_account_message(ACCOUNT, seed("challenge")),
    "key box": messages.key_box_message(ACCOUNT, 1, PHONE.public["box"], b"box"),
    "device log": messages.device_log_message(b"entry"),
}


def test_no_message_begins_as_another() -> None:
    for one, other in combinations(EVERY.values(), 2):
        assert not one.startswith(other) and not other.startswith(one)


def test_every_message_names_its_purpose_and_version() -> None:
    labels = {message[: message.index(b"/1/") + 3] for message in EVERY.values()}
    assert labels == {b"echolia/1/"}


@pytest.mark.parametrize(
    "other",
    [
        messages.run_message(2, ACCOUNT, LAPTOP.id, 7, seed("chain"), SEEN),
        messages.run_message(1, OTHER_ACCOUNT, LAPTOP.id, 7, seed("chain"), SEEN),
        messages.run_message(1, ACCOUNT, PHONE.id, 7, seed("chain"), SEEN),
        messages.run_message(1, ACCOUNT, LAPTOP.id, 8, seed("chain"), SEEN),
        messages.run_message(1, ACCOUNT, LAPTOP.id, 7, seed("other"), SEEN),
        messages.run_message(1, ACCOUNT, LAPTOP.id, 7, seed("chain"), SEEN._replace(epoch=4)),
        messages.run_message(1, ACCOUNT, LAPTOP.id, 7, seed("chain"), SEEN._replace(seq=4)),
        messages.run_message(1, ACCOUNT, LAPTOP.id, 7, seed("chain"), SEEN._replace(log=bytes(32))),
    ],
)
def test_a_run_binds_all_its_fields(other: bytes) -> None:
    assert other != EVERY["run"] and len(other) == len(EVERY["run"])


@pytest.mark.parametrize(
    "other",
    [
        messages.key_box_message(OTHER_ACCOUNT, 1, PHONE.public["box"], b"box"),
        messages.key_box_message(ACCOUNT, 2, PHONE.public["box"], b"box"),
        messages.key_box_message(ACCOUNT, 1, LAPTOP.public["box"], b"box"),
        messages.key_box_message(ACCOUNT, 1, PHONE.public["box"], b"xob"),
    ],
)
def test_a_key_box_binds_account_generation_recipient_and_content(other: bytes) -> None:
    assert other != EVERY["key box"]
