"""Sealed asks with canaries inside the seal; what comes back is opened, and refusals kept for the search."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from echolia.core.ids import unb64
from echolia.sealed.asks import MEDIA_TYPE, bound
from echolia.sealed.documents import read_document
from echolia.sealed.frames import framed_request, unframed_response
from echolia.sealed.requests import seal
from echolia.sealed.responses import ResponseOpener
from echolia.sealed.suites import HEADER_BYTES, PUBLIC_BYTES
from tests.journeys.canary.flock import UNKEPT
from tests.journeys.canary.wire import SEALED_REFUSAL
from tests.support.asgi import Answer

if TYPE_CHECKING:
    from tests.journeys.canary.person import Person

STREAM: Final = "/llm/stream"
GENERATE: Final = "/llm/generate"
PATHS: Final = (STREAM, GENERATE)


class Said(NamedTuple):
    """An answer: all its words, and its final chunk; nothing of both where it was refused before its seal."""

    answer: Answer
    text: str = ""
    final: Mapping[str, Any] = MappingProxyType({})


@dataclass
class Asking:
    """Seals what a person asks, and opens what is answered."""

    person: Person
    _openers: dict[bytes, ResponseOpener] = field(default_factory=dict)

    def seal_plain(self, plain: bytes) -> bytes:
        """Any plaintext, sealed to the server's key of now."""
        told = self.person.wire("GET", "/llm/keys", token=self.person.access).json()
        document = read_document(unb64(told["document"]), unb64(told["signature"]), None, _now_ms())
        key = document.keys[0]
        body, opener = seal(key.id, key.public, plain, os.urandom(32))
        self._openers[_enc(body)] = opener
        return body

    def seal(self, path: str, ask: Any, other: Mapping[str, Any] | None = None) -> bytes:
        """An ask; `other` replaces what is sealed beside it."""
        said = {**bound(_now_ms(), path, self.person.account.id, ask), **(other or {})}
        return self.seal_plain(framed_request(said))

    def post(self, path: str, body: bytes) -> Said:
        """Send what was sealed, or what only seems so."""
        headers = {"Content-Type": MEDIA_TYPE}
        answer = self.person.wire("POST", path, body=body, headers=headers, token=self.person.access)
        return self.opened(body, answer)

    def say(self, path: str, ask: Any, other: Mapping[str, Any] | None = None) -> Said:
        """Seal, send, open."""
        return self.post(path, self.seal(path, ask, other))

    def opened(self, body: bytes | None, answer: Answer) -> Said:
        """The answer to a body that was sealed here, whatever else became of it."""
        if body is None or answer.headers.get("content-type") != MEDIA_TYPE or answer.status != 200:
            return Said(answer)
        opener = self._openers.pop(_enc(body))
        said = [unframed_response(plain) for plain in opener.feed(answer.body)]
        final = unframed_response(opener.end())
        if final["status"] >= 400:
            self.person.wire.keep(SEALED_REFUSAL, json.dumps(final).encode())
        parts = [part for each in (*said, final) for part in each.get("parts", ())]
        return Said(answer, "".join(part.get("text", "") for part in parts), final)


def _enc(body: bytes) -> bytes:
    return body[HEADER_BYTES : HEADER_BYTES + PUBLIC_BYTES]


def _now_ms() -> int:
    return int(time.time() * 1000)


def full_ask(person: Person) -> dict[str, Any]:
    """An ask that has something in each of its places."""
    call = {"type": "tool_call", "id": "c", "name": "look", "arguments": "{}"}
    return {
        "model": "echo",
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Hm"},
            {"role": "assistant", "content": [{"type": "text", "text": "Yes?"}, call]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "id": "c", "name": "look", "text": person.flock.text("result")},
                    {"type": "image", "media_type": "image/png", "data": "AAAA"},
                ],
            },
        ],
        "max_tokens": 64,
        "temperature": 0.5,
        "stop": ["end"],
        "tools": [{"name": "look", "description": "Looks.", "schema": {"type": "object"}}],
        "tool_choice": "auto",
    }


