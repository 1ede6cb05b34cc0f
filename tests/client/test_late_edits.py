"""What a device edited while it was away for months is listed when it comes back, and kept or taken back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from echolia.client import Conflict, Device, EcholiaError, SpliceText
from tests.client.test_checkpoints import DAY_S, alike, base_of
from tests.support.command_line import in_process
from tests.support.devices import World


async def back(world: World) -> tuple[Device, Device, str]:
    """A laptop, and a phone that was away until the log was compacted; both edited a note meanwhile."""
    laptop = await world.first()
    entries = laptop.collection("entries")
    note = await entries.create({"title": "note", "body": "one two three", "tags": ["sea"]})
    phone = await world.added(laptop)
    await alike(laptop, phone)
    away = phone.collection("entries")
    await away.update(note, {"body": "one two three four", "starred": True, "tags": ["sea", "island"]})
    await away.create({"title": "of the phone alone"})
    for _ in range(2):
        world.pass_s(100 * DAY_S)
        await entries.update(note, {"body": [SpliceText(0, 0, "zero ")]})
        await entries.create_many({"title": f"later {n}"} for n in range(600))
        await laptop.sync()
    assert await base_of(world, laptop) > 0
    return laptop, phone, note


async def waiting(device: Device) -> Conflict:
    """The one thing that waits for a decision."""
    [found] = await device.conflicts()
    return found


async def test_it_is_told_and_listed_with_what_the_others_had(world: World) -> None:
    _, phone, note = await back(world)
    told: list[frozenset[str]] = []
    phone.on_conflict(told.append)
    report = await phone.sync()
    assert report.changed.conflicts == frozenset({note})
    assert frozenset().union(*told) == {note}
    found = await waiting(phone)
    assert (found.kind, found.record.id, found.back_ms) == ("late", note, phone._replica.environment.now_ms())
    assert found.others == {"body": "zero zero one two three", "starred": None, "tags": ["sea"]}
    assert found.record.fields["body"] == "zero zero one two three four"
    assert (await phone.status()).late == 1


@pytest.mark.parametrize("keep", [True, False])
async def test_it_is_kept_or_taken_back_everywhere(world: World, keep: bool) -> None:
    laptop, phone, note = await back(world)
    await phone.sync()
    found = await waiting(phone)
    world.pass_s(1)
    await phone.review(found, keep=keep)
    assert await phone.conflicts() == []
    await alike(phone, laptop)
    fields = (await laptop.collection("entries").get(note)).fields
    shown = fields["body"], bool(fields.get("starred")), sorted(fields["tags"])  # type: ignore[type-var, arg-type]
    late = "zero zero one two three four", True, ["island", "sea"]
    assert shown == (late if keep else ("zero zero one two three", False, ["sea"]))
    versions = await phone.collection("entries").history(note)
    assert any(one.fields.get("body") == late[0] for one in versions) != keep
    with pytest.raises(EcholiaError, match="conflict_changed"):
        await phone.review(found, keep=True)


async def test_competing_values_are_decided_first(world: World) -> None:
    laptop, phone, note = await back(world)
    await laptop.collection("entries").update(note, {"title": "laptop's"})
    await laptop.sync()
    await phone.collection("entries").update(note, {"title": "phone's"})
    await phone.sync()
    found = await waiting(phone)
    assert found.kind == "values"
    await phone.resolve_conflict(found, "title", "decided")
    found = await waiting(phone)
    assert found.kind == "late"
    assert "title" in (found.others or {})


async def test_the_command_lists_and_decides(world: World) -> None:
    _, phone, note = await back(world)
    await phone.sync()
    await phone.aclose()

    async def said(*words: str) -> Any:
        done = await asyncio.to_thread(in_process, *words, home=world.folder / "phone")
        return done.stdout if done.exit_code == 0 else done.stderr

    listed = await said("conflicts")
    assert "edited here while this device was away" in listed
    assert "others  zero zero one two three" in listed
    assert f"{note[:8]} --keep (or --discard)" in listed
    [one] = json.loads(await said("conflicts", "--json"))["conflicts"]
    assert (one["kind"], one["others"]["tags"]) == ("late", ["sea"])
    assert "--keep or --discard decide" in await said("resolve", note, "--take", "1")
    assert "as the others had it" in await said("resolve", note, "--discard")
    assert await said("conflicts") == "Nothing waits for a decision.\n"
