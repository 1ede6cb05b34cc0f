"""The mailbox: carries messages both ways, for two minutes, for those two, and ends in one device more or
none.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from echolia.auth.models import Posted, Register
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.web.context import Caller
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Answer, Asker
from tests.support.auth_alone import auth_alone
from tests.support.engine_fixtures import engine
from tests.support.server import Clock, served

__all__ = ["engine"]  # each test runs on both engines

TOKEN = bytes(range(32))
PHONE = Keys("anna's phone")
GUEST = {"authorization": f"Mailbox {b64(TOKEN)}"}


class Box:
    """An open mailbox, asked by both sides."""

    def __init__(self, ask: Asker, mailbox: str) -> None:
        self._ask = ask
        self.path = f"/auth/pair-device/{mailbox}"

    async def put(self, side: str, n: int, message: bytes, token: bytes = TOKEN) -> Answer:
        """Put a message as that side."""
        body = {"side": side, "n": n, "message": b64(message)}
        return await self._ask("POST", f"{self.path}/messages", body, headers=self._headers(side, token))

    async def take(self, side: str, n: int, wait: float = 0, token: bytes = TOKEN) -> Answer:
        """Take the other side's message."""
        target = f"{self.path}/messages?side={side}&n={n}&wait={wait}"
        return await self._ask("GET", target, headers=self._headers(side, token))

    async def confirm(self, account: Account, device: Keys = PHONE, **changed: Any) -> Answer:
        """Add the device."""
        body = {**entry_json(account.add_entry(device)), "key_boxes": [], "message": b64(b"last"), **changed}
        return await self._ask("POST", f"{self.path}/confirm", body)

    @staticmethod
    def _headers(side: str, token: bytes) -> dict[str, str]:
        return {"authorization": f"Mailbox {b64(token)}"} if side == "guest" else {}


async def opened(ask: Asker) -> Box:
    """A new mailbox."""
    answer = await ask("POST", "/auth/pair-device", {"token_hash": b64(sha256(TOKEN).digest())})
    assert (answer.status, answer.json()["expires_in"]) == (201, 120)
    return Box(ask, answer.json()["mailbox"])


