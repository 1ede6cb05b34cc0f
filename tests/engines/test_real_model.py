"""The real model: the same vectors as its equations give, the same neighbours, on device and server."""

from __future__ import annotations

import subprocess
import sys
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.core.model_identity import unpacked
from echolia.core.windows import nearness
from echolia.engines import minilm
from echolia.engines.port import Engine
from echolia.engines.whole_texts import embed_texts
from tests.deployment.processes import clean_environment
from tests.engines.labelled import neighbours, recall, sentences
from tests.support.devices import World
from tests.support.real_model import REFERENCE_INSTALLED, real_model, reference
from tests.support.sealed_client import SealedClient
from tests.support.server import Clock, served

if TYPE_CHECKING:
    from echolia.client import Device

pytestmark = [pytest.mark.service, pytest.mark.slow]

SENTENCES = sentences()
TEXTS = [sentence.text for sentence in SENTENCES]
SAME = 0.9999
LONG = " ".join(TEXTS[:60])


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The engine of production."""
    return real_model()


@pytest.fixture(scope="module")
def vectors(engine: Engine) -> list[array[float]]:
    """The vectors of all sentences."""
    return embed_texts(engine, TEXTS)


@pytest.fixture(scope="module")
def directly(engine: Engine) -> list[array[float]]:
    """The same by the model's equations, in double precision, one sentence at a time."""
    from echolia.engines.minilm_graph import read_safetensors  # noqa: PLC0415  # needs the extra
    from tests.support.bert_maths import vector  # noqa: PLC0415

    files = minilm.folder()
    assert files is not None
    weights = read_safetensors((files / minilm.WEIGHTS).read_bytes())
    marked = ([minilm.BEGIN, *tokens, minilm.END] for tokens in engine.tokens(TEXTS))
    return [array("f", vector(weights, ids)) for ids in marked]


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> AsyncIterator[World]:
    """A server that embeds by the real model."""
    clock = Clock()
    changed = {"embeddings": "onnx", "embeddings_seconds": 60}
    async with served(tmp_path / "server", clock, **changed) as ask, AsyncExitStack() as stack:
        yield World(ask, clock, tmp_path, stack)


def least(found: Sequence[array[float]], wanted: Sequence[array[float]]) -> float:
    """How near the two that differ most are."""
    return min(nearness(one, other) for one, other in zip(found, wanted, strict=True))


def test_there_are_enough_sentences_of_many_topics() -> None:
    assert len(TEXTS) == len(set(TEXTS)) >= 200
    assert len({sentence.topic for sentence in SENTENCES}) >= 20


def test_what_else_is_in_a_call_changes_no_bit_of_a_vector(
    engine: Engine, vectors: list[array[float]]
) -> None:
    """So that it tells nothing of texts of others, which may be in the same call."""
    alone = [embed_texts(engine, [text])[0] for text in TEXTS]
    assert alone == vectors


def test_vectors_are_those_of_the_equations(
    vectors: list[array[float]], directly: list[array[float]]
) -> None:
    assert least(vectors, directly) >= 0.99999


def test_neighbours_are_those_of_the_model_run_directly(
    vectors: list[array[float]], directly: list[array[float]]
) -> None:
    assert recall(neighbours(vectors, 10), neighbours(directly, 10)) >= 0.999
    assert recall(neighbours(vectors[1:], 10), neighbours(directly[:-1], 10)) < 0.5


def test_neighbours_are_about_the_same(vectors: list[array[float]]) -> None:
    nearest = neighbours(vectors, 5)
    about = [[SENTENCES[at].topic for at in found] for found in nearest]
    pairs = list(zip(about, SENTENCES, strict=True))
    # By chance one in twenty-three would be of the topic, and one of five for one in five sentences.
    assert sum(found[0] == sentence.topic for found, sentence in pairs) >= 0.5 * len(pairs)
    assert sum(sentence.topic in found for found, sentence in pairs) >= 0.8 * len(pairs)


if REFERENCE_INSTALLED:  # a comparison with what takes torch: no test anywhere else

    def test_the_makers_engine_comes_to_the_same(vectors: list[array[float]]) -> None:
        made = embed_texts(reference(), TEXTS)
        assert least(vectors, made) >= SAME
        assert recall(neighbours(vectors, 10), neighbours(made, 10)) >= 0.99


def test_files_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    files = minilm.folder()
    assert files is not None
    whole = (files / minilm.TOKENIZER).read_bytes()
    (tmp_path / minilm.TOKENIZER).write_bytes(whole)
    assert minilm.checked(tmp_path / minilm.TOKENIZER) == whole
    for changed in (whole[:-1], whole.replace(b"garden", b"gorden", 1), b""):
        (tmp_path / minilm.TOKENIZER).write_bytes(changed)
        with pytest.raises(EcholiaError) as error:
            minilm.checked(tmp_path / minilm.TOKENIZER)
        assert error.value.code == "model_damaged"
    with pytest.raises(EcholiaError):
        minilm.checked(tmp_path / minilm.WEIGHTS)


async def _filled(world: World) -> Device:
    laptop = await world.first()
    entries = [{"title": sentence.topic, "body": sentence.text} for sentence in SENTENCES]
    await laptop.collection("entries").create_many(entries)
    return laptop


def test_its_runtime_leaves_nothing_behind_and_reports_to_nobody(tmp_path: Path, engine: Engine) -> None:
    """By itself it leaves a session and an identifier in these folders, and sends what it counts."""
    assert engine.model.development is False
    code = "from echolia.engines.choice import installed_engine; assert installed_engine() is not None"
    folders = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=clean_environment(**folders), check=True)
        assert list(tmp_path.iterdir()) == []


async def test_device_and_server_make_the_same_vectors(world: World, engine: Engine) -> None:
    laptop = await world.first()
    laptop.embeddings.use(None)
    there = await laptop.embeddings.embed([*TEXTS[:100], LONG])
    paths = {request.path for request in world.transport("laptop").asked}
    assert "/embeddings/batch" in paths
    laptop.embeddings.use(engine)
    here = await laptop.embeddings.embed([*TEXTS[:100], LONG])
    assert least(here, there) >= SAME


async def test_a_phone_without_a_model_finds_what_the_laptop_embedded(world: World, engine: Engine) -> None:
    laptop = await _filled(world)
    phone = await world.added(laptop)
    laptop.embeddings.use(engine)
    assert (await laptop.embeddings.update()).made == len(TEXTS)
    for device in (laptop, phone):
        await device.sync()
    phone.embeddings.use(None)
    for question, topic in (
        ("a bad night without rest", "sleep"),
        ("somebody close to me passed away", "grief"),
        ("the forecast says it will pour tomorrow", "weather"),
        ("my pet is ill", "animals"),
    ):
        found = await phone.embeddings.search(question, limit=3)
        assert found.by == "meaning" and found.lacking == 0
        assert topic in {near.record.title for near in found.found}, question


async def test_a_long_text_is_embedded_to_its_end_by_the_server(world: World, engine: Engine) -> None:
    laptop = await world.first()
    client = SealedClient(world.ask, bytes.fromhex(laptop.account), int(world.clock() * 1000))
    world.ask.token = (await laptop._session.authorization()).removeprefix("Bearer ")
    ask = {"identity": b64(minilm.IDENTITY.digest), "text": LONG}
    said = await client.say("/embeddings/generate", **ask)
    (vector,) = said.final["vectors"]
    assert said.final["tokens"] > 2 * 256
    assert nearness(unpacked(unb64(vector), 384), embed_texts(engine, [LONG])[0]) >= SAME
