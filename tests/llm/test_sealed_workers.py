"""Sealed requests before several processes: whichever gets one opens it, and none opens it again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from echolia.core.ids import b64, unb64
from echolia.sealed.asks import account_hash
from echolia.sealed.documents import KeyDocument, read_document
from echolia.sealed.frames import framed_request, unframed_final
from echolia.sealed.requests import seal
from tests.support.online import Person, online
from tests.support.process import ServerProcess
from tests.support.sealed_client import TYPE

PATH = "/llm/generate"
ASK = {"model": "echo", "messages": [{"role": "user", "content": "Good morning"}]}
TIMES = 12


@asynccontextmanager
async def answered(
    person: Person, method: str, path: str, body: bytes | None = None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer over a connection of its own, so that any of the processes may get it."""
    headers = {**person.bearer, "content-type": TYPE, "connection": "close"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, person.url + path, data=body, headers=headers) as answer,
    ):
        yield answer


async def keys(person: Person) -> KeyDocument:
    async with answered(person, "GET", "/llm/keys") as answer:
        told = await answer.json()
    return read_document(unb64(told["document"]), unb64(told["signature"]), None, _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_all_processes_have_the_same_keys_and_remember_together(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", workers="3") as server:
        async with online(server.url) as person:
            documents = [await keys(person) for _ in range(TIMES)]
            assert documents == documents[:1] * TIMES
            key, said = documents[0].keys[0], {"path": PATH, "account": b64(account_hash(person.account.id))}
            for _ in range(TIMES):
                plain = framed_request({"iat_ms": _now_ms(), **said, "ask": ASK})
                body, opener = seal(key.id, key.public, plain, os.urandom(32))
                async with answered(person, "POST", PATH, body) as answer:
                    assert answer.status == 200, await answer.text()
                    assert list(opener.feed(await answer.read())) == []
                assert unframed_final(opener.end())["status"] == 200
                for _ in range(3):
                    async with answered(person, "POST", PATH, body) as answer:
                        assert answer.status == 409, "it was opened twice"
                        assert json.loads(await answer.read())["code"] == "sealed_replayed"
