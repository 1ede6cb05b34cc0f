"""Vectors on devices: made once, synced, searched, made anew by another model without a gap."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.embeddings.finding import Search
from echolia.client.embeddings.making import _read
from echolia.client.transport import Answer, Request
from echolia.core.embedding_place import NEEDED_BYTES, Capability, Power
from echolia.core.ids import b64
from echolia.core.model_identity import packed
from echolia.engines.deterministic import DeterministicEngine
from echolia.engines.port import Model, Tokens
from tests.client.test_convergence import states
from tests.support.devices import World, documents

TEXTS = {
    "Rain": "It rained in the garden all day long",
    "Bank": "The bank raised its interest rates again",
    "Walk": "A windy walk in the hills above the lake",
    "Bread": "Flour and salt and water and a hot oven",
}


class Counting:
    """An engine that counts what it embeds, and may break off. See `port.Engine`."""

    def __init__(self, seed: str = "1", most: int = 1 << 30) -> None:
        self._inner = DeterministicEngine(seed)
        self.model: Model = self._inner.model
        self.embedded = self.refused = 0
        self.most = most

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """See `Engine.tokens`."""
        return self._inner.tokens(texts)

    def embed(self, windows: Sequence[Tokens]) -> list[array[float]]:
        """See `Engine.embed`."""
        if self.embedded + len(windows) > self.most:
            self.refused += 1
            raise EcholiaError("embeddings_wait")
        self.embedded += len(windows)
        return self._inner.embed(windows)


async def written(device: Device) -> dict[str, str]:
    """Some entries; their ids by title."""
    entries = device.collection("entries")
    return {title: await entries.create({"title": title, "body": body}) for title, body in TEXTS.items()}


def titles(search: Search) -> list[str]:
    """What was found, best first."""
    return [near.record.title for near in search.found]


def reports(device: Device, power: Power = "mains", memory_bytes: int = NEEDED_BYTES) -> None:
    """Have it report this of itself."""
    device.embeddings._making.report = lambda installed, may_send: Capability(
        memory_bytes, 2, power=power, may_send=may_send, installed=installed
    )


async def test_what_means_the_like_is_found_where_words_find_nothing(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    laptop.embeddings.use(DeterministicEngine())
    assert (await laptop.embeddings.update()).made == 4
    question = "garden with much rain that rained"
    assert await laptop.collection("entries").search(question) == []
    found = await laptop.embeddings.search(question)
    assert (found.by, titles(found)[0], found.lacking) == ("meaning", "Rain", 0)
    assert found.found[0].snippet == TEXTS["Rain"]
    nearness = found.found[0].nearness
    assert nearness is not None and nearness > 0.15


async def test_words_and_meaning_are_one_list(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    laptop.embeddings.use(DeterministicEngine())
    await laptop.embeddings.update()
    entries = laptop.collection("entries")
    await entries.create({"title": "Late", "body": "oven"})  # no vector yet
    found = await laptop.embeddings.search("oven")
    assert set(titles(found)) == {"Bread", "Late"} and found.lacking == 1
    late = next(near for near in found.found if near.record.title == "Late")
    assert late.nearness is None and late.matches
    assert titles(await laptop.embeddings.search("oven", words=False)) == ["Bread"]


async def test_without_a_model_words_find(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    laptop.embeddings.use(None, may_send=False)
    found = await laptop.embeddings.search("garden")
    assert (found.by, titles(found), found.lacking) == ("words", ["Rain"], 4)
    with pytest.raises(EcholiaError) as error:
        await laptop.embeddings.update()
    assert error.value.code == "embeddings_wait"
    assert await laptop.embeddings.where(["a"]) == "wait"


async def test_vectors_are_made_once_and_every_device_has_them(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    await written(laptop)
    here, there = Counting(), Counting()
    laptop.embeddings.use(here)
    phone.embeddings.use(there)
    await laptop.embeddings.update()
    for device in (laptop, phone):
        await device.sync()
    assert (await phone.embeddings.update()).made == 0
    assert (here.embedded, there.embedded) == (4, 0)
    assert titles(await phone.embeddings.search("rained garden"))[0] == "Rain"
    assert there.embedded == 1  # the question


async def test_two_devices_that_make_the_same_make_one(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    await written(laptop)
    await laptop.sync()
    await phone.sync()
    for device in (laptop, phone):
        device.embeddings.use(DeterministicEngine())
        assert (await device.embeddings.update()).made == 4
    for device in (laptop, phone, laptop):
        await device.sync()
    assert states(laptop) == states(phone)
    assert await laptop.collection("vectors").count() == 5  # and the one that says which model
    assert (await laptop.embeddings.update()).made == 0


async def test_what_was_edited_is_made_again_and_what_is_gone_is_removed(world: World) -> None:
    laptop = await world.first()
    ids = await written(laptop)
    engine = Counting()
    laptop.embeddings.use(engine)
    await laptop.embeddings.update()
    entries = laptop.collection("entries")
    await entries.update(ids["Bank"], {"body": "A river without water"})
    await entries.update(ids["Walk"], {"starred": True})
    await entries.delete(ids["Bread"])
    made = await laptop.embeddings.update()
    assert (made.made, made.removed, engine.embedded) == (1, 1, 5)
    assert titles(await laptop.embeddings.search("river water", words=False)) == ["Bank"]
    await entries.restore(ids["Bread"])
    assert (await laptop.embeddings.update()).made == 1
    assert titles(await laptop.embeddings.search("hot oven flour", words=False)) == ["Bread"]


async def test_a_device_that_cannot_asks_the_server_sealed(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    laptop.embeddings.use(None)
    with pytest.raises(EcholiaError) as error:
        await laptop.embeddings.update()  # the server's model is for development
    assert error.value.code == "embeddings_wait"
    assert (await laptop.embeddings.update(development=True)).made == 4
    sent = [request for request in world.transport("laptop").asked if request.path.startswith("/embeddings/")]
    assert [request.path for request in sent] == ["/embeddings/models", "/embeddings/batch"]
    assert b"rained" not in sent[1].body
    found = await laptop.embeddings.search("rained garden")
    assert (found.by, titles(found)[0]) == ("meaning", "Rain")
    assert world.transport("laptop").asked[-1].path == "/embeddings/generate"
    (row,) = await laptop.llm.usage()
    assert (row.model, row.prices, row.requests) == ("deterministic-1", "embeddings", 2)


async def test_server_and_device_make_the_same_vector(world: World) -> None:
    laptop = await world.first()
    laptop.embeddings.use(DeterministicEngine())
    await written(laptop)
    await laptop.embeddings.update()
    here = await laptop.embeddings.embed(["Rain", "A long text " * 500])
    laptop.embeddings.use(None)
    there = await laptop.embeddings.embed(["Rain", "A long text " * 500])
    assert here == there


@pytest.mark.parametrize(
    ("power", "memory_bytes", "place"),
    [("mains", NEEDED_BYTES, "device"), ("low", NEEDED_BYTES, "server"), ("mains", 1, "server")],
)
async def test_a_device_that_should_not_leaves_it_to_the_server(
    world: World, power: Power, memory_bytes: int, place: str
) -> None:
    laptop = await world.first()
    engine = Counting()
    laptop.embeddings.use(engine)
    reports(laptop, power, memory_bytes)
    assert await laptop.embeddings.where(["a"]) == place
    await written(laptop)
    assert (await laptop.embeddings.update()).made == 4
    assert engine.embedded == (4 if place == "device" else 0)
    world.transport("laptop").down = True
    if place == "server":
        laptop.embeddings._making._offered = None
        assert await laptop.embeddings.where(["a"]) == "wait"


async def test_another_model_is_made_beside_the_former_which_is_searched_until_then(world: World) -> None:
    laptop = await world.first()
    ids = await written(laptop)
    former, new = Counting("1"), Counting("2", most=0)
    laptop.embeddings.use(former)
    await laptop.embeddings.update()
    new.most = 0
    laptop.embeddings.use(new)
    with pytest.raises(EcholiaError):
        await laptop.embeddings.migrate()
    stands = await laptop.embeddings.status()
    assert (stands.model, stands.made, stands.others) == (new.model.identity.digest, 0, 4)
    laptop.embeddings.use(former)
    assert titles(await laptop.embeddings.search("rained garden"))[0] == "Rain"
    new.most = 1 << 30
    laptop.embeddings.use(new)
    told: list[tuple[int, int]] = []
    made = await laptop.embeddings.update(lambda done, total: told.append((done, total)))
    assert (made.made, made.removed, told) == (4, 4, [(4, 4)])
    stands = await laptop.embeddings.status()
    assert (stands.made, stands.others, stands.entries) == (4, 0, 4)
    assert titles(await laptop.embeddings.search("rained garden"))[0] == "Rain"
    assert len(ids) == 4


async def test_a_migration_that_is_stopped_goes_on_with_what_is_missing(world: World) -> None:
    laptop = await world.first()
    entries = laptop.collection("entries")
    await entries.create_many({"title": f"note {number}", "body": f"word{number}"} for number in range(80))
    laptop.embeddings.use(Counting("1"))
    await laptop.embeddings.update()
    new = Counting("2", most=40)
    laptop.embeddings.use(new)
    with pytest.raises(EcholiaError):
        await laptop.embeddings.migrate()
    stands = await laptop.embeddings.status()
    assert (stands.made, stands.others) == (32, 80)
    laptop.embeddings.use(
        Counting("1")
    )  # the former model still answers for all, and is compared with its own
    found = await laptop.embeddings.search("word7", words=False)
    assert (titles(found)[0], found.lacking) == ("note 7", 0)
    new.most = 1 << 30
    laptop.embeddings.use(new)
    assert (await laptop.embeddings.update()).made == 48
    assert new.embedded == 80
    assert titles(await laptop.embeddings.search("word7", words=False))[0] == "note 7"


async def test_other_devices_go_with_the_model_and_no_brake_stops_them(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    entries = laptop.collection("entries")
    await entries.create_many({"title": f"note {number}", "body": f"word{number}"} for number in range(120))
    laptop.embeddings.use(DeterministicEngine("1"))
    await laptop.embeddings.update()
    for device in (laptop, phone, laptop, phone):
        await device.sync()
    laptop.embeddings.use(DeterministicEngine("2"))
    made = await laptop.embeddings.migrate()
    assert (made.made, made.removed) == (120, 120)
    await laptop.sync()
    await phone.sync()
    phone.embeddings.use(DeterministicEngine("2"))
    assert (await phone.embeddings.update()).made == 0
    assert titles(await phone.embeddings.search("word7", words=False))[0] == "note 7"
    # Vectors hide no deletion of the person's own: half of the entries is still too much.
    async with phone.batch() as batch:
        for record in await phone.collection("entries").list(limit=60):
            batch.delete("entries", record.id)
    await phone.sync()
    with pytest.raises(EcholiaError) as error:
        await laptop.sync()
    assert error.value.code == "mass_change"


async def test_what_is_too_long_for_a_vector_is_found_by_words(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    await laptop.collection("entries").create({"title": "Novel", "body": "zeppelin " + "word " * 140_000})
    laptop.embeddings.use(DeterministicEngine())
    made = await laptop.embeddings.update()
    assert (made.made, made.too_long) == (4, 1)
    found = await laptop.embeddings.search("zeppelin")
    assert (titles(found), found.lacking) == (["Novel"], 1)
    tried: list[tuple[int, int]] = []
    again = await laptop.embeddings.update(lambda *done: tried.append(done))
    assert (again.made, again.too_long, tried) == (0, 1, [])
    laptop.embeddings.use(DeterministicEngine())  # one that might do it
    await laptop.embeddings.update(lambda *done: tried.append(done))
    assert tried == [(1, 1)]


def _other(fields: dict[str, Any]) -> None:
    (model,) = fields["models"]
    model["weights"] = b64(bytes(32))


def test_vectors_that_are_of_another_model_are_not_taken() -> None:
    identity = DeterministicEngine().model.identity
    said = {"status": 200, "identity": b64(identity.digest), "vectors": [b64(packed(array("f", [0] * 256)))]}
    assert _read(said, identity, 1) == [array("f", [0] * 256)]
    other = b64(DeterministicEngine("2").model.identity.digest)
    wrongly: list[dict[str, Any]] = [{"identity": other}, {"vectors": []}, {"vectors": ["kurz"]}]
    for wrong in wrongly:
        with pytest.raises(EcholiaError) as error:
            _read({**said, **wrong}, identity, 1)
        assert error.value.code == "server_invalid"


async def test_a_server_cannot_pass_off_another_model(world: World) -> None:
    laptop = await world.first()
    laptop.embeddings.use(DeterministicEngine())
    await written(laptop)
    await laptop.embeddings.update()
    laptop.embeddings.use(None)
    world.transport("laptop").meddle = documents("/embeddings/models", _other)
    assert await laptop.embeddings.where(["a"]) == "wait"
    found = await laptop.embeddings.search("garden")
    assert (found.by, titles(found)) == ("words", ["Rain"])


@pytest.mark.parametrize("body", [b'{"models": 1}', b'{"models": [{}]}', b'{"models": [1]}', b"{}"])
async def test_models_that_are_none_are_noticed(world: World, body: bytes) -> None:
    laptop = await world.first()

    def meddle(request: Request, answer: Answer) -> Answer:
        return Answer(200, body) if request.path == "/embeddings/models" else answer

    world.transport("laptop").meddle = meddle
    with pytest.raises(EcholiaError) as error:
        await laptop.embeddings.models()
    assert error.value.code == "server_invalid"
