"""A stolen access token reads ciphertext for a quarter of an hour; whatever changes something needs a key."""

from __future__ import annotations

import json

from echolia.core.ids import b64
from echolia.core.messages import ack_message, login_message
from echolia.core.positions import LogPosition
from echolia.core.push import PUSH_TYPE, write_push
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Answer, Asker
from tests.support.server import Clock
from tests.vectors import reference as ref
from tests.vectors.world import STRANGER, change

THIEF = Keys("a thief's device")


async def pushed(ask: Asker, anna: Account) -> str:
    """How a run in the first device's name is met that the thief has signed."""
    run = ref.Run(account=anna.id, writer=STRANGER, changes=[change("forged")], device=anna.first.id)
    answer = await ask(
        "POST", "/sync/push", body=write_push([run.frame]), headers={"content-type": PUSH_TYPE}
    )
    [outcome] = json.loads(answer.body)["runs"]
    return str(outcome["code"])


async def acknowledged(ask: Asker, anna: Account) -> Answer:
    """An acknowledgement that the thief has signed."""
    at = LogPosition(1, 0, bytes(32))
    signature = THIEF.signed(ack_message(anna.id, anna.first.id, at, 1, anna.log.head))
    devices = {"n": 1, "head": b64(anna.log.head)}
    fields = {"epoch": 1, "seq": 0, "log": b64(bytes(32)), "devices": devices, "signature": b64(signature)}
    return await ask("POST", "/sync/ack", fields)


async def test_nothing_changes_by_a_token_alone(ask: Asker, anna: Account) -> None:
    assert await pushed(ask, anna) == "signature_invalid"
    assert (await acknowledged(ask, anna)).code == "signature_invalid"
    added = entry_json(anna.add_entry(THIEF, by=THIEF))
    refused = await ask("POST", "/auth/devices", {**added, "key_boxes": []})
    assert refused.code == "device_log_invalid"
    opened = await ask("POST", "/auth/pair-device", {"token_hash": b64(bytes(32))})
    confirm = {**added, "key_boxes": [], "message": b64(b"last")}
    path = f"/auth/pair-device/{opened.json()['mailbox']}/confirm"
    assert (await ask("POST", path, confirm)).code == "device_log_invalid"
    revoked = entry_json(anna.revoke_entry(anna.first, by=THIEF))
    answer = await ask("DELETE", f"/auth/device/{b64(anna.first.id)}", revoked)
    assert answer.code == "device_log_invalid"
    challenge = (await ask("POST", "/auth/challenge", {"device": b64(anna.first.id)})).json()["challenge"]
    signature = b64(THIEF.signed(login_message(anna.first.id, bytes(32))))
    body = {"confirm": b64(anna.id), "challenge": challenge, "signature": signature}
    assert (await ask("DELETE", "/auth/account", body)).code == "signature_invalid"
    assert (await ask("GET", "/auth/devices")).json()["n"] == 1
    assert (await ask("GET", "/sync/status")).json()["acks"] == []


async def test_it_ends_by_itself(ask: Asker, anna: Account, clock: Clock) -> None:
    assert (await ask("GET", "/sync/status")).status == 200
    clock.pass_s(901)
    assert (await ask("GET", "/sync/status")).code == "token_expired"


async def test_it_ends_with_its_device(ask: Asker, anna: Account) -> None:
    phone = Keys("anna's phone")
    await anna.pair(ask, ask.token, phone)
    stolen = (await anna.sign_in(ask, phone)).json()["access"]
    await anna.revoke(ask, ask.token, phone)
    for target in ("/sync/status", "/auth/devices", "/auth/key-boxes"):
        assert (await ask("GET", target, token=stolen)).code == "device_revoked"
