"""Devices added without a mailbox: a new identity, or an entry that a restored server lost."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.core.device_entries import SignedEntry
from echolia.core.ids import b64
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Asker
from tests.support.engine_fixtures import engine
from tests.support.server import served

__all__ = ["engine"]  # each test runs on both engines

PHONE, TABLET = Keys("anna's phone"), Keys("anna's tablet")


def addition(account: Account, device: Keys, by: Keys | None = None) -> dict[str, Any]:
    """The body that adds a device, with a key box for it."""
    signed = account.add_entry(device, by)
    account.devices.append(device)
    account.append(signed)
    return {**entry_json(signed), "key_boxes": [account.key_box(b64(device.id))]}


async def test_the_device_can_sign_in_and_has_its_key_box(ask: Asker, anna: Account) -> None:
    body = addition(anna, PHONE)
    assert (await ask("POST", "/auth/devices", body)).status == 204
    assert (await anna.sign_in(ask, PHONE)).status == 200
    boxes = (await ask("GET", f"/auth/key-boxes?recipient={b64(PHONE.id)}")).json()["boxes"]
    assert [each["signer"] for each in boxes] == [b64(anna.first.id)]


async def test_the_same_entry_again_changes_nothing_however_late(ask: Asker, anna: Account) -> None:
    first = addition(anna, PHONE)
    for body in (first, first, addition(anna, TABLET), first):
        assert (await ask("POST", "/auth/devices", body)).status == 204
    assert (await ask("GET", "/auth/devices")).json()["n"] == 3


async def test_an_entry_may_be_signed_by_another_device_than_brings_it(ask: Asker, anna: Account) -> None:
    assert (await ask("POST", "/auth/devices", addition(anna, PHONE))).status == 204
    body = {**addition(anna, TABLET, by=PHONE), "key_boxes": []}
    assert (await ask("POST", "/auth/devices", body)).status == 204
    assert (await anna.sign_in(ask, TABLET)).status == 200


async def test_an_entry_on_an_older_head_is_a_conflict(ask: Asker, anna: Account) -> None:
    late = entry_json(anna.add_entry(TABLET))
    assert (await ask("POST", "/auth/devices", addition(anna, PHONE))).status == 204
    assert (await ask("POST", "/auth/devices", late)).code == "device_log_conflict"


async def test_a_revoked_device_adds_nobody(ask: Asker, anna: Account) -> None:
    await ask("POST", "/auth/devices", addition(anna, PHONE))
    await anna.revoke(ask, ask.token, PHONE)
    body = entry_json(anna.add_entry(TABLET, by=PHONE))
    assert (await ask("POST", "/auth/devices", body)).code == "device_log_invalid"


async def test_an_entry_that_revokes_is_refused_here(ask: Asker, anna: Account) -> None:
    await ask("POST", "/auth/devices", addition(anna, PHONE))
    body = entry_json(anna.revoke_entry(PHONE))
    assert (await ask("POST", "/auth/devices", body)).code == "device_log_invalid"


async def test_a_missing_signature_is_refused(ask: Asker, anna: Account) -> None:
    signed = anna.add_entry(PHONE)
    (mine, _) = signed.signatures.items()
    body = entry_json(SignedEntry(signed.entry, dict([mine])))
    assert (await ask("POST", "/auth/devices", body)).code == "device_log_invalid"


async def test_a_key_box_of_another_signer_is_refused(ask: Asker, anna: Account) -> None:
    body = addition(anna, PHONE)
    body["key_boxes"] = [anna.key_box(b64(PHONE.id), by=PHONE)]
    assert (await ask("POST", "/auth/devices", body)).code == "key_box_invalid"
    assert (await ask("GET", "/auth/devices")).json()["n"] == 1


async def test_a_device_of_another_account_is_refused(ask: Asker, anna: Account) -> None:
    bob = Account("bob")
    await bob.register(ask)
    body = {**entry_json(anna.add_entry(bob.first)), "key_boxes": []}
    assert (await ask("POST", "/auth/devices", body)).code == "account_exists"


@pytest.mark.parametrize("body", [{}, {"entry": "AA", "signatures": {}, "more": 1}])
async def test_another_form_is_refused(ask: Asker, anna: Account, body: dict[str, Any]) -> None:
    assert (await ask("POST", "/auth/devices", body)).code == "invalid_request"


async def test_an_account_may_have_only_so_many(tmp_path: Any) -> None:
    async with served(tmp_path / "data", max_devices=2) as ask:
        account = Account("anna")
        ask.token = (await account.register(ask))["access"]
        assert (await ask("POST", "/auth/devices", addition(account, PHONE))).status == 204
        body = addition(account, TABLET)
        assert (await ask("POST", "/auth/devices", body)).code == "too_many_devices"
