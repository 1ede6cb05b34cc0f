"""All that may become of an ask, with canaries in it: answered, failed, refused, left, killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import psutil

from echolia.sealed.asks import MEDIA_TYPE
from tests.journeys.canary.asking import GENERATE, PATHS, STREAM, Said
from tests.journeys.canary.flock import Flock
from tests.journeys.canary.person import Person
from tests.journeys.canary.relay import Relay
from tests.journeys.canary.upstream import CHUNKS, FAULTS, HOLDS, KINDS, WELL, Upstream
from tests.journeys.canary.watched import Watched
from tests.journeys.canary.wire import ANSWER_S, Wire

LONG: Final = 320 * 1024


@dataclass
class Course:
    """Asks of one server through a relay that keeps what passes, as a proxy could.

    `words` are only ever inside the seal or said by the provider: they must be met nowhere. What the server's
    own flock has is readable in requests: it must not be met behind them.
    """

    server: Watched
    relay: Relay
    provider: Upstream
    words: Flock
    person: Person = field(init=False)
    cells: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        port = int(self.relay.url.rpartition(":")[2])
        self.wire = Wire(port, self.server.wire.flock)
        self.person = Person(self.wire, "ada").register()

    def ask(self, model: str) -> dict[str, Any]:
        """Words of the person's and of others, all of them canaries."""
        text = self.words.text
        return {
            "model": model,
            "system": text("system prompt"),
            "messages": [
                {"role": "user", "content": text("earlier prompt")},
                {"role": "assistant", "content": text("earlier answer")},
                {"role": "user", "content": [{"type": "text", "text": text("prompt")}]},
            ],
            "max_tokens": 200,
        }

    def well(self, kinds: tuple[str, ...] = KINDS) -> None:
        """Answered: with the very words, the provider's and the person's."""
        for kind in kinds:
            for path in PATHS:
                before, ask = len(self.provider.said), self.ask(f"{kind}-{WELL}")
                said = self.person.asking.say(path, ask)
                assert said.final["status"] == 200, said.final
                assert ask["messages"][2]["content"][0]["text"] in said.text
                # The first two are the head's.
                assert all(word in said.text for word in self.provider.said[before + 2 :])
                self.cells.append(f"{kind} {path} well")

    def faults(self, kinds: tuple[str, ...] = KINDS) -> None:
        """Each thing that a provider does wrong; in the stream, and for one kind in the other form too."""
        for kind in kinds:
            for does, code in FAULTS.items():
                for path in PATHS if kind == kinds[0] else (STREAM,):
                    said = self.person.asking.say(path, self.ask(f"{kind}-{does}"))
                    # One SDK reads half a line before it hears of the cut.
                    codes = {code, "upstream_malformed"} if does == "cuts" else {code}
                    assert said.final["code"] in codes, (kind, does, said.final)
                    self.cells.append(f"{kind} {path} {does}")

    def refusals(self) -> None:
        """What opens and is no ask, what does not open, what is too long, what breaks off."""
        asking, text = self.person.asking, self.words.text
        for path in PATHS:
            flipped = bytearray(asking.seal(path, self.ask(f"openai-{WELL}")))
            flipped[-1] ^= 1
            self._refused("bad tag", asking.post(path, bytes(flipped)), "sealed_invalid")
            broken = b'{"iat_ms": 1, "ask": "' + text("invalid JSON").encode()
            plain = (len(broken).to_bytes(4, "big") + broken).ljust(1024, b"\0")
            self._refused("invalid JSON", asking.post(path, asking.seal_plain(plain)), "sealed_invalid")
            long = {**self.ask(f"openai-{WELL}"), "system": text("too long") * (LONG // 20)}
            self._refused("oversize body", asking.say(path, long), "body_too_large")
            odd = {**self.ask(f"openai-{WELL}"), text("member"): text("value")}
            self._refused("no ask", asking.say(path, odd), "ask_invalid")
            self._refused("no model", asking.say(path, self.ask(self.words.word("model"))), "model_unknown")
            self._refused(
                "other path", asking.post(path, asking.seal("/", self.ask("x"))), "sealed_elsewhere"
            )
            twice = asking.seal(path, self.ask(f"openai-{WELL}"))
            asking.post(path, twice)
            self._refused("replayed", asking.post(path, twice), "sealed_replayed")
            readable = self.person.flock.text("readable under the sealed type").encode() * 30
            self._refused("not sealed", asking.post(path, readable), "unsupported_version")
        with self.connected() as (connection, request):
            connection.sendall(request(STREAM, self.ask(f"openai-{WELL}"))[:-200])
        self.cells.append("upload broken off")

    def _refused(self, cell: str, said: Said, code: str) -> None:
        told = said.final.get("code") or said.answer.json()["code"]
        assert told == code, (cell, told)
        self.cells.append(cell)

    @contextlib.contextmanager
    def connected(self) -> Iterator[tuple[socket.socket, Callable[[str, Any], bytes]]]:
        """A connection of its own, and what makes the bytes of a request."""

        def request(path: str, ask: Any) -> bytes:
            body = self.person.asking.seal(path, ask)
            head = (
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.person.access}\r\n"
                f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            return head.encode() + body

        with socket.create_connection(("127.0.0.1", self.wire.port), timeout=ANSWER_S) as connection:
            yield connection, request

    @contextlib.contextmanager
    def held(self, model: str, path: str = STREAM) -> Iterator[socket.socket]:
        """An answer that has come as far as the model's name says, and goes no further."""
        with self.connected() as (connection, request):
            connection.sendall(request(path, self.ask(model)))
            assert self.provider.holding.acquire(timeout=ANSWER_S), model
            yield connection

    def left(self, kinds: tuple[str, ...] = KINDS) -> None:
        """Whoever asked hangs up at each chunk; the provider is left each time."""
        for kind in kinds:
            for does in HOLDS:
                for path in PATHS if kind == kinds[0] else (STREAM,):
                    gone = self.provider.gone
                    with self.held(f"{kind}-{does}", path) as connection:
                        if path == STREAM and does != HOLDS[0]:
                            assert connection.recv(4096)
                    until(partial(self._left_again, gone), "the provider was left")
                    self.cells.append(
                        f"{kind} {path} left at chunk {does.removeprefix('holds-')} of {CHUNKS}"
                    )

    def _left_again(self, before: int) -> bool:
        return self.provider.gone > before

    def killed(self, how: signal.Signals, path: str = GENERATE) -> None:
        """The process that answers ends at once in the middle of it."""
        with self.held(f"openai-{HOLDS[3]}", path) as connection:
            os.kill(self.answering(), how)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(4096):
                    pass
        self.cells.append(f"killed by {how.name}")

    def processes(self) -> list[psutil.Process]:
        """The server's: the first, and its workers."""
        first = psutil.Process(self.server.process.pid)
        return [first, *first.children(recursive=True)]

    def answering(self) -> int:
        """The process that has the provider on the line."""
        for process in self.processes():
            for one in process.net_connections("tcp"):
                if one.raddr and one.raddr.port == self.provider.port and one.status == "ESTABLISHED":
                    return int(process.pid)
        raise AssertionError("nobody asks the provider")


def until(condition: Callable[[], bool], what: str, seconds: float = ANSWER_S) -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)