async def test_messages_go_both_ways(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    assert (await box.put("guest", 0, b"hello")).status == 204
    assert (await box.take("owner", 0)).json() == {"message": b64(b"hello")}
    assert (await box.put("owner", 0, b"welcome")).status == 204
    assert (await box.take("guest", 0)).json() == {"message": b64(b"welcome")}
    assert (await box.take("guest", 1)).status == 204


async def test_who_waits_is_woken(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    waiting = asyncio.create_task(box.take("owner", 0, wait=20))
    await box.take("owner", 0)  # by now the one before waits
    assert not waiting.done()
    await box.put("guest", 0, b"hello")
    assert (await waiting).json() == {"message": b64(b"hello")}


async def test_a_message_stands_and_the_same_again_is_the_same(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    for _ in range(2):
        assert (await box.put("guest", 0, b"hello")).status == 204
    answer = await box.put("guest", 0, b"another")
    assert (answer.status, answer.code) == (409, "mailbox_full")
    assert (await box.put("guest", 1, b"x" * 128 * 1024)).status == 204
    assert (await box.put("guest", 2, b"x" * (128 * 1024 + 1))).code == "invalid_request"
    assert (await box.put("guest", 3, b"beyond")).code == "invalid_request"


async def test_each_side_has_its_own_credentials(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    as_guest = await ask(
        "POST", f"{box.path}/messages", {"side": "owner", "n": 0, "message": ""}, headers=GUEST
    )
    assert (as_guest.status, as_guest.code) == (401, "unauthorized")
    as_owner = await ask("POST", f"{box.path}/messages", {"side": "guest", "n": 0, "message": ""})
    assert as_owner.code == "unauthorized"
    ben = await Account("ben").register(ask)
    stranger = await ask("GET", f"{box.path}/messages?side=owner&n=0", token=ben["access"])
    assert (stranger.status, stranger.code) == (404, "mailbox_unknown")
    nobody = await ask("GET", f"{box.path}/messages?side=guest&n=0", token="", headers={"authorization": ""})
    assert nobody.code == "unauthorized"
    guests = await ask("POST", f"{box.path}/confirm", {}, headers=GUEST)
    assert guests.code == "unauthorized"


async def test_the_third_wrong_token_ends_it(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    await box.put("guest", 0, b"hello")
    for _ in range(2):
        assert (await box.take("guest", 0, token=bytes(32))).code == "unauthorized"
    assert (await box.take("guest", 0)).status == 204
    assert (await box.take("guest", 0, token=bytes(32))).code == "mailbox_unknown"
    assert (await box.take("guest", 0)).code == "mailbox_unknown"
    assert (await box.take("owner", 0)).code == "mailbox_unknown"


async def test_it_is_gone_after_two_minutes(ask: Asker, anna: Account, clock: Clock) -> None:
    box = await opened(ask)
    clock.pass_s(119)
    assert (await box.put("guest", 0, b"hello")).status == 204
    clock.pass_s(1)
    assert (await box.take("owner", 0)).code == "mailbox_unknown"
    assert (await box.put("guest", 1, b"late")).code == "mailbox_unknown"
    assert (await box.confirm(anna)).code == "mailbox_unknown"
    assert (await ask("GET", "/auth/devices")).json()["n"] == 1


async def test_an_account_has_one_at_a_time(ask: Asker, anna: Account) -> None:
    first, second = await opened(ask), await opened(ask)
    assert (await first.take("owner", 0)).code == "mailbox_unknown"
    assert (await second.take("owner", 0)).status == 204


async def test_whoever_gives_up_ends_it_for_both(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    waiting = asyncio.create_task(box.take("guest", 0, wait=20))
    await box.take("guest", 0)
    assert (await ask("DELETE", box.path)).status == 204
    assert (await waiting).code == "mailbox_unknown"
    assert (await ask("DELETE", box.path)).code == "mailbox_unknown"


async def test_the_confirmation_adds_the_device_and_puts_the_last_message(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    waiting = asyncio.create_task(box.take("guest", 2, wait=20))
    await box.take("guest", 2)
    assert (await box.confirm(anna)).status == 204
    assert (await waiting).json() == {"message": b64(b"last")}
    signed_in = await anna.sign_in(ask, PHONE)
    assert (await ask("GET", "/sync/status", token=signed_in.json()["access"])).status == 200
    assert (await box.put("guest", 2, b"more")).code == "mailbox_full"


async def test_the_same_confirmation_again_changes_nothing(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    for _ in range(2):
        assert (await box.confirm(anna)).status == 204
    assert (await box.confirm(anna, message=b64(b"other"))).code == "mailbox_full"
    assert (await ask("GET", "/auth/devices")).json()["n"] == 2


async def test_a_mailbox_adds_one_device(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    await box.confirm(anna)
    anna.append(anna.add_entry(PHONE))
    assert (await box.confirm(anna, Keys("third"))).code == "mailbox_full"
    assert (await ask("GET", "/auth/devices")).json()["n"] == 2


async def test_the_owner_s_last_message_comes_with_the_confirmation_only(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    assert (await box.put("owner", 2, b"early")).code == "mailbox_full"
    assert (await box.confirm(anna)).status == 204


async def test_a_refused_confirmation_leaves_log_and_mailbox_as_they_were(ask: Asker, anna: Account) -> None:
    box = await opened(ask)
    ben = Account("ben")
    await ben.register(ask)
    forged = anna.add_entry(PHONE, by=PHONE)
    revoking = anna.revoke_entry(anna.first)
    refusals = [
        (await box.confirm(anna, **entry_json(forged)), "device_log_invalid"),
        (await box.confirm(anna, **entry_json(revoking)), "device_log_invalid"),
        (await box.confirm(anna, **entry_json(anna.entries[0])), "device_log_conflict"),
        (await box.confirm(anna, ben.first), "account_exists"),
        (await box.confirm(anna, key_boxes=[anna.key_box(by=PHONE)]), "key_box_invalid"),
    ]
    assert [(answer.code, code) for answer, code in refusals if answer.code != code] == []
    assert (await ask("GET", "/auth/devices")).json()["n"] == 1
    assert (await box.take("guest", 2)).status == 204
    assert (await box.confirm(anna)).status == 204


async def test_an_entry_on_an_older_head_conflicts(ask: Asker, anna: Account) -> None:
    stale = entry_json(anna.add_entry(Keys("third")))
    await anna.pair(ask, ask.token, PHONE)
    box = await opened(ask)
    answer = await box.confirm(anna, **stale)
    assert (answer.status, answer.code) == (409, "device_log_conflict")


@pytest.mark.parametrize("count", [3])
async def test_an_account_has_so_many_devices_and_no_more(tmp_path: Path, count: int) -> None:
    async with served(tmp_path / "data", max_devices=count) as ask:
        account = Account()
        ask.token = (await account.register(ask))["access"]
        box = await opened(ask)
        more = [Keys(f"device {number}") for number in range(count)]
        for device in more[: count - 1]:
            assert (await account.pair(ask, ask.token, device)).status == 204
        answer = await ask("POST", "/auth/pair-device", {"token_hash": b64(bytes(32))})
        assert (answer.status, answer.code) == (409, "too_many_devices")
        assert (await box.confirm(account, more[-1])).code == "too_many_devices"
        await account.revoke(ask, ask.token, more[0])
        assert (await account.pair(ask, ask.token, more[-1])).status == 204


async def test_a_message_that_comes_while_the_pairing_is_given_up_is_not_taken_for_a_second_one(
    tmp_path: Path,
) -> None:
    """The guest would tell its person that somebody else has the code."""
    account = Account()
    async with auth_alone(tmp_path, Clock()) as auth:
        registered = await auth.accounts.register(Register.model_validate(account.registration()))
        caller = Caller(registered.account, registered.device, 0)
        mailbox = (await auth.pairing.open(caller, bytes(32))).mailbox
        await auth.pairing.close(caller, mailbox)
        with pytest.raises(EcholiaError, match="mailbox_unknown"):
            await auth.pairing.put(mailbox, Posted(side="guest", n=0, message=b"hello"))
