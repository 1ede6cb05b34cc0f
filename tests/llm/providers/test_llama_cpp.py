"""A model that really generates: a tiny Llama of random weights, served by llama.cpp on this machine.

Its words mean nothing. That they are generated one after another, counted, cut, made to follow a schema and
ended when nobody reads on is what is shown.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from echolia.llm.providers.choice import make
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.port import Ask, Ended, Message, Provider, Text
from tests.deployment.processes import clean_environment, get, running, wait_until
from tests.llm.providers.asks import course, words
from tests.support.ports import free_port
from tests.support.whole_answers import generated

pytestmark = pytest.mark.service

MODEL: Final = "tiny.gguf"
CONTEXT: Final = 2048  # tokens that it sees at once
PERSON: Final = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}, "well": {"type": "boolean"}},
    "required": ["age", "well"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def address(
    service_binary: Callable[[str, str], str], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where the model is served."""
    python = service_binary("llamacpp-python", "make services")
    folder = tmp_path_factory.mktemp("llamacpp")
    port = free_port()
    program = str(repository / "tests" / "support" / "llama_model.py")
    command = [python, program, MODEL, str(port)]
    with running(command, port, folder / "llamacpp.log", clean_environment(), folder):
        wait_until(lambda: get(port, "/health")[0] == 200, "the model is loaded")
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture
async def llama(address: str) -> AsyncIterator[Provider]:
    """The adapter before it."""
    made = make("openai", Endpoint(base_url=address))
    yield made
    await made.close()


def ask(said: str = "Good morning", **more: Any) -> Ask:
    """A request of it; without a temperature of 0 its words are others each time."""
    values = {"messages": [Message("user", [Text(said)])], "max_tokens": 40, "temperature": 0.0, **more}
    return Ask(MODEL, **values)


async def test_it_generates_word_by_word_and_counts(llama: Provider) -> None:
    events, failed = await course(llama, ask(system="Be brief"))
    assert failed is None
    *said, ended = events
    assert len(said) > 10
    assert isinstance(ended, Ended)
    assert ended.reason == "length"
    # A token for each byte of "Good morning" and "Be brief", their turns, and few for the frame.
    assert 20 <= ended.usage.input <= 30
    assert (ended.usage.output, ended.usage.estimated) == (40, False)


async def test_it_answers_the_same_at_temperature_0(llama: Provider) -> None:
    first, second, other = [await generated(llama, ask(said)) for said in ("One", "One", "Two")]
    assert first.parts == second.parts != other.parts


async def test_it_stops_where_it_is_told_to(llama: Provider) -> None:
    events, _ = await course(llama, ask())
    whole = words(events)
    stop = whole[len(whole) // 2 :][:2]
    events, _ = await course(llama, ask(stop=[stop]))
    assert words(events) == whole[: whole.index(stop)]
    assert isinstance(events[-1], Ended)
    assert events[-1].reason == "stop"


async def test_random_weights_follow_a_schema(llama: Provider) -> None:
    """Each token is chosen among those that the schema allows."""
    answer = await generated(llama, ask("Who?", schema=PERSON, max_tokens=400))
    assert answer.ended.reason == "stop"
    [said] = answer.parts
    assert isinstance(said, Text)
    found = json.loads(said.text)
    assert (type(found["age"]), type(found["well"]), len(found)) == (int, bool, 2)


async def test_its_model_is_told(llama: Provider) -> None:
    assert list(await llama.models()) == [MODEL]


async def test_what_does_not_fit_is_refused(llama: Provider) -> None:
    _, failed = await course(llama, ask("long " * 2000))
    assert failed is not None
    assert (failed.code, failed.status) == ("upstream_refused", 400)


async def test_many_at_once_are_answered_as_one_after_another(llama: Provider) -> None:
    asks = [ask(f"Number {n}", max_tokens=12) for n in range(6)]
    together = await asyncio.gather(*(generated(llama, one) for one in asks))
    assert all(answer.ended.usage.output == 12 for answer in together)


async def test_who_leaves_ends_the_generation(llama: Provider) -> None:
    """It takes two requests at once: some that go on for ever would keep a further one waiting for ever."""
    endless = llama.stream(ask(max_tokens=10**9))
    for _ in range(CONTEXT):
        assert isinstance(await anext(endless), Text)
    await endless.aclose()
    for _ in range(5):
        stream = llama.stream(ask(max_tokens=10**9))
        assert isinstance(await anext(stream), Text)
        await stream.aclose()
    answer = await generated(llama, ask(max_tokens=5))
    assert answer.ended.usage.output == 5
