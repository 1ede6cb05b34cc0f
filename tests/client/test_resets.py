"""A server that is empty, reset, disabled or another program is an error of its own, and takes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.transport import Answer, Request
from tests.client.test_convergence import states
from tests.support.asgi import Asker
from tests.support.devices import World
from tests.support.server import served

HTML = b"<!doctype html><html><title>Welcome to this network</title></html>"


async def used(world: World) -> tuple[Device, Device]:
    """Two devices that share an entry; the phone has an unsent edit."""
    laptop = await world.first()
    phone = await world.added(laptop)
    note = await laptop.collection("entries").create({"title": "shared"})
    for device in (laptop, phone, laptop):
        await device.sync()
    await phone.collection("entries").update(note, {"title": "unsent"})
    return laptop, phone


async def refused(device: Device) -> str:
    """The code that a sync ends with; whatever it is, nothing here changes by it."""
    before = states(device)
    with pytest.raises(EcholiaError) as error:
        await device.sync()
    status = await device.status()
    assert states(device) == before
    assert (status.evidence, status.brake) == ((), None)
    return error.value.code


async def served_anew(world: World, data: Path, stack: AsyncExitStack) -> Asker:
    """Another server in place of the first."""
    asker = await stack.enter_async_context(served(data, world.clock))
    for transport in world.transports.values():
        transport.ask_server = asker
    return asker


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What a test opens besides its world."""
    async with AsyncExitStack() as opened:
        yield opened


@pytest.mark.parametrize("signed_in", [True, False])
async def test_a_server_that_was_emptied(world: World, stack: AsyncExitStack, signed_in: bool) -> None:
    _, phone = await used(world)
    if not signed_in:
        phone._replica.database.run("DELETE FROM tokens")
    await served_anew(world, world.folder / "emptied", stack)
    assert await refused(phone) == "server_reset"
    assert (await phone.status()).pending == 1
    # It is no lie that would be held against it: the same server is believed again once it is back.
    for transport in world.transports.values():
        transport.ask_server = world.ask
    await phone.sync()
    assert (await phone.status()).pending == 0


async def test_a_server_that_lost_the_account_s_log(world: World, stack: AsyncExitStack) -> None:
    _, phone = await used(world)
    without_logs = shutil.ignore_patterns("users", "*.sock")
    shutil.copytree(world.folder / "server", world.folder / "copy", ignore=without_logs)
    await served_anew(world, world.folder / "copy", stack)
    assert await refused(phone) == "server_reset"


async def test_an_account_that_another_device_deleted(world: World) -> None:
    laptop, phone = await used(world)
    await laptop.delete_account()
    assert await refused(phone) == "server_reset"
    world.pass_s(3600)  # its tokens have expired: it signs in anew
    assert await refused(phone) == "server_reset"


async def test_watching_names_it_too(world: World, stack: AsyncExitStack) -> None:
    laptop, _ = await used(world)
    await served_anew(world, world.folder / "emptied", stack)
    with pytest.raises(EcholiaError, match="server_reset"):
        await anext(laptop.watch())


async def test_a_home_that_never_synced_is_told_that_there_is_no_account(
    world: World, stack: AsyncExitStack
) -> None:
    laptop = await world.first()
    await served_anew(world, world.folder / "emptied", stack)
    assert await refused(laptop) == "account_unknown"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, HTML, "server_invalid"),
        (404, b"", "server_invalid"),
        (410, b"gone", "server_invalid"),
        (200, HTML, "server_invalid"),
        (200, b"", "server_invalid"),
        (200, b"{}", "server_invalid"),
        (200, b'{"ok": true, "head": null}', "server_invalid"),
        (204, b"", "server_invalid"),
        (302, b"", "server_invalid"),
        (401, HTML, "server_invalid"),
        (500, HTML, "server_invalid"),
        (502, HTML, "server_unreachable"),
        (503, HTML, "server_unreachable"),
        (503, json.dumps({"code": "unavailable"}).encode(), "server_unreachable"),
        (404, json.dumps({"code": "not_found"}).encode(), "not_found"),
    ],
)
@pytest.mark.parametrize("asked", ["", "/sync/push", "/sync/pull", "/auth/devices"])
async def test_something_else_answers(world: World, status: int, body: bytes, code: str, asked: str) -> None:
    laptop, phone = await used(world)

    def instead(request: Request, answer: Answer) -> Answer:
        return Answer(status, body) if request.path.startswith(asked) else answer

    world.transport("phone").meddle = instead
    assert await refused(phone) == code
    world.transport("phone").meddle = None
    for device in (phone, laptop):
        await device.sync()
    assert [one.title for one in await laptop.collection("entries").list()] == ["unsent"]


def test_the_words_say_what_to_do() -> None:
    assert "Nothing was deleted here" in EcholiaError("server_reset").meaning
    assert "Check the server's address." in EcholiaError("server_invalid").meaning
    assert "echolia brake" in EcholiaError("mass_change").meaning
