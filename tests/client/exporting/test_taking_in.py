"""An export joins another account: all of it, once, however often and however interrupted."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from echolia.client import Add, Device, EcholiaError, Increment, SpliceText, declare
from echolia.client.environment import Environment
from echolia.core.merge import decode
from echolia.core.merge.registers import Register
from tests.client.crash_stage import check_home, states
from tests.client.exporting.test_export import PASSPHRASE, lived_in
from tests.support.devices import SERVER, World
from tests.support.exports import account, held


async def exported(world: World) -> tuple[Path, str, dict[str, str], Device]:
    """An account that was lived in, and its export."""
    laptop, phrase = await account(world)
    ids = await lived_in(laptop)
    await laptop.sync()
    await laptop.export(world.folder / "out", passphrase=PASSPHRASE)
    return world.folder / "out", phrase, ids, laptop


async def test_everything_is_there_on_every_device(world: World, elsewhere: World) -> None:
    path, phrase, ids, laptop = await exported(world)
    one, _ = await account(elsewhere, "one")
    two = await elsewhere.added(one, "two")
    done = await one.take_in(path, phrase)
    assert (done.new, done.updated, done.unchanged, done.not_taken) == (4, 0, 0, ())
    assert done.runs == 1
    for device in (one, two):
        await device.sync()
        check_home(device)
        note = await device.collection("entries").get(ids["note"])
        assert note.fields == (await laptop.collection("entries").get(ids["note"])).fields
        gone = await device.collection("entries").get(ids["gone"])
        assert (gone.alive, gone.recovered, gone.title) == (False, False, "Gone")
        [source] = await device.collection("memories").sources(ids["memory"])
        assert source.standing == "here"
        assert (await device.collection("memories").get(ids["memory"])).fields["access"] == 5
        assert (await device.status()).trash == 1
    assert states(one) == states(two)
    await two.collection("entries").update(
        ids["note"], {"body": [SpliceText(0, 0, "Still ")], "tags": [Add("c")]}
    )
    await two.collection("memories").update(ids["memory"], {"access": Increment(1)})
    await two.collection("entries").restore(ids["gone"])
    await two.sync()
    await one.sync()
    assert states(one) == states(two)
    assert (await one.collection("entries").get(ids["note"])).fields["body"] == "Still Rain."
    assert (await one.collection("memories").get(ids["memory"])).fields["access"] == 6


async def test_twice_is_once_and_what_was_edited_since_stays(world: World, elsewhere: World) -> None:
    path, phrase, ids, _ = await exported(world)
    one, _ = await account(elsewhere, "one")
    await one.take_in(path, phrase)
    await one.collection("entries").update(ids["note"], {"title": "Mine", "body": "Sun."})
    await one.sync()
    before, pending = states(one), (await one.status()).pending
    done = await one.take_in(path, PASSPHRASE)
    assert (done.new, done.updated, done.unchanged) == (0, 0, 4)
    assert (states(one), (await one.status()).pending) == (before, pending)
    assert len(await one.archives()) == 1


async def test_two_devices_that_take_it_in_have_it_once(world: World, elsewhere: World) -> None:
    path, phrase, ids, _ = await exported(world)
    one, _ = await account(elsewhere, "one")
    two = await elsewhere.added(one, "two")
    for device in (one, two):
        await device.take_in(path, phrase)
    for device in (one, two, one):
        await device.sync()
    assert states(one) == states(two)
    memory = await one.collection("memories").get(ids["memory"])
    assert (memory.fields["access"], memory.conflicts) == (5, {})
    assert (await one.collection("entries").get(ids["note"])).fields["body"] == "Rain."


async def test_a_later_export_brings_what_came_since(world: World, elsewhere: World) -> None:
    path, phrase, ids, laptop = await exported(world)
    one, _ = await account(elsewhere, "one")
    await one.take_in(path, phrase)
    await one.collection("entries").update(ids["note"], {"body": [SpliceText(5, 0, " Here.")]})
    await laptop.collection("entries").update(ids["note"], {"body": [SpliceText(0, 0, "There. ")]})
    new = await laptop.collection("entries").create({"title": "New"})
    await laptop.export(world.folder / "later")
    done = await one.take_in(world.folder / "later", phrase)
    assert (done.new, done.updated, done.unchanged) == (1, 1, 3)
    assert (await one.collection("entries").get(ids["note"])).fields["body"] == "There. Rain. Here."
    assert (await one.collection("entries").get(new)).title == "New"
    assert len(await one.archives()) == 2
    # On from there: what was taken in is exported like anything else.
    await one.sync()
    third, _ = await account(elsewhere, "third")
    await one.export(elsewhere.folder / "on", passphrase=PASSPHRASE)
    await third.take_in(elsewhere.folder / "on", PASSPHRASE)
    assert {id_.hex() for id_ in states(third)} == {*ids.values(), new}


async def test_the_file_is_kept_whole_as_evidence(world: World, elsewhere: World) -> None:
    path, phrase, _, laptop = await exported(world)
    one, _ = await account(elsewhere, "one")
    done = await one.take_in(path, phrase)
    [kept] = await one.archives()
    assert kept == done.archive
    assert (kept.account, kept.path.parent) == (laptop.account, one.home / "archives")
    assert kept.path.read_bytes() == path.read_bytes()
    assert kept.path.stat().st_mode & 0o077 == 0
    assert held(kept.path, phrase).counts["run"] == 1
    (one.home / "archives" / "stray.echolia").write_text("no export")
    assert await one.archives() == (kept,)


async def test_nothing_of_a_wrong_file_is_taken(world: World, elsewhere: World) -> None:
    path, phrase, _, laptop = await exported(world)
    one, other_phrase = await account(elsewhere, "one")
    raw = path.read_bytes()
    cases = [
        (raw[:-1], phrase, "export_invalid"),
        (raw[:-9] + b"\0" + raw[-8:], phrase, "export_invalid"),
        (b"nothing", phrase, "export_invalid"),
        (raw, other_phrase, "export_locked"),
        (raw, "another passphrase", "export_locked"),
        (raw, " ".join(reversed(phrase.split())), "phrase_invalid"),
    ]
    for content, words, code in cases:
        (world.folder / "wrong").write_bytes(content)
        with pytest.raises(EcholiaError) as caught:
            await one.take_in(world.folder / "wrong", words)
        assert caught.value.code == code
        assert phrase not in str(caught.value)
    with pytest.raises(EcholiaError, match="export_own"):
        await laptop.take_in(path, phrase)
    assert (states(one), await one.archives()) == ({}, ())


async def test_a_clock_that_was_ahead_wins_nothing_for_ever(world: World, elsewhere: World) -> None:
    year_ms = 365 * 86_400_000
    device, phrase = await Device.init(world.folder / "ahead", SERVER, **world.around("ahead", year_ms))
    world.stack.push_async_callback(device.aclose)
    note = await device.collection("entries").create({"title": "x", "starred": True})
    await device.export(world.folder / "out", online=False)
    one, _ = await account(elsewhere, "one")
    two = await elsewhere.added(one, "two")
    await one.take_in(world.folder / "out", phrase)
    assert starred_ms(one) == elsewhere.clock.now_s * 1000
    await one.sync()
    elsewhere.pass_s()
    await two.sync()
    await two.collection("entries").update(note, {"starred": False})
    await two.sync()
    await one.sync()
    assert (await one.collection("entries").get(note)).fields["starred"] is False
    assert starred_ms(one) < elsewhere.clock.now_s * 1000 + year_ms / 2


def starred_ms(device: Device) -> int:
    """What the one entry's star claims to be the time of."""
    raw = device._replica.database.value("SELECT coalesce(shown, confirmed) FROM objects")
    starred = decode(raw).fields["starred"]
    assert isinstance(starred, Register)
    return starred.key.wall_ms


