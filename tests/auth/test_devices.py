"""Devices: listed with their log, revoked at once, never the last one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.ids import b64, unb64
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Answer, Asker
from tests.support.engine_fixtures import engine
from tests.support.server import served

__all__ = ["engine"]  # each test runs on both engines

PHONE = Keys("anna's phone")


async def with_phone(ask: Asker, anna: Account) -> str:
    """Add the phone; returns its access token."""
    assert (await anna.pair(ask, ask.token, PHONE)).status == 204
    access: str = (await anna.sign_in(ask, PHONE)).json()["access"]
    return access


async def test_the_list_and_the_log_say_the_same(ask: Asker, anna: Account) -> None:
    await with_phone(ask, anna)
    await anna.revoke(ask, ask.token, PHONE)
    told = (await ask("GET", "/auth/devices")).json()
    entries = [
        SignedEntry(unb64(one["entry"]), {name: unb64(value) for name, value in one["signatures"].items()})
        for one in told["log"]
    ]
    log = DeviceLog.replay(entries)
    assert (log.account, log.length, b64(log.head)) == (anna.id, told["n"], told["head"])
    assert not told["more"]
    assert {each["device"]: each["revoked"] for each in told["devices"]} == {
        b64(anna.first.id): False,
        b64(PHONE.id): True,
    }


async def test_the_log_is_given_from_where_one_has_it(ask: Asker, anna: Account) -> None:
    await with_phone(ask, anna)
    told = (await ask("GET", "/auth/devices?after=1")).json()
    assert told["log"] == [entry_json(anna.entries[1])]
    beyond = (await ask("GET", "/auth/devices?after=9")).json()
    assert (beyond["log"], beyond["n"], beyond["more"]) == ([], 2, False)


async def test_a_revoked_device_is_refused_at_once(ask: Asker, anna: Account) -> None:
    phone = await with_phone(ask, anna)
    signed_in = (await anna.sign_in(ask, PHONE)).json()
    assert (await ask("GET", "/sync/status", token=phone)).status == 200
    assert (await anna.revoke(ask, ask.token, PHONE)).status == 204
    for target in ("/sync/status", "/auth/devices", "/sync/live"):
        answer = await ask("GET", target, token=phone)
        assert (answer.status, answer.code) == (401, "device_revoked")
    assert (await anna.sign_in(ask, PHONE)).code == "device_revoked"
    assert (await ask("POST", "/auth/refresh", {"refresh": signed_in["refresh"]})).code == "unauthorized"
    assert (await ask("GET", "/sync/status")).status == 200


async def test_it_stays_refused_after_a_restart(tmp_path: Path) -> None:
    account, data = Account("anna"), tmp_path / "data"
    async with served(data) as ask:
        ask.token = (await account.register(ask))["access"]
        phone = await with_phone(ask, account)
        await account.revoke(ask, ask.token, PHONE)
    async with served(data) as ask:
        assert (await ask("GET", "/sync/status", token=phone)).code == "device_revoked"
        assert (await account.sign_in(ask, PHONE)).code == "device_revoked"


async def test_a_revocation_ends_the_device_s_streams_and_no_other(ask: Asker, anna: Account) -> None:
    phone = await with_phone(ask, anna)
    async with ask.stream("/sync/live", phone) as theirs, ask.stream("/sync/live") as ours:
        await theirs.until(b"event: head")
        await ours.until(b"event: head")
        await anna.revoke(ask, ask.token, PHONE)
        await theirs.end()
        assert not ours.ended


async def test_a_revoked_device_s_key_boxes_go(ask: Asker, anna: Account) -> None:
    opened = await ask("POST", "/auth/pair-device", {"token_hash": b64(bytes(32))})
    signed = anna.add_entry(PHONE)
    anna.devices.append(PHONE)
    boxes = [anna.key_box(b64(PHONE.id))]
    body = {**entry_json(signed), "key_boxes": boxes, "message": b64(b"sealed")}
    confirmed = await ask("POST", f"/auth/pair-device/{opened.json()['mailbox']}/confirm", body)
    assert confirmed.status == 204
    anna.append(signed)
    target = f"/auth/key-boxes?recipient={b64(PHONE.id)}"
    assert len((await ask("GET", target)).json()["boxes"]) == 1
    await anna.revoke(ask, ask.token, PHONE)
    assert (await ask("GET", target)).json() == {"boxes": []}
    assert len((await ask("GET", "/auth/key-boxes")).json()["boxes"]) == 1


async def test_the_last_device_stays(ask: Asker, anna: Account) -> None:
    answer = await anna.revoke(ask, ask.token, anna.first)
    assert (answer.status, answer.code) == (409, "device_last")
    assert (await ask("GET", "/sync/status")).status == 200


async def test_recovery_revokes_too(ask: Asker, anna: Account) -> None:
    await with_phone(ask, anna)
    fields = {"device": PHONE.id, "last": 0, "chain": bytes(32), "by": b""}
    signed = anna._sign(entry_bytes("revoke", anna.log, fields), {"recovery": anna.recovery})
    answer = await ask("DELETE", f"/auth/device/{b64(PHONE.id)}", entry_json(signed))
    assert answer.status == 204


async def test_the_entry_must_revoke_the_device_of_the_address(ask: Asker, anna: Account) -> None:
    await with_phone(ask, anna)
    entry = entry_json(anna.revoke_entry(PHONE))
    wrong = await ask("DELETE", f"/auth/device/{b64(anna.first.id)}", entry)
    assert (wrong.status, wrong.code) == (400, "device_log_invalid")
    added = await ask("DELETE", f"/auth/device/{b64(PHONE.id)}", entry_json(anna.add_entry(Keys("third"))))
    assert added.code == "device_log_invalid"
    unknown = await ask("DELETE", f"/auth/device/{b64(bytes(16))}", entry)
    assert (unknown.status, unknown.code) == (404, "device_unknown")


async def test_the_same_revocation_many_times_at_once_is_one(ask: Asker, anna: Account) -> None:
    """A network may repeat a request while the first is being answered: no copy of it is wrong."""
    await with_phone(ask, anna)
    body, target = entry_json(anna.revoke_entry(PHONE)), f"/auth/device/{b64(PHONE.id)}"

    async def late(ticks: int) -> Answer:
        for _ in range(ticks):
            await asyncio.sleep(0)
        return await ask("DELETE", target, body)

    answers = await asyncio.gather(*(late(ticks) for ticks in range(40)))
    statuses = {answer.status for answer in answers}
    assert 204 in statuses
    assert statuses <= {204, 409}
    assert (await ask("GET", "/auth/devices")).json()["n"] == 3


async def test_an_entry_on_an_older_head_conflicts_and_the_same_again_does_not(
    ask: Asker, anna: Account
) -> None:
    await with_phone(ask, anna)
    late = anna.revoke_entry(PHONE)
    body = entry_json(late)
    target = f"/auth/device/{b64(PHONE.id)}"
    third = Keys("third")
    assert (await anna.pair(ask, ask.token, third)).status == 204
    conflict = await ask("DELETE", target, body)
    assert (conflict.status, conflict.code) == (409, "device_log_conflict")
    fresh = entry_json(anna.revoke_entry(PHONE))
    assert (await ask("DELETE", target, fresh)).status == 204
    assert (await ask("DELETE", target, fresh)).status == 204
    assert (await ask("GET", "/auth/devices")).json()["n"] == 4


async def test_of_two_revocations_at_once_one_is_appended(ask: Asker, anna: Account) -> None:
    await with_phone(ask, anna)
    third = Keys("third")
    await anna.pair(ask, ask.token, third)
    asks = [
        ask("DELETE", f"/auth/device/{b64(each.id)}", entry_json(anna.revoke_entry(each)))
        for each in (PHONE, third)
    ]
    answers = await asyncio.gather(*asks)
    assert sorted(answer.status for answer in answers) == [204, 409]
    assert (await ask("GET", "/auth/devices")).json()["n"] == 4
