"""A stand-in for Turso's platform API on loopback, over a real sqld: it answers as its documentation says.

It is no Turso: what it cannot show is how long Turso takes and how it fails.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from time import time
from typing import Any, Final

import aiohttp
from aiohttp import web

from echolia.storage.hrana.names import Names
from echolia.storage.hrana.tokens import Signer
from echolia.storage.hrana.turso import Turso
from echolia.storage.hrana.turso_api import Surroundings, TursoApi
from echolia.storage.migrate import Migration
from tests.support.sqld import SqldProcess

ORGANIZATION: Final = "example"
GROUP: Final = "default"
PLATFORM_TOKEN: Final = "platform-token-of-a-stand-in"


@dataclass(frozen=True)
class Scripted:
    """What the next request gets instead of an answer; with `done` it is done all the same."""

    status: int
    retry_after: str = ""
    done: bool = False


@dataclass
class TursoStandIn:
    """Databases `NAME` are namespaces `NAME-example`; it hears and does what a test scripts."""

    sqld: SqldProcess
    url: str = ""
    script: list[Scripted] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    seeds: list[str] = field(default_factory=list)

    def place(self, migrations: Sequence[Migration], seed: str = "") -> Turso:
        """A provisioner of it, which waits without waiting."""
        api = TursoApi(self.url, ORGANIZATION, GROUP, PLATFORM_TOKEN, self._around())
        return Turso(api, Names(sha256(seed.encode()).digest()), migrations, time, self.sqld.url)

    def _around(self) -> Surroundings:
        now = time()

        async def sleep(seconds: float) -> None:
            nonlocal now
            self.slept.append(seconds)
            now += seconds

        return Surroundings(lambda: now, sleep, Random(5).random)

    async def answer(self, request: web.Request) -> web.Response:
        """Any request."""
        self.asked.append(f"{request.method} {request.path.split('/databases')[1]}")
        if request.headers.get("Authorization") != f"Bearer {PLATFORM_TOKEN}":
            return web.json_response({"error": "token is invalid"}, status=401)
        scripted = self.script.pop(0) if self.script else None
        if scripted is None or scripted.done:
            answered = await self._done(request)
        if scripted is None:
            return answered
        headers = {"Retry-After": scripted.retry_after} if scripted.retry_after else {}
        return web.json_response({"error": "scripted"}, status=scripted.status, headers=headers)

    async def _done(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json() if request.can_read_body else {}
        name, _, what = request.match_info["rest"].strip("/").partition("/")
        if request.method == "POST" and not name:
            return await self._create(body)
        namespace = f"{name}-{ORGANIZATION}"
        status, _ = await self._admin("GET", f"{namespace}/config")
        if status == 404:
            return web.json_response({"error": f"could not find database with name {name}"}, status=404)
        if request.method == "DELETE":
            await self._admin("DELETE", namespace, {})
            return web.json_response({"database": name})
        if request.method == "PATCH" and what == "configuration":
            return web.json_response((await self._admin("POST", f"{namespace}/config", body))[0])
        if request.method == "POST" and what == "auth/tokens":
            return web.json_response({"jwt": Signer(self.sqld.key, time).token(namespace)[0]})
        if what == "usage":
            stats = json.loads((await self._admin("GET", f"{namespace}/stats"))[1])
            usage = {"rows_read": 1, "rows_written": 1, "storage_bytes": stats["storage_bytes_used"]}
            return web.json_response({"database": {"uuid": "u", "usage": usage}})
        hostname = f"{namespace}.turso.invalid"
        return web.json_response({"database": {"Name": name, "Hostname": hostname, "group": GROUP}})

    async def _create(self, body: dict[str, Any]) -> web.Response:
        assert body["group"] == GROUP
        namespace, seed = f"{body['name']}-{ORGANIZATION}", body.get("seed")
        if (await self._admin("GET", f"{namespace}/config"))[0] == 200:
            return web.json_response({"error": "database already exists"}, status=409)
        if seed is None:
            await self._admin("POST", f"{namespace}/create", {"durability_mode": "strong"})
        else:
            assert seed["type"] == "database"
            self.seeds.append(seed["name"])
            status, _ = await self._admin("POST", f"{seed['name']}-{ORGANIZATION}/fork/{namespace}", {})
            assert status == 200
        return web.json_response(
            {"database": {"Name": body["name"], "Hostname": f"{namespace}.turso.invalid"}}
        )

    async def _admin(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        headers = {"Authorization": f"basic {self.sqld.admin_key}"}
        url = f"{self.sqld.admin_url}/v1/namespaces/{path}"
        async with aiohttp.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def turso_stand_in(sqld: SqldProcess) -> AsyncIterator[TursoStandIn]:
    """One that listens meanwhile."""
    stand_in = TursoStandIn(sqld)
    app = web.Application()
    app.router.add_route("*", "/v1/organizations/example/databases{rest:.*}", stand_in.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    [(host, port)] = [address[:2] for address in runner.addresses]
    stand_in.url = f"http://{host}:{port}"
    try:
        yield stand_in
    finally:
        await runner.cleanup()
