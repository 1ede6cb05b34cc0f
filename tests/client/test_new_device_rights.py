"""For two days a new device may add and revoke nobody, unless another one has said that it belongs here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from echolia.client import Device
from tests.client.test_generations import alike, code_of, generation
from tests.support.devices import SERVER, World
from tests.support.server import Clock, served

HOUR_S = 3600


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[World]:
    """A server as it is without any setting."""
    clock = Clock()
    async with served(tmp_path / "server", clock, new_device_hours=48) as ask, AsyncExitStack() as stack:
        yield World(ask, clock, tmp_path, stack)


async def test_a_new_device_changes_nothing_about_the_others(strict: World) -> None:
    laptop = await strict.first()
    phone = await strict.added(laptop)
    assert [notice.code for notice in await laptop.notices()] == []
    assert await code_of(phone.revoke(laptop.id)) == "device_new"
    assert await code_of(strict.added(phone, "third")) == "device_new"
    assert await code_of(phone.rotate()) == "device_new"
    assert await code_of(phone.replace_phrase()) == "device_new"
    assert phone._opened.vault.staged is None
    await phone.collection("entries").create({"title": "but it writes"})
    await alike(phone, laptop)
    strict.pass_s(48 * HOUR_S + 1)
    await phone.revoke(laptop.id)
    assert generation(phone) == 2


async def test_confirmed_it_may(strict: World) -> None:
    laptop = await strict.first()
    phone, tablet = await strict.added(laptop), await strict.added(laptop, "tablet")
    assert await code_of(phone.confirm(tablet.id)) == "device_new"
    await laptop.confirm(phone.id)
    await laptop.confirm(phone.id)
    assert await code_of(laptop.confirm("00" * 16)) == "device_unknown"
    await phone.revoke(tablet.id)
    await alike(phone, laptop)
    assert generation(phone) == generation(laptop) == 2


async def test_this_was_not_me(strict: World) -> None:
    """A thief with a code adds a device; the others are told, and put it out in one step."""
    laptop = await strict.first()
    phone = await strict.added(laptop)
    await alike(laptop, phone)
    thief = await strict.added(laptop, "thief")
    await phone.sync()
    assert [notice.code for notice in await phone.notices()] == ["device_added"]
    assert await code_of(thief.revoke(phone.id)) == "device_new"
    assert await code_of(phone.revoke(thief.id)) == "device_new"  # it is new itself
    await laptop.revoke(thief.id)
    await alike(laptop, phone)
    assert generation(phone) == 2
    assert await code_of(thief.sync()) == "device_revoked"


async def test_a_new_device_may_leave(strict: World) -> None:
    laptop = await strict.first()
    phone = await strict.added(laptop)
    await phone.revoke(phone.id)
    await laptop.sync()
    assert generation(laptop) == 2


async def test_what_the_phrase_added_may_at_once(strict: World) -> None:
    laptop, phrase = await Device.init(strict.folder / "laptop", SERVER, **strict.around("laptop"))
    async with laptop:
        around = strict.around("new")
        async with await Device.recover(strict.folder / "new", SERVER, phrase, **around) as new:
            await new.revoke(laptop.id)
            assert generation(new) == 2


async def test_the_server_says_until_when(strict: World) -> None:
    laptop = await strict.first()
    phone = await strict.added(laptop)
    answer = await laptop._session.ask("GET", "/auth/devices?after=0")
    first, second = answer["devices"]
    assert (first["confirmed"], first["new_until_ms"]) == (True, None)
    now_ms = int(strict.clock.now_s * 1000)
    assert (second["confirmed"], second["new_until_ms"]) == (False, now_ms + 48 * HOUR_S * 1000)
    await laptop.confirm(phone.id)
    answer = await laptop._session.ask("GET", "/auth/devices?after=0")
    assert (answer["devices"][1]["confirmed"], answer["devices"][1]["new_until_ms"]) == (True, None)
