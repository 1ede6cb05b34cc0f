"""Texts with canaries to be embedded: answered, and refused in each way."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from echolia.core.ids import b64
from echolia.engines.deterministic import DeterministicEngine
from echolia.sealed.asks import MEDIA_TYPE

if TYPE_CHECKING:
    from tests.journeys.canary.person import Person
    from tests.journeys.canary.watched import Watched

ONE: Final = "/embeddings/generate"
SEVERAL: Final = "/embeddings/batch"
IDENTITY: Final = b64(DeterministicEngine().model.identity.digest)
# Words without end, of which a server has to do for a while.
_HEAVY: Final = 100
_PATIENCE_S: Final = 20.0


def one_ask(person: Person) -> dict[str, Any]:
    """An ask of one text that is a canary."""
    return {"identity": IDENTITY, "text": person.flock.text("text to embed"), "within_s": 30}


def several_ask(person: Person) -> dict[str, Any]:
    """Several texts that are canaries."""
    return {"identity": IDENTITY, "texts": [person.flock.text("texts to embed") for _ in range(3)]}


def _heavy_ask(person: Person) -> dict[str, Any]:
    texts = [person.flock.text("heavy text") + " w" * 1000 for _ in range(_HEAVY)]
    return {"identity": IDENTITY, "texts": texts}


def embed_well(person: Person) -> None:
    """Ask in both forms, and see that it was answered."""
    able = {"memory_bytes": 1, "cores": 1, "accelerator": person.flock.word("accelerator"), "power": "low"}
    told = {**able, "may_send": True, "installed": [IDENTITY]}
    for path, ask in ((ONE, {**one_ask(person), "capability": told}), (SEVERAL, several_ask(person))):
        said = person.asking.say(path, ask)
        assert said.final["status"] == 200, said
        assert len(said.final["vectors"]) == len(ask.get("texts", "1"))
    answer = person.ask("GET", "/embeddings/models")
    assert answer.status == 200, answer.body


def embed_wrongly(person: Person) -> None:
    """What is no ask, and what no model is of."""
    text = person.flock.text
    for ask in (
        text("no ask"),
        {text("member"): text("value")},
        {**one_ask(person), text("member"): text("value")},
        {**one_ask(person), "within_s": text("within")},
        {**one_ask(person), "capability": {text("member"): text("value")}},
        {**one_ask(person), "identity": text("identity")},
        {**one_ask(person), "identity": b64(bytes(32))},
        {**several_ask(person), "texts": [text("text"), {text("member"): text("value")}]},
    ):
        for path in (ONE, SEVERAL):
            person.asking.say(path, ask)


def embed_too_much(person: Person) -> None:
    """More than is embedded at a time."""
    text = person.flock.text("too long a text") + " w" * 120_000
    person.asking.say(ONE, {"identity": IDENTITY, "text": text})


def embed_too_late(person: Person) -> None:
    """More than can be done in the time that the device gives."""
    person.asking.say(SEVERAL, {**_heavy_ask(person), "within_s": 0.1})


def embed_when_full(server: Watched, person: Person, stranger: Person) -> None:
    """While much of another account waits; of a server whose queue is short."""
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                body = person.asking.seal(SEVERAL, _heavy_ask(person))
                connection = socket.create_connection(("127.0.0.1", server.wire.port))
                stack.enter_context(connection)
                head = (
                    f"POST {SEVERAL} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {person.access}\r\n"
                    f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                connection.sendall(head.encode() + body)
            for _ in range(500):  # until texts so long are read
                if stranger.asking.say(ONE, one_ask(stranger)).final.get("code") == "embeddings_busy":
                    return
    raise AssertionError("the queue was never full")
