"""Deletion: signed anew, at once, complete to the last byte, and finished after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.auth.store import accounts as store
from echolia.core.ids import b64, unb64
from echolia.core.messages import delete_account_message, login_message
from tests.support import on_disk as disk
from tests.support.accounts import Account, Keys
from tests.support.asgi import Answer, Asker
from tests.support.engine_fixtures import engine
from tests.support.engines import ENGINE, opened_directory
from tests.support.runs import Writer
from tests.support.server import Clock, served

__all__ = ["engine"]  # each test runs on both engines


def on_disk(folder: Path, wanted: bytes) -> list[str]:
    """The files that hold these bytes, in any spelling, and the rows of the other engine."""
    kept = ENGINE.kept(folder)
    rows = ["postgres"] if any(spelling in kept for spelling in disk.spellings(wanted)) else []
    return rows + disk.on_disk(folder, wanted)


async def asked_to_delete(ask: Asker, account: Account, **changed: str) -> Answer:
    """A deletion of which something is changed."""
    nonce = unb64(
        (await ask("POST", "/auth/challenge", {"device": b64(account.first.id)})).json()["challenge"]
    )
    signature = b64(account.first.signed(delete_account_message(account.id, nonce)))
    body = {"confirm": b64(account.id), "challenge": b64(nonce), "signature": signature}
    return await ask("DELETE", "/auth/account", {**body, **changed})


async def test_nothing_of_the_account_is_left_on_the_disk(tmp_path: Path) -> None:
    data, anna, ben = tmp_path / "data", Account("anna"), Account("ben")
    async with served(data) as ask:
        await ben.register(ask)
        ask.token = (await anna.register(ask))["access"]
        await anna.pair(ask, ask.token, Keys("anna's phone"))
        await ask("POST", "/auth/pair-device", {"token_hash": b64(bytes(32))})
        wanted = [anna.id, anna.first.id, anna.first.sign, anna.first.box, anna.entries[0].entry]
        assert all(on_disk(data, each) for each in wanted)
        assert (await anna.delete(ask, ask.token)).status == 204
        # While the server still runs: the answer was the promise.
        assert [on_disk(data, each) for each in wanted] == [[]] * len(wanted)
        assert on_disk(data, ben.id)
        assert (await ben.sign_in(ask)).status == 200
    assert [on_disk(data, each) for each in wanted] == [[]] * len(wanted)


async def test_tokens_in_flight_are_refused_at_once_and_after_a_restart(tmp_path: Path) -> None:
    data, anna, phone = tmp_path / "data", Account("anna"), Keys("anna's phone")
    async with served(data) as ask:
        tokens = await anna.register(ask)
        access = tokens["access"]
        await anna.pair(ask, access, phone)
        phones = (await anna.sign_in(ask, phone)).json()
        async with ask.stream("/sync/live", phones["access"]) as stream:
            await stream.until(b"event: head")
            assert (await anna.delete(ask, access)).status == 204
            await stream.end()
        for target in ("/sync/status", "/auth/devices"):
            answer = await ask("GET", target, token=phones["access"])
            assert (answer.status, answer.code) == (401, "account_unknown")
        assert (await ask("POST", "/auth/refresh", {"refresh": tokens["refresh"]})).code == "unauthorized"
        assert (await anna.sign_in(ask)).code == "signature_invalid"
        assert (await anna.delete(ask, access)).code == "account_unknown"
    async with served(data) as ask:
        assert (await ask("GET", "/sync/status", token=access)).code == "account_unknown"


async def test_the_same_genesis_does_not_come_back(ask: Asker, anna: Account) -> None:
    await anna.delete(ask, ask.token)
    again = await ask("POST", "/auth/register", anna.registration())
    assert (again.status, again.code) == (401, "account_unknown")


async def test_the_devices_may_start_another_account(ask: Asker, anna: Account) -> None:
    await anna.delete(ask, ask.token)
    fresh = Account("anna's second", [anna.first])
    assert (await ask("POST", "/auth/register", fresh.registration())).status == 201


async def test_it_needs_a_fresh_signature_for_this_account(ask: Asker, anna: Account) -> None:
    other = Account("ben")
    assert (await asked_to_delete(ask, anna, confirm=b64(other.id))).code == "invalid_request"
    assert (await asked_to_delete(ask, anna, challenge=b64(bytes(32)))).code == "challenge_invalid"
    answer = await asked_to_delete(ask, anna, signature=b64(bytes(64)))
    assert (answer.status, answer.code) == (403, "signature_invalid")
    assert (await ask("GET", "/sync/status")).status == 200
    assert (await asked_to_delete(ask, anna)).status == 204


async def test_a_signature_for_signing_in_does_not_delete(ask: Asker, anna: Account) -> None:
    nonce = unb64((await ask("POST", "/auth/challenge", {"device": b64(anna.first.id)})).json()["challenge"])
    signature = b64(anna.first.signed(login_message(anna.first.id, nonce)))
    body = {"confirm": b64(anna.id), "challenge": b64(nonce), "signature": signature}
    assert (await ask("DELETE", "/auth/account", body)).code == "signature_invalid"


async def test_another_account_s_device_cannot(ask: Asker, anna: Account) -> None:
    ben = Account("ben")
    bens = (await ben.register(ask))["access"]
    nonce = unb64((await ask("POST", "/auth/challenge", {"device": b64(ben.first.id)})).json()["challenge"])
    signature = b64(ben.first.signed(delete_account_message(anna.id, nonce)))
    body = {"confirm": b64(anna.id), "challenge": b64(nonce), "signature": signature}
    assert (await ask("DELETE", "/auth/account", body, token=bens)).code == "invalid_request"
    assert (await ask("GET", "/sync/status")).status == 200


@pytest.mark.parametrize("file_is_gone", [False, True])
async def test_a_crash_in_the_middle_is_made_good_at_the_next_start(
    tmp_path: Path, file_is_gone: bool
) -> None:
    data, clock, anna = tmp_path / "data", Clock(), Account("anna")
    async with served(data, clock) as ask:
        access = (await anna.register(ask))["access"]
    async with opened_directory(data) as directory:
        await store.begin_deletion(directory, anna.id, int(clock() * 1000))
    if file_is_gone:
        for path in (data / "users").glob("*/*.db*"):
            path.unlink()
    async with served(data, clock) as ask:
        assert (await ask("GET", "/sync/status", token=access)).code == "account_unknown"
        assert on_disk(data, anna.id) == []
    async with served(data, clock) as ask:
        assert (await anna.sign_in(ask)).code == "signature_invalid"


async def test_pushed_runs_go_with_the_account(tmp_path: Path) -> None:
    data, anna = tmp_path / "data", Account("anna")
    async with served(data) as ask:
        access = (await anna.register(ask))["access"]
        writer = Writer(anna.id)
        writer.secret, writer.public = bytes(anna.first.signing), anna.first.sign
        writer.device = anna.first.id
        writer.write(3)
        frame = writer.run()
        body = b"\x01\x00\x01" + len(frame).to_bytes(4, "big") + frame
        pushed = await ask(
            "POST",
            "/sync/push",
            body=body,
            headers={"content-type": "application/vnd.echolia.push"},
            token=access,
        )
        assert pushed.json()["runs"][0]["status"] == "stored", pushed.body
        assert on_disk(data, writer.changes[0][-64:])
        await anna.delete(ask, access)
        assert on_disk(data, writer.changes[0][-64:]) == []
