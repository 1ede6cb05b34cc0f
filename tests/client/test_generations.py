"""The account key has generations: whoever is shut out knows only former ones, nobody else loses any."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from echolia.client import Device, EcholiaError, ledger
from echolia.client.transport import Answer, Request
from echolia.core.ids import b64
from echolia.core.runs import read_change
from echolia.restoring import restored
from tests.client.crash_stage import check_home
from tests.client.test_convergence import states
from tests.support.devices import Meddler, World, documents
from tests.support.server import Clock, served

NOTE = "aa" * 16


def generation(device: Device) -> int:
    """Of the key that the device seals with."""
    return device._replica.identity.secrets.generation


async def three(world: World) -> tuple[Device, Device, Device]:
    """Three devices that share a note."""
    laptop = await world.first()
    phone, tablet = await world.added(laptop), await world.added(laptop, "tablet")
    await laptop.collection("entries").create({"title": "shared", "body": "one"}, id=NOTE)
    for device in (laptop, phone, tablet):
        await device.sync()
    return laptop, phone, tablet


async def alike(*devices: Device) -> None:
    """Everybody syncs twice; all show the same, and nothing is wrong."""
    for _ in range(2):
        for device in devices:
            await device.sync()
    for device in devices:
        check_home(device)
        status = await device.status()
        assert (status.evidence, status.quarantined, status.pending) == ((), (), 0)
    assert len({frozenset(states(device).items()) for device in devices}) == 1


async def code_of(work: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        await work
    return error.value.code


async def test_a_revocation_begins_a_generation_that_the_revoked_device_cannot_know(world: World) -> None:
    laptop, phone, tablet = await three(world)
    await laptop.revoke(tablet.id)
    assert generation(laptop) == 2
    await laptop.collection("entries").update(NOTE, {"body": "one two"})
    row = laptop._replica.database.row("SELECT counter, change FROM outbox")
    assert row is not None
    assert read_change(row[1], row[0]).generation == 2
    await alike(laptop, phone)
    assert generation(phone) == 2
    assert (await phone.collection("entries").get(NOTE)).fields["body"] == "one two"
    assert 2 not in tablet._replica.identity.secrets.keys
    new = await world.added(phone, "new")
    await alike(laptop, phone, new)
    assert dict(new._replica.identity.secrets.keys) == dict(laptop._replica.identity.secrets.keys)
    boxes = (await laptop._session.ask("GET", "/auth/key-boxes"))["boxes"]
    assert sorted(box["recipient"] for box in boxes) == sorted(
        ["recovery", *(b64(bytes.fromhex(device.id)) for device in (laptop, phone, new))]
    )


async def test_what_was_written_offline_under_the_former_key_counts(world: World) -> None:
    laptop, phone, tablet = await three(world)
    await phone.collection("entries").update(NOTE, {"body": "one two"})
    made = await phone.collection("entries").create({"title": "offline"})
    await laptop.revoke(tablet.id)
    await laptop.collection("entries").update(NOTE, {"title": "renamed"})
    await alike(laptop, phone)
    record = await laptop.collection("entries").get(NOTE)
    assert (record.title, record.fields["body"]) == ("renamed", "one two")
    assert (await laptop.collection("entries").get(made)).title == "offline"


async def test_a_device_that_missed_two_generations_gets_both(world: World) -> None:
    laptop, phone, tablet = await three(world)
    await laptop.revoke(tablet.id)
    await laptop.rotate()
    await laptop.collection("entries").create({"title": "third"})
    await alike(laptop, phone)
    assert sorted(phone._replica.identity.secrets.keys) == [1, 2, 3]


@pytest.mark.parametrize("lost", range(1, 7))
async def test_interrupted_anywhere_it_goes_on(world: World, lost: int) -> None:
    laptop, phone, tablet = await three(world)
    asked = [0]

    def meddle(request: Request, answer: Answer) -> Answer:
        asked[0] += request.path.startswith("/auth/")
        if asked[0] >= lost:
            raise EcholiaError("server_unreachable")
        return answer

    world.transport("laptop").meddle = meddle
    assert await code_of(laptop.revoke(tablet.id)) == "server_unreachable"
    world.transport("laptop").meddle = None
    await laptop.aclose()
    around = world.around("laptop", seed=f"again {lost}")
    async with await Device.open(world.folder / "laptop", **around) as again:
        await again.collection("entries").update(NOTE, {"title": "after"})
        await again.revoke(tablet.id)
        assert generation(again) == 2
        assert again._opened.vault.staged is None
        await alike(again, phone)


async def test_whoever_comes_first_finishes_what_a_lost_device_began(world: World) -> None:
    laptop, phone, tablet = await three(world)

    async def never(request: Request) -> Answer:
        if request.path == "/auth/rotate":
            raise EcholiaError("server_unreachable")
        return await ask(request)

    transport = world.transport("laptop")
    ask, transport.ask = transport.ask, never  # type: ignore[method-assign]  # it never arrives
    assert await code_of(laptop.revoke(tablet.id)) == "server_unreachable"
    await phone.sync()
    assert generation(phone) == 2
    transport.ask = ask  # type: ignore[method-assign]
    await alike(laptop, phone)
    assert generation(laptop) == 2
    assert laptop._opened.vault.staged is None


async def test_two_devices_rotate_at_once(world: World) -> None:
    laptop, phone, _ = await three(world)
    held: list[bool] = []

    async def late(request: Request) -> Answer:
        if request.path == "/auth/rotate" and not held:
            held.append(True)
            await phone.rotate()
        return await ask(request)

    transport = world.transport("laptop")
    ask, transport.ask = transport.ask, late  # type: ignore[method-assign]
    await laptop.rotate()
    assert generation(laptop) == generation(phone) == 2
    await alike(laptop, phone)


def boxes(change: Callable[[list[dict[str, Any]]], None]) -> Meddler:
    """Change the key boxes that are answered."""
    return documents("/auth/key-boxes", lambda fields: change(fields["boxes"]))


def _other_box(found: list[dict[str, Any]]) -> None:
    sealed = [box["box"] for box in found]
    for box, other in zip(found, [*sealed[1:], sealed[0]], strict=True):
        box["box"] = other


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda found: found.clear(), "key_box_withheld"),
        (lambda found: [box.update(generation=1) for box in found], "key_box_withheld"),
        (_other_box, "key_box_invalid"),
        (lambda found: [box.update(signer=b64(bytes(16))) for box in found], "key_box_invalid"),
        (lambda found: [box.update(box=7) for box in found], "key_box_invalid"),
        (lambda found: [box.update(signature=box["signature"][::-1]) for box in found], "key_box_invalid"),
    ],
)
async def test_a_server_that_keeps_the_new_key_back_is_named(
    world: World, change: Callable[[list[dict[str, Any]]], None], code: str
) -> None:
    laptop, phone, tablet = await three(world)
    await laptop.revoke(tablet.id)
    await phone.collection("entries").create({"title": "mine"})
    world.transport("phone").meddle = boxes(change)
    assert await code_of(phone.sync()) == code
    assert (await phone.status()).pending == 1
    world.transport("phone").meddle = None
    await alike(laptop, phone)


async def test_a_member_that_seals_another_key_than_it_says_is_not_believed(world: World) -> None:
    laptop, phone, tablet = await three(world)
    transport = world.transport("laptop")

    async def another(request: Request) -> Answer:
        if request.path == "/auth/rotate":
            body = json.loads(request.body)
            body["key_boxes"] = [
                {**box, "box": b64(bytes(48 + 100))} if box["recipient"] != "recovery" else box
                for box in body["key_boxes"]
            ]
            request = replace(request, body=json.dumps(body).encode())
        return await ask(request)

    ask, transport.ask = transport.ask, another  # type: ignore[method-assign]
    assert await code_of(laptop.revoke(tablet.id)) == "key_box_invalid"  # the server sees the signature
    transport.ask = ask  # type: ignore[method-assign]
    await alike(laptop, phone)


@pytest.mark.parametrize("left_out", ["recovery", "device", "more"])
async def test_the_server_takes_all_boxes_or_none(world: World, left_out: str) -> None:
    laptop, phone, _ = await three(world)
    transport = world.transport("laptop")

    async def fewer(request: Request) -> Answer:
        if request.path == "/auth/rotate":
            body = json.loads(request.body)
            found = {box["recipient"] == "recovery": box for box in body["key_boxes"]}
            if left_out == "more":
                body["key_boxes"].append(found[True])
            else:
                body["key_boxes"].remove(found[left_out == "recovery"])
            request = replace(request, body=json.dumps(body).encode())
        return await ask(request)

    ask, transport.ask = transport.ask, fewer  # type: ignore[method-assign]
    assert await code_of(laptop.rotate()) == "key_box_invalid"
    await phone.sync()
    assert generation(phone) == 1


async def test_a_restored_server_gets_back_the_generation_that_it_lost(tmp_path: Path) -> None:
    clock = Clock()
    async with served(tmp_path / "server", clock) as ask, AsyncExitStack() as stack:
        laptop, phone, tablet = await three(World(ask, clock, tmp_path, stack))
        lost = tablet.id
    shutil.copytree(tmp_path / "server", tmp_path / "backup")
    async with served(tmp_path / "server", clock) as ask, AsyncExitStack() as stack:
        world = World(ask, clock, tmp_path, stack)
        laptop = await stack.enter_async_context(
            await Device.open(tmp_path / "laptop", **world.around("laptop", seed="b"))
        )
        await laptop.revoke(lost)
        await laptop.collection("entries").update(NOTE, {"body": "one two"})
        await laptop.sync()
    shutil.rmtree(tmp_path / "server")
    shutil.copytree(tmp_path / "backup", tmp_path / "server")
    assert (await restored(tmp_path / "server", None, lambda done, of: None)).failed == {}
    clock.pass_s(10)
    async with served(tmp_path / "server", clock) as ask, AsyncExitStack() as stack:
        world = World(ask, clock, tmp_path, stack)
        laptop, phone = [
            await stack.enter_async_context(
                await Device.open(tmp_path / name, **world.around(name, seed=f"{name} c"))
            )
            for name in ("laptop", "phone")
        ]
        await alike(laptop, phone)
        assert generation(laptop) == generation(phone) == 2
        assert (await phone.collection("entries").get(NOTE)).fields["body"] == "one two"
        log = ledger.device_log(phone._replica.database)
        assert [each.revoked is not None for each in log.devices.values()][:3] == [False, False, True]