async def test_what_is_too_large_for_one_change_comes_in_pieces(world: World, elsewhere: World) -> None:
    laptop, phrase = await account(world)
    entries = laptop.collection("entries")
    large = await entries.create({"title": "large", "body": "x" * 700_000})
    await entries.update(large, {"front": "y" * 700_000})
    gone = await entries.create({"title": "gone", "body": "x" * 700_000})
    await entries.update(gone, {"front": "y" * 700_000})
    await entries.delete(gone)
    await laptop.export(world.folder / "out", online=False)
    one, _ = await account(elsewhere, "one")
    two = await elsewhere.added(one, "two")
    done = await one.take_in(world.folder / "out", phrase)
    assert (done.new, done.not_taken) == (2, ())
    assert (await one.take_in(world.folder / "out", phrase)).unchanged == 2
    for device in (one, two):
        await device.sync()
        check_home(device)
        for id_, alive in ((large, True), (gone, False)):
            record = await device.collection("entries").get(id_)
            assert (record.alive, record.recovered) == (alive, False)
            assert (record.fields["body"], record.fields["front"]) == ("x" * 700_000, "y" * 700_000)
    assert states(one) == states(two)


async def test_what_has_grown_too_large_since_comes_in_pieces_too(world: World, elsewhere: World) -> None:
    laptop, phrase = await account(world)
    entries = laptop.collection("entries")
    note = await entries.create({"title": "small", "body": "x" * 600_000})
    await laptop.export(world.folder / "small", online=False)
    await entries.update(note, {"front": "y" * 700_000, "title": "large"})
    await laptop.export(world.folder / "large", online=False)
    one, _ = await account(elsewhere, "one")
    two = await elsewhere.added(one, "two")
    await one.take_in(world.folder / "small", phrase)
    await one.sync()
    assert (await one.take_in(world.folder / "large", phrase)).updated == 1
    for device in (one, two):
        await device.sync()
        check_home(device)
        record = await device.collection("entries").get(note)
        assert (record.title, record.fields["front"]) == ("large", "y" * 700_000)
    assert states(one) == states(two)


