"""A client of models in JavaScript, from spec/sealed.md and spec/llm.md alone, and a server process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.types import Receive, Scope, Send

from echolia.core.ids import b64
from tests.support.loopback import on_loopback
from tests.support.online import Person, online
from tests.support.process import ServerProcess

pytestmark = pytest.mark.service
HERE = Path(__file__).resolve().parent / "node"
VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"
INSTALL = "make services (or: npm ci --ignore-scripts --prefix tests/independent/node)"
LONGEST_S = 120.0
STREAM, GENERATE = "/llm/stream", "/llm/generate"
WORDS = "Good morning, Anna! " * 100
ASK = {"model": "echo", "messages": [{"role": "user", "content": WORDS}], "max_tokens": 4000}

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def node(service_binary: Callable[[str, str], str]) -> str:
    """The program, where the client's packages are installed as well."""
    program = service_binary("node", INSTALL)
    if not (HERE / "node_modules" / "@hpke" / "core").exists():
        message = f"the packages of {HERE.name} are not installed; install them by: {INSTALL}"
        if os.environ.get("ECHOLIA_REQUIRE_SERVICES") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return program


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the model that echoes."""
    with ServerProcess(tmp_path_factory.mktemp("node") / "data") as process:
        yield process


@pytest.fixture
async def anna(server: ServerProcess, request: pytest.FixtureRequest) -> AsyncIterator[Person]:
    """Somebody with an account there."""
    async with online(server.url, request.node.name) as person:
        yield person


async def _lines(node: str, script: str, *arguments: str, given: bytes = b"") -> Lines:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        node, str(HERE / script), *arguments, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(LONGEST_S):
            said, complained = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert complained == b"", complained.decode()
    return [json.loads(line) for line in said.splitlines()]


@dataclass
class Client:
    """The client in JavaScript, for one person, at a server's `url`."""

    node: str
    person: Person
    url: str

    async def ask(self, path: str = STREAM, ask: Any = ASK, **other: Any) -> Lines:
        """What it prints."""
        who = {"url": self.url, "token": self.person.token, "account": b64(self.person.account.id)}
        given = json.dumps({**who, "path": path, "ask": ask, **other}).encode()
        return await _lines(self.node, "ask.mjs", given=given)


@pytest.fixture
def client(node: str, anna: Person, server: ServerProcess) -> Client:
    return Client(node, anna, server.url)


def words(objects: Lines) -> str:
    """The text of chunks."""
    return "".join(part["text"] for each in objects for part in each.get("parts", ()))


def chunks(lines: Lines) -> Lines:
    return [line["chunk"] for line in lines if "chunk" in line]


async def test_words_are_streamed(client: Client) -> None:
    _, *lines = await client.ask()
    *told, last = lines
    assert len(told) > 1 and all(line.keys() == {"chunk"} for line in told)
    assert words(chunks(told)).endswith(f"You wrote: {WORDS}")
    assert (last["final"]["status"], last["final"]["reason"]) == (200, "stop")
    assert last["final"]["usage"]["output"] > 0


async def test_a_whole_answer_comes_in_the_final_chunk(client: Client) -> None:
    _, last = await client.ask(GENERATE)
    assert words([last["final"]]).endswith(f"You wrote: {WORDS}")
    assert last["final"]["status"] == 200


async def test_a_long_ask_goes_in_several_chunks(client: Client) -> None:
    long = {**ASK, "messages": [{"role": "user", "content": "ünïcödé 😀 " * 4_000}], "max_tokens": 10}
    _, *_, last = await client.ask(GENERATE, long)
    assert (last["final"]["status"], last["final"]["reason"]) == (200, "length")


@pytest.mark.parametrize(
    ("wrong", "code", "status"),
    [({"model": "nobody"}, "model_unknown", 404), ({"more": 1}, "ask_invalid", 400)],
)
async def test_an_error_comes_under_the_seal(client: Client, wrong: Any, code: str, status: int) -> None:
    _, last = await client.ask(ask={**ASK, **wrong})
    assert (last["final"]["code"], last["final"]["status"]) == (code, status)


async def test_a_refusal_of_the_door_comes_in_the_open(client: Client) -> None:
    client.person.token = "nobody's"
    assert await client.ask() == [{"error": "unauthorized", "status": 401}]


async def test_the_pins_that_it_was_given_are_those_that_count(client: Client) -> None:
    (pins, *_) = await client.ask()
    assert (await client.ask(pinned=pins["pins"]))[-1]["final"]["status"] == 200
    other = {"identity": "11" * 32, "next": "22" * 32}
    assert await client.ask(pinned=other) == [{"error": "sealed_keys_untrusted"}]
    moved = {"identity": "11" * 32, "next": pins["pins"]["identity"]}
    assert (await client.ask(pinned=moved))[0] == pins
    forked = {**pins["pins"], "next": "22" * 32}
    assert await client.ask(pinned=forked) == [{"error": "sealed_keys_untrusted"}]


