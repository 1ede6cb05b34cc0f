"""Objects on one device: created, edited, found, thrown away and brought back, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.client import Add, Changed, Device, EcholiaError, Increment, Remove, ReplaceText, Set, SpliceText
from echolia.client.collection import Collection
from echolia.core.runs import DELTA, STATE
from tests.support.devices import World


@pytest.fixture
async def device(world: World) -> Device:
    """A device whose server is away."""
    device = await world.first()
    world.transport("laptop").down = True
    return device


@pytest.fixture
async def entries(device: Device) -> Collection:
    """Its entries."""
    return device.collection("entries")


def kinds(device: Device) -> list[int]:
    """The classes of the changes in the outbox, in order."""
    return [
        change[0] for (change,) in device._replica.database.rows("SELECT change FROM outbox ORDER BY counter")
    ]


async def refused(work: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        await work
    return error.value.code


async def test_fields_take_plain_values(entries: Collection) -> None:
    id_ = await entries.create({"title": "One", "body": "first", "tags": ["b", "a"], "meta": {"n": 1}})
    await entries.update(
        id_, {"title": "Two", "body": "first, then more", "tags": {"a", "c"}, "starred": True}
    )
    assert (await entries.get(id_)).fields == {
        "title": "Two",
        "body": "first, then more",
        "tags": ["a", "c"],
        "meta": {"n": 1},
        "starred": True,
    }


async def test_fields_take_edits(device: Device, entries: Collection) -> None:
    id_ = await entries.create(
        {"title": Set("One"), "body": ReplaceText("A📊B"), "tags": [Add("a"), Add("b")]}
    )
    await entries.update(id_, {"body": [SpliceText(2, 0, "x"), SpliceText(0, 1, "")], "tags": Remove("a")})
    assert (await entries.get(id_)).fields == {"title": "One", "body": "📊xB", "tags": ["b"]}
    memories = device.collection("memories")
    memory = await memories.create({"content": "c", "access": 2})
    await memories.update(memory, {"access": Increment(3)})
    assert (await memories.get(memory)).fields["access"] == 5


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"nope": 1}, "field_unknown"),
        ({"title": Add("a")}, "field_policy"),
        ({"body": 7}, "field_policy"),
        ({"tags": "a"}, "field_policy"),
        ({"starred": object()}, "value_invalid"),
        ({"starred": 2**64}, "value_invalid"),
        ({"body": "half \ud800"}, "value_invalid"),
        ({"body": "x" * (1 << 20)}, "body_too_large"),
    ],
)
async def test_what_a_field_does_not_take(
    device: Device, entries: Collection, fields: dict[str, Any], code: str
) -> None:
    id_ = await entries.create({"title": "One"})
    assert await refused(entries.create(fields)) == code
    assert await refused(entries.update(id_, fields)) == code
    assert (await device.status()).pending == 1
    assert (await entries.get(id_)).fields == {"title": "One"}


async def test_a_plain_number_does_not_overwrite_a_counter(device: Device) -> None:
    memories = device.collection("memories")
    id_ = await memories.create({"access": 1})
    assert await refused(memories.update(id_, {"access": 5})) == "field_policy"


async def test_unknown_objects(device: Device, entries: Collection) -> None:
    id_ = await device.collection("memories").create({"content": "of another collection"})
    for unknown in (id_, "00" * 16, "xyz", ""):
        assert await refused(entries.get(unknown)) == "object_unknown"
        assert await refused(entries.update(unknown, {"title": "x"})) == "object_unknown"
        assert await refused(entries.delete(unknown)) == "object_unknown"
        assert await refused(entries.restore(unknown)) == "object_unknown"


async def test_the_trash(device: Device, entries: Collection) -> None:
    id_ = await entries.create({"title": "gone"})
    await entries.delete(id_)
    await entries.delete(id_)
    assert await entries.list() == []
    assert await entries.search("gone") == []
    assert [record.id for record in await entries.list(trash=True)] == [id_]
    assert await refused(entries.update(id_, {"title": "x"})) == "object_in_trash"
    await entries.restore(id_)
    await entries.restore(id_)
    assert (await entries.get(id_)).alive
    assert [found.record.id for found in await entries.search("gone")] == [id_]
    assert kinds(device) == [STATE, STATE, STATE]


async def test_a_change_of_nothing_is_no_change(device: Device, entries: Collection) -> None:
    id_ = await entries.create({"body": "same"})
    await entries.update(id_, {"body": "same"})
    await entries.update(id_, {})
    assert kinds(device) == [STATE]


async def test_a_whole_state_is_written_once_deltas_have_outgrown_it(
    device: Device, entries: Collection, world: World
) -> None:
    world.transport("laptop").down = False
    written, deltas = list[int](), list[int]()
    id_ = await entries.create({"body": ""})
    await device.sync()
    for number in range(60):
        await entries.update(id_, {"body": f"{number} " * 40})
        written += kinds(device)
        await device.sync()
        deltas += [row[0] for row in device._replica.database.rows("SELECT delta_bytes FROM objects")]
    assert 0 < written.count(STATE) < written.count(DELTA)
    assert 2048 < max(deltas) <= 4096
    assert deltas.count(0) == written.count(STATE)


async def test_no_whole_state_is_written_over_unsent_deltas(device: Device, entries: Collection) -> None:
    id_ = await entries.create({"body": ""})
    for number in range(60):
        await entries.update(id_, {"body": f"{number} " * 40})
    assert kinds(device) == [STATE] + [DELTA] * 60


async def test_put_writes_only_what_differs(device: Device, entries: Collection) -> None:
    id_ = device.imported_id("notes", "a.md")
    fields = {"title": "A", "body": "text", "tags": ["x"], "source": {"kind": "file", "sha": "1"}}
    assert await entries.put(id_, fields) == "new"
    assert await entries.put(id_, {**fields, "tags": ("x",)}) == "unchanged"
    assert await entries.put(id_, {**fields, "body": "text!"}) == "updated"
    assert kinds(device) == [STATE, DELTA]
    await entries.update(id_, {"title": "edited here"})
    assert await entries.put(id_, fields, same="source") == "unchanged"
    assert (await entries.get(id_)).title == "edited here"
    changed = {**fields, "body": "text", "source": {"kind": "file", "sha": "2"}}
    assert await entries.put(id_, changed, same="source") == "updated"
    await entries.delete(id_)
    assert await entries.put_many([(id_, fields), (device.imported_id("notes", "b"), fields)]) == [
        "in_trash",
        "new",
    ]


async def test_an_id_is_taken_once(entries: Collection) -> None:
    id_ = await entries.create({"title": "One"})
    assert await refused(entries.create({"title": "Two"}, id=id_)) == "object_exists"


async def test_a_batch_is_all_or_nothing(device: Device, entries: Collection) -> None:
    kept = await entries.create({"title": "kept"})
    told: list[Changed] = []
    device.on_change(told.append)
    with pytest.raises(EcholiaError, match="object_unknown"):  # noqa: PT012  # the block is what is tested
        async with device.batch() as batch:
            batch.create("entries", {"title": "one"})
            batch.update("entries", "00" * 16, {"title": "two"})
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with device.batch() as batch:
            batch.delete("entries", kept)
            _ = 1 / 0
    assert [record.id for record in await entries.list()] == [kept]
    assert told == []
    async with device.batch() as batch:
        new = batch.create("entries", {"title": "one"})
        batch.update("entries", new, {"title": "first"})
        batch.delete("entries", kept)
        batch.restore("entries", kept)
    assert [changed.objects for changed in told] == [{new, kept}]
    assert (await entries.get(new)).title == "first"
    assert (await device.status()).pending == 5


async def test_listening_ends(device: Device, entries: Collection) -> None:
    told: list[Changed] = []
    stop = device.on_change(told.append)
    await entries.create({"title": "one"})
    stop()
    stop()
    await entries.create({"title": "two"})
    assert len(told) == 1


async def test_lists(device: Device, entries: Collection, world: World) -> None:
    ids = []
    for number in range(5):
        world.pass_s()
        ids.append(await entries.create({"title": f"{number}", "created": -number}))
    assert [record.id for record in await entries.list()] == ids[::-1]
    assert [record.id for record in await entries.list(order="created")] == ids
    assert [record.id for record in await entries.list(limit=2, offset=1)] == ids[3:1:-1]
    assert [record.id async for record in entries.iterate(page=2)] == sorted(ids)
    assert await entries.count() == 5
    assert all(record.pending for record in await entries.list())


async def test_prefixes_of_ids(device: Device, entries: Collection) -> None:
    one, two = "ab" * 4 + "c" * 24, "ab" * 4 + "d" * 24
    for id_ in (one, two):
        await entries.create({"title": "x"}, id=id_)
    other = await entries.create({"title": "x"}, id="00" * 16)
    assert await device.short_ids([one, two, other]) == {
        one: "ab" * 4 + "c",
        two: "ab" * 4 + "d",
        other: "0" * 8,
    }
    assert await device.resolve("ab" * 4 + "c") == one
    assert await device.resolve("0") == other
    assert await refused(device.resolve("abab")) == "object_ambiguous"
    for unknown in ("ff", "", "zz", "%", "00" * 17):
        assert await refused(device.resolve(unknown)) == "object_unknown"
    assert await refused(device.resolve("00", "memories")) == "object_unknown"


async def test_search(entries: Collection) -> None:
    body = "A long day.\n\nThen the Élan of spring rain came\nand went."
    spring = await entries.create({"title": "March", "body": body, "tags": ["season"]})
    await entries.create({"title": "Other", "body": "winter rain"})
    [found] = await entries.search("elan rai")
    assert (found.record.id, found.snippet) == (spring, "Then the Élan of spring rain came")
    assert [found.snippet[a:b] for a, b in found.matches] == ["Élan", "rai"]
    assert len(await entries.search("RAIN")) == 2
    assert len(await entries.search("rain", limit=1)) == 1
    assert [found.record.id for found in await entries.search("season")] == [spring]
    for nothing in ("", "  ", '"', "sunshine", "rain NOT", "NEAR(", "*", "'; DROP TABLE objects"):
        assert await entries.search(nothing) == []
    await entries.update(spring, {"body": "all different"})
    assert await entries.search("spring") == []
    assert [found.record.id for found in await entries.search("different march")] == [spring]
