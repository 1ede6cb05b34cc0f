"""Embeddings over the whole server: the models, both endpoints, the account's usage."""

from __future__ import annotations

import os
from typing import Any

import pytest

from echolia.core.ids import b64, unb64
from echolia.core.model_identity import identity_of, unpacked
from echolia.engines.deterministic import DeterministicEngine
from echolia.engines.whole_texts import embed_texts
from echolia.sealed.asks import bound
from echolia.sealed.frames import framed_request
from echolia.sealed.requests import seal
from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.sealed_client import TYPE, SealedClient
from tests.support.server import Clock

MODEL = DeterministicEngine()
IDENTITY = b64(MODEL.model.identity.digest)
PATHS: dict[str, dict[str, Any]] = {
    "/embeddings/generate": {"text": "Good night"},
    "/embeddings/batch": {"texts": ["Good night"]},
}


@pytest.fixture
def client(ask: Asker, anna: Account, clock: Clock) -> SealedClient:
    return SealedClient(ask, anna.id, int(clock() * 1000))


async def test_the_model_for_development_says_what_it_is(client: SealedClient, ask: Asker) -> None:
    told = (await ask("GET", "/embeddings/models")).json()
    (model,) = told["models"]
    assert (model["engine"], model["development"], model["identity"]) == ("deterministic", True, IDENTITY)
    assert identity_of(model) == MODEL.model.identity
    assert told["quota"]["concurrent"] == {"used": 0, "limit": 8}


@pytest.mark.parametrize("path", PATHS)
async def test_both_endpoints_answer_with_the_same_vector(
    client: SealedClient, ask: Asker, path: str
) -> None:
    said = await client.say(path, identity=IDENTITY, **PATHS[path])
    (vector,) = said.final["vectors"]
    assert unpacked(unb64(vector), 256) == embed_texts(MODEL, ["Good night"])[0]
    (row,) = (await ask("GET", "/llm/usage")).json()["usage"]
    assert (row["model"], row["prices"], row["input"], row["micro_usd"]) == (
        "deterministic-1",
        "embeddings",
        2,
        0,
    )
    quota = (await ask("GET", "/llm/quota")).json()
    assert quota["tokens_per_day"]["used"] == 0


@pytest.mark.parametrize("path", PATHS)
async def test_a_text_goes_nowhere_unsealed(client: SealedClient, ask: Asker, path: str) -> None:
    answer = await ask("POST", path, {"identity": IDENTITY, **PATHS[path]})
    assert answer.code == "unsupported_media_type"
    answer, _ = await client.post(path, {"identity": IDENTITY, **PATHS[path]}, account=b64(bytes(32)))
    assert answer.code == "sealed_elsewhere"


async def test_a_request_is_answered_once(client: SealedClient, ask: Asker) -> None:
    path = "/embeddings/generate"
    key = (await client.keys()).keys[0]
    said = bound(client.now_ms, path, client.account, {"identity": IDENTITY, "text": "a"})
    body, _ = seal(key.id, key.public, framed_request(said), os.urandom(32))
    headers = {"content-type": TYPE}
    assert (await ask("POST", path, body=body, headers=headers)).status == 200
    assert (await ask("POST", path, body=body, headers=headers)).code == "sealed_replayed"