def plain_ask(person: Person, label: str = "prompt", model: str = "echo") -> dict[str, Any]:
    """An ask of words that are canaries."""
    text = person.flock.text
    return {
        "model": model,
        "system": text(f"{label} system"),
        "messages": [{"role": "user", "content": text(label)}],
        "max_tokens": 64,
    }


def ask_well(person: Person) -> None:
    """Ask in both forms, and see that it was answered with the very words."""
    for path in PATHS:
        ask = plain_ask(person)
        said = person.asking.say(path, ask)
        assert said.final["status"] == 200, said
        assert ask["messages"][0]["content"] in said.text
        assert said.final["usage"]["input"] > 0
    for path in ("/llm/models", "/llm/quota", "/llm/usage", "/llm/usage?days=7"):
        answer = person.ask("GET", path)
        assert answer.status == 200, answer.body


def sealed_wrongly(person: Person) -> None:
    """All that is no sealed request, or opens and is none inside."""
    asking, flock = person.asking, person.flock
    for path in PATHS:
        text = flock.text(f"{path} wrong").encode()
        whole = asking.seal(path, plain_ask(person))
        flipped = bytearray(whole)
        flipped[-1] ^= 1
        for body in (text, text * 20, bytes(flipped), whole + text, whole[:-20], whole[:30], b""):
            asking.post(path, body)
        for plain in (
            text,
            text * 30,
            b'{"iat_ms": ' + text,
            framed_request({flock.text("member"): flock.text("value")}),
            framed_request({"deep": _deep(flock.text("deep"))}),
            framed_request({"a": 1})[:-1] + b"x",
        ):
            asking.post(path, asking.seal_plain(plain))
        for other in ("iat_ms", "path", "account", flock.text("another member")):
            asking.say(path, plain_ask(person), {other: flock.text(f"{path} {other[:9]}")})


def _deep(innermost: str) -> Any:
    deep: Any = innermost
    for _ in range(40):
        deep = [deep]
    return deep


def sealed_to_nobody(person: Person) -> None:
    """To a key that there is not."""
    body = bytearray(person.asking.seal(STREAM, plain_ask(person)))
    body[0] ^= 0x80
    person.asking.post(STREAM, bytes(body))


def sealed_otherwise(person: Person) -> None:
    """By a suite that nobody speaks."""
    body = bytearray(person.asking.seal(STREAM, plain_ask(person)))
    body[2] ^= 1
    person.asking.post(STREAM, bytes(body))


def sealed_for_elsewhere(person: Person) -> None:
    """For the other path, and by another account."""
    for path, other in ((STREAM, GENERATE), (GENERATE, STREAM)):
        person.asking.post(path, person.asking.seal(other, plain_ask(person)))
    account = person.flock.coded("sealed account", UNKEPT, 32)
    person.asking.say(STREAM, plain_ask(person), {"account": account})


def sealed_at_another_time(person: Person) -> None:
    """Long ago, and in the future."""
    for iat_ms in (0, -1, _now_ms() + 10**7, 2**70):
        person.asking.say(STREAM, plain_ask(person), {"iat_ms": iat_ms})


def sealed_once_sent_twice(person: Person) -> None:
    """The same bytes again, and at the other path."""
    body = person.asking.seal(STREAM, plain_ask(person))
    for path in (STREAM, STREAM, GENERATE):
        person.asking.post(path, body)


def ask_wrongly(person: Person) -> None:
    """Asks that no model gets."""
    text = person.flock.text
    for ask in (
        text("no ask"),
        [text("no ask")],
        {text("member"): text("value")},
        {**plain_ask(person), text("member"): text("value")},
        {**plain_ask(person), "messages": [{"role": text("role"), "content": text("content")}]},
        {**plain_ask(person), "temperature": text("temperature")},
        {**plain_ask(person), "tool_choice": text("tool choice")},
    ):
        for path in PATHS:
            person.asking.say(path, ask)
    person.ask("GET", f"/llm/usage?days={person.flock.word('days')}")


def ask_nobody(person: Person) -> None:
    """A model that there is not, by a canary's name."""
    for path in PATHS:
        person.asking.say(path, plain_ask(person, model=person.flock.word("model")))