async def test_a_text_that_is_too_large_comes_in_pieces_as_well(world: World, elsewhere: World) -> None:
    laptop, phrase = await account(world)
    phone = await world.added(laptop)
    entries = laptop.collection("entries")
    note = await entries.create({"title": "long", "body": noise(0)})
    await entries.update(note, {"body": [SpliceText(300_000, 0, noise(1))]})
    for device in (laptop, phone):
        await device.sync()
    await phone.collection("entries").update(note, {"body": [SpliceText(9, 9, "by the phone \U0001f426")]})
    for device in (phone, laptop):
        await device.sync()
    await laptop.export(world.folder / "out", online=False)
    one, _ = await account(elsewhere, "one")
    two = await elsewhere.added(one, "two")
    done = await one.take_in(world.folder / "out", phrase)
    assert (done.new, done.not_taken) == (1, ())
    assert (await one.take_in(world.folder / "out", phrase)).unchanged == 1
    for device in (one, two):
        await device.sync()
        check_home(device)
        record = await device.collection("entries").get(note)
        assert record.fields == (await entries.get(note)).fields
    assert states(one) == states(two)


def noise(seed: int) -> str:
    """A text that nothing makes shorter."""
    return Random(seed).randbytes(150_000).hex()


async def test_collections_that_this_app_does_not_know_come_along(world: World, elsewhere: World) -> None:
    moods = declare("moods", label="multi", strength="lww")
    laptop, phrase = await account(world)
    await laptop.aclose()
    around: dict[str, Any] = world.around("laptop", seed="more")
    async with await Device.open(world.folder / "laptop", collections=[moods], **around) as laptop:
        mood = await laptop.collection("moods").create({"label": "calm", "strength": 3})
        await laptop.export(world.folder / "out", online=False)
    one, _ = await account(elsewhere, "one")
    assert (await one.take_in(world.folder / "out", phrase)).new == 1
    await one.sync()
    await one.aclose()
    around = elsewhere.around("one", seed="more")
    async with await Device.open(elsewhere.folder / "one", collections=[moods], **around) as one:
        assert (await one.collection("moods").get(mood)).fields == {"label": "calm", "strength": 3}


async def test_conflicts_and_edits_in_the_trash_are_still_to_be_decided(
    world: World, elsewhere: World
) -> None:
    laptop, phrase = await account(world)
    phone = await world.added(laptop)
    note, gone = await laptop.collection("entries").create_many([{"title": "a"}, {"title": "b"}])
    for device in (laptop, phone):
        await device.sync()
    await laptop.collection("entries").update(note, {"title": "by laptop"})
    await phone.collection("entries").update(note, {"title": "by phone"})
    await laptop.collection("entries").delete(gone)
    await phone.collection("entries").update(gone, {"title": "edited"})
    for device in (laptop, phone, laptop):
        await device.sync()
    await laptop.export(world.folder / "out")
    one, _ = await account(elsewhere, "one")
    told: list[frozenset[str]] = []
    one.on_conflict(told.append)
    await one.take_in(world.folder / "out", phrase)
    assert frozenset().union(*told) == {note, gone}
    assert {found.record.id: found.kind for found in await one.conflicts()} == {
        note: "values",
        gone: "recovered",
    }


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
async def test_interrupted_it_is_run_again(world: World, elsewhere: World, steps: int) -> None:
    laptop, phrase = await account(world)
    await laptop.collection("entries").create_many({"title": f"note {n}"} for n in range(350))
    await laptop.export(world.folder / "out", online=False)
    one, _ = await account(elsewhere, "one")
    await one.aclose()
    left = [steps]

    def durably(step: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        step()

    around = elsewhere.around("one", seed="first")
    real: Environment = around["environment"]
    stopped = Environment(real.now_ms, real.dice, real.sleep, real.jitter, durably)
    async with await Device.open(
        elsewhere.folder / "one", transport=around["transport"], environment=stopped
    ) as one:
        with pytest.raises(KeyboardInterrupt):
            await one.take_in(world.folder / "out", phrase)
    async with await Device.open(elsewhere.folder / "one", **elsewhere.around("one", seed="then")) as one:
        check_home(one)
        before = len(states(one))
        done = await one.take_in(world.folder / "out", phrase)
        assert before == max(0, 100 * (steps - 1))
        assert (done.unchanged, done.new) == (before, 350 - before)
        assert len(await one.archives()) == 1
        await one.sync()
        assert len(states(one)) == 350
