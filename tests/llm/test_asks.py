"""Asks of models through the whole server: sealed in, sealed out, counted."""

from __future__ import annotations

import pytest

from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.sealed_client import SealedClient
from tests.support.server import Clock


@pytest.fixture
def client(ask: Asker, anna: Account, clock: Clock) -> SealedClient:
    return SealedClient(ask, anna.id, int(clock() * 1000))


async def test_words_come_as_they_are_said(client: SealedClient) -> None:
    said = await client.say(
        "/llm/stream", model="echo", messages=[{"role": "user", "content": "Good morning!"}]
    )
    assert said.text.endswith("You wrote: Good morning!")
    assert len(said.chunks) >= 1
    assert said.final["status"] == 200
    assert said.final["reason"] == "stop"


async def test_a_whole_answer_is_in_the_final_chunk(client: SealedClient) -> None:
    said = await client.say(
        "/llm/generate", model="echo", messages=[{"role": "user", "content": "Good night"}]
    )
    assert said.chunks == []
    assert said.text.endswith("Good night")
    assert [part["type"] for part in said.final["parts"]] == ["text"]


async def test_what_was_used_is_told_by_day_and_model(client: SealedClient, ask: Asker) -> None:
    final = (
        await client.say("/llm/generate", model="echo", messages=[{"role": "user", "content": "Hm"}])
    ).final
    (row,) = (await ask("GET", "/llm/usage?days=1")).json()["usage"]
    assert (row["model"], row["status"], row["requests"]) == ("echo", "ok", 1)
    assert (row["input"], row["output"]) == (final["usage"]["input"], final["usage"]["output"])
    quota = (await ask("GET", "/llm/quota")).json()
    assert quota == final["quota"]
    assert quota["tokens_per_day"]["used"] == row["input"] + row["output"]
    assert quota["concurrent"]["used"] == 0