async def test_a_key_that_the_server_has_no_more_is_fetched_anew(client: Client) -> None:
    pins, again, *told, last = await client.ask(key_id=200)
    assert pins.keys() == {"pins"} and again == {"again": "sealed_key_unknown"}
    assert words(chunks(told)).endswith(WORDS)
    assert last["final"]["status"] == 200


@dataclass
class Relay:
    """Who stands between the client and the server at `url`: changes the bodies of answers to POST.

    `breaks`: the connection ends before the answer does. `forgets`: no key is known.
    """

    url: str
    change: Callable[[bytes], bytes] = bytes
    breaks: bool = False
    forgets: bool = False
    media_type: str = ""
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, passed on whole."""
        self.asked.append(f"{scope['method']} {scope['path']}")
        kept = {b"authorization", b"content-type"}
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name in kept}
        body = await _body(receive)
        if self.forgets:
            body = bytes([200]) + body[1:] if body else b""
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                scope["method"], self.url + scope["path"], data=body or None, headers=headers
            ) as answer,
        ):
            whole = await answer.read()
            told = [(name.encode(), answer.headers[name].encode()) for name in ("content-type", "date")]
        if scope["method"] == "POST":
            whole = self.change(whole)
            if self.media_type:
                told[0] = (b"content-type", self.media_type.encode())
        cut = self.breaks and scope["method"] == "POST"
        length = [(b"content-length", str(len(whole) + cut).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": told + length})
        await send({"type": "http.response.body", "body": whole, "more_body": cut})


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


@asynccontextmanager
async def between(client: Client, **how: Any) -> AsyncIterator[Relay]:
    """The client asks through somebody else while the block lasts."""
    relay = Relay(client.url, **how)
    async with on_loopback(relay, date_header=False, server_header=False) as port:
        client.url = f"http://127.0.0.1:{port}"
        yield relay


# The final chunk of an answer of echo is longer, and no chunk before it is shorter.
CUT = 400


async def test_through_somebody_who_changes_nothing_all_is_well(client: Client) -> None:
    async with between(client) as relay:
        lines = await client.ask()
    assert lines[-1]["final"]["status"] == 200
    assert relay.asked == ["GET /llm/keys", "POST /llm/stream"]


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_response_that_ends_before_its_final_chunk_was_cut_short(
    client: Client, breaks: bool
) -> None:
    async with between(client, change=lambda body: body[:CUT], breaks=breaks):
        lines = await client.ask()
    assert lines[-1] == {"error": "sealed_truncated"}
    assert not any("final" in line for line in lines)


async def test_a_connection_that_breaks_in_the_final_chunk_was_cut_short(client: Client) -> None:
    async with between(client, change=lambda body: body[:-1], breaks=True):
        lines = await client.ask()
    assert words(chunks(lines)).endswith(WORDS)
    assert lines[-1] == {"error": "sealed_truncated"}


async def test_a_final_chunk_that_lacks_its_last_byte_does_not_open(client: Client) -> None:
    async with between(client, change=lambda body: body[:-1]):
        lines = await client.ask()
    assert words(chunks(lines)).endswith(WORDS)
    assert lines[-1] == {"error": "sealed_invalid"}


async def test_what_was_changed_on_the_way_is_not_shown(client: Client) -> None:
    async with between(client, change=lambda body: body[:50] + bytes([body[50] ^ 1]) + body[51:]):
        lines = await client.ask()
    assert lines[1:] == [{"error": "sealed_invalid"}]


async def test_what_somebody_between_wrote_is_no_answer(client: Client) -> None:
    async with between(client, media_type="text/html"):
        lines = await client.ask()
    assert lines[1:] == [{"error": "not_sealed", "status": 200}]


async def test_a_server_that_knows_no_key_is_asked_twice_and_no_more(client: Client) -> None:
    async with between(client, forgets=True) as relay:
        lines = await client.ask()
    assert relay.asked == ["GET /llm/keys", "POST /llm/stream"] * 2
    assert lines[-1] == {"error": "sealed_key_unknown", "status": 422}


async def test_the_vectors_hold_there_as_well(node: str) -> None:
    lines = await _lines(node, "vectors.mjs", str(VECTORS))
    assert len(lines) > 100
    for line in lines:
        expected = json.loads((VECTORS / line["vector"]).read_text(encoding="utf-8"))["expect"]
        assert line["found"] == expected, line["vector"]
