"""A log gets shorter, by endpoints alone: checkpoint, a month, acknowledgements, and what is refused then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from echolia.core import push
from echolia.core.checkpoints import checkpoint_message
from echolia.core.ids import b64
from echolia.core.messages import ack_message
from echolia.core.positions import LogPosition
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Answer, Asker
from tests.support.live_changes import checkpoint_of
from tests.support.runs import Writer
from tests.support.server import Clock, served

DAY_S, OBJECT, STREAM = 86_400, b"o" * 16, b"s" * 16


@dataclass
class Story:
    """Anna's laptop and phone, a server and its clock."""

    ask: Asker
    clock: Clock
    anna: Account
    tokens: dict[bytes, str]
    laptop: Writer
    phone: Writer

    async def write(self, writer: Writer, count: int) -> None:
        """Write and push some versions of one object."""
        first = len(writer.changes) + 1
        for _ in range(count):
            writer.change(OBJECT, STREAM)
        body = push.write_push([writer.run(first)])
        answer = await self.ask("POST", "/sync/push", body=body, headers={"content-type": push.PUSH_TYPE})
        assert answer.json()["runs"][0]["status"] == "stored"

    async def page(self) -> push.Page:
        """The whole log."""
        return push.read_page((await self.ask("POST", "/sync/pull", {"max_bytes": 8 << 20})).body)

    async def checkpoint(self) -> LogPosition:
        """Put a checkpoint of the head, by the laptop."""
        page, log, laptop = await self.page(), self.anna.log, self.anna.first
        raw = checkpoint_of(self.anna.id, page.items, page.head, (log.length, log.head)).encode()
        signature = laptop.signed(checkpoint_message(self.anna.id, laptop.id, raw))
        body = {"checkpoint": b64(raw), "signature": b64(signature)}
        assert (await self.ask("POST", "/sync/checkpoint", body)).status == 204
        return page.head

    async def acknowledge(self, device: Keys, position: LogPosition) -> None:
        """The device has verified the log up to there; it signs in anew, as after a month it must."""
        self.tokens[device.id] = (await self.anna.sign_in(self.ask, device)).json()["access"]
        if device is self.anna.first:
            self.ask.token = self.tokens[device.id]
        log = self.anna.log
        message = ack_message(self.anna.id, device.id, position, log.length, log.head)
        body = {
            "epoch": position.epoch,
            "seq": position.seq,
            "log": b64(position.log),
            "devices": {"n": log.length, "head": b64(log.head)},
            "signature": b64(device.signed(message)),
        }
        answer = await self.ask("POST", "/sync/ack", body, token=self.tokens[device.id])
        assert answer.status == 204, answer.body

    async def base(self, at_least: int) -> int:
        """The log's base, asked for until it is there and everything before it is done."""
        while True:
            told = (await self.ask("GET", "/sync/status")).json()
            if told["base"] >= at_least:
                return int(told["base"])

    async def started(self, at_most: int) -> dict[str, Any]:
        """What a device starts from, asked for until no more changes than that are left."""
        while True:
            answer = await self.ask("POST", "/sync/pull", {"base": 6}, headers={"accept": "application/json"})
            page: dict[str, Any] = answer.json()
            if sum("header" in change for run in page["runs"] for change in run["changes"]) <= at_most:
                return page

    async def revoke_phone(self, last: int) -> Answer:
        """Revoke the phone with this cut-off."""
        phone = self.anna.devices[1]
        entry = entry_json(self.anna.revoke_entry(phone, last=last, chain=self.phone.chain(last)))
        return await self.ask("DELETE", f"/auth/device/{b64(phone.id)}", entry)


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    """Six changes: the laptop's first three, then three of the phone."""
    clock = Clock()
    async with served(tmp_path / "data", clock) as ask:
        anna, phone = Account("anna"), Keys("anna's phone")
        ask.token = (await anna.register(ask))["access"]
        assert (await anna.pair(ask, ask.token, phone)).status == 204
        writers = [_writer(anna, keys) for keys in (anna.first, phone)]
        told = Story(ask, clock, anna, {}, *writers)
        await told.write(told.laptop, 3)
        await told.write(told.phone, 3)
        yield told


def _writer(account: Account, keys: Keys) -> Writer:
    writer = Writer(account.id)
    writer.secret, writer.public, writer.device = bytes(keys.signing), keys.sign, keys.id
    return writer


async def compacted(story: Story) -> LogPosition:
    """Let a month pass after a checkpoint, and both devices acknowledge it."""
    position = await story.checkpoint()
    story.clock.pass_s(30 * DAY_S)
    for device in story.anna.devices:
        await story.acknowledge(device, position)
    assert await story.base(6) == 6
    return position


async def test_a_month_later_only_what_is_live_is_left(story: Story) -> None:
    whole = (await story.ask("GET", "/sync/status")).json()["stored_bytes"]
    await compacted(story)
    (told,) = (await story.ask("GET", "/sync/checkpoint")).json()["checkpoints"]
    assert (told["device"], told["compacted"]) == (b64(story.anna.first.id), True)
    page = await story.started(at_most=2)
    assert [(run["form"], ["leaf" in change for change in run["changes"]]) for run in page["runs"]] == [
        ("partial", [True, True, False]),
        ("partial", [True, True, False]),
    ]
    assert (await story.ask("GET", "/sync/status")).json()["stored_bytes"] < whole
    assert (await story.ask("POST", "/sync/pull", {})).code == "must_rebase"


@pytest.mark.parametrize(("last", "status", "code"), [(2, 409, "must_rebase"), (3, 204, "")])
async def test_a_revocation_may_not_undo_what_is_gone(
    story: Story, last: int, status: int, code: str
) -> None:
    await compacted(story)
    answer = await story.revoke_phone(last)
    assert (answer.status, answer.code if answer.body else "") == (status, code)


async def test_before_it_is_gone_a_revocation_may_undo_anything(story: Story) -> None:
    position = await story.checkpoint()
    story.clock.pass_s(29 * DAY_S)
    await story.acknowledge(story.anna.first, position)
    assert (await story.revoke_phone(0)).status == 204
    assert (await story.ask("GET", "/sync/checkpoint")).json() == {"checkpoints": []}
    story.clock.pass_s(DAY_S)
    await story.acknowledge(story.anna.first, position)
    assert await story.base(0) == 0


async def test_an_account_may_be_deleted_while_its_log_is_compacted(story: Story) -> None:
    position = await story.checkpoint()
    story.clock.pass_s(30 * DAY_S)
    for device in story.anna.devices:
        await story.acknowledge(device, position)
    assert (await story.anna.delete(story.ask, story.ask.token)).status == 204


async def test_checkpoints_have_a_limit_of_their_own(tmp_path: Path) -> None:
    async with served(tmp_path / "data", checkpoint_per_minute=2) as ask:
        ask.token = (await Account("anna").register(ask))["access"]
        body: dict[str, Any] = {"checkpoint": "", "signature": b64(bytes(64))}
        answers = [await ask("POST", "/sync/checkpoint", body) for _ in range(3)]
        assert [answer.code for answer in answers] == ["checkpoint_invalid"] * 2 + ["rate_limited"]
        assert (await ask("GET", "/sync/checkpoint")).status == 200
