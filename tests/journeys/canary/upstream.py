"""A provider of models that fails as the model's name says, with a canary in whatever it says."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.journeys.canary.flock import Flock

KINDS: Final = ("openai", "anthropic", "google")
_BASES: Final = {"openai": "/v1", "anthropic": "", "google": ""}
CHUNKS: Final = 5
# What it does → what the server makes of that.
FAULTS: Final[Mapping[str, str]] = {
    "refuses": "upstream_refused",
    "credentials": "upstream_credentials",
    "overloaded": "upstream_overloaded",
    "fails": "upstream_failed",
    "redirects": "upstream_malformed",
    "closes": "upstream_unreachable",
    "no-http": "upstream_unreachable",
    "stalls": "upstream_timeout",
    "stalls-within": "upstream_timeout",
    "truncates": "upstream_truncated",
    "cuts": "upstream_truncated",
    "malformed": "upstream_malformed",
    "errs": "upstream_failed",
}
WELL: Final = "well"
# Says so many chunks and then nothing, until who asked is gone.
HOLDS: Final = tuple(f"holds-{count}" for count in range(CHUNKS + 1))
PATIENT: Final = "patient"
# Does not wait for long, and has no tools.
HASTY: Final = "hasty"
_STATUS: Final = {"refuses": 400, "credentials": 401, "overloaded": 429, "fails": 500, "redirects": 302}
_PATIENCE_S: Final = 30.0


class Upstream:
    """On loopback; `got` are the bodies it was sent, `gone` how many left an answer that it held."""

    def __init__(self, flock: Flock) -> None:
        self.flock = flock
        self.got: list[bytes] = []
        self.said: list[str] = []
        self.gone = 0
        self.holding = threading.Semaphore(0)
        handler = type("Handler", (_Handler,), {"upstream": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def word(self) -> str:
        """A canary that it is about to say."""
        self.said.append(self.flock.word("model's output"))
        return self.said[-1]

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def models_file(self, folder: Path, kinds: Sequence[str] = KINDS, hasty_s: float = 0.5) -> Path:
        """A file of a model for each kind and each thing that it does, such as `openai-cuts`."""
        sections = []
        for kind in kinds:
            for name, waits, lacks in ((PATIENT, _PATIENCE_S, []), (HASTY, hasty_s, ["tools"])):
                sections.append(
                    f'[providers.{kind}-{name}]\nkind = "{kind}"\nlacks = {json.dumps(lacks)}\n'
                    f'base_url = "http://127.0.0.1:{self.port}{_BASES[kind]}"\n'
                    f"first_byte_seconds = {waits}\nchunk_seconds = {waits}\n"
                )
            for does in (WELL, *FAULTS, *HOLDS):
                by = HASTY if does in FAULTS else PATIENT
                sections.append(
                    f'[models.{kind}-{does}]\nprovider = "{kind}-{by}"\nmodel = "{does}"\n'
                    "price = { input = 1, output = 1 }\n"
                )
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "models.toml"
        path.write_text("\n".join(sections))
        return path


@contextlib.contextmanager
def upstream(flock: Flock) -> Iterator[Upstream]:
    """One that listens while the block runs."""
    one = Upstream(flock)
    try:
        yield one
    finally:
        one.close()


class _Handler(BaseHTTPRequestHandler):
    upstream: Upstream
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is said here is not the server's to say."""

    def do_POST(self) -> None:
        """Answer as the model's name says."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.upstream.got.append(body)
        self.close_connection = True
        asked = json.loads(body)
        # One of the protocols has the model in the path.
        does = asked.get("model") or self.path.rpartition("/")[2].partition(":")[0]
        if does == "closes":
            return
        if does == "no-http":
            self.wfile.write(f"{self.upstream.word()}\r\n\r\n".encode())
        elif does == "stalls":
            self._say_no_more()
        elif does in _STATUS:
            self._refuse(_STATUS[does])
        else:
            self._stream(does, asked)

    def _refuse(self, status: int) -> None:
        word = self.upstream.word()
        said = json.dumps({"error": {"message": word, "type": word, "code": word}, "type": "error"}).encode()
        self.send_response(status, word)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.send_header("location", f"http://127.0.0.1/{word}")
        self.send_header("x-said", word)
        self.end_headers()
        self.wfile.write(said)

    def _stream(self, does: str, asked: dict[str, Any]) -> None:
        self.send_response(200, self.upstream.word())
        self.send_header("content-type", "text/event-stream")
        self.send_header("x-said", self.upstream.word())
        self.send_header("connection", "close")
        self.end_headers()
        count = int(does.removeprefix("holds-")) if does.startswith("holds-") else CHUNKS
        events = _EVENTS[self._kind](_prompt(asked), [self.upstream.word() for _ in range(CHUNKS)])
        for number, event in enumerate(events):
            if does != WELL and number == count:
                self._break(does)
                return
            self.wfile.write(event)
            self.wfile.flush()

    def _break(self, does: str) -> None:
        word = self.upstream.word().encode()
        if does == "malformed":
            self.wfile.write(b'event: message_delta\ndata: {"choices": [' + word + b"\n\n")
        elif does == "errs":
            self.wfile.write(_error(self._kind, word.decode()))
        elif does == "cuts":
            self.wfile.write(b'data: {"choices": [{"delta": {"content": "' + word)
            self.wfile.flush()
            # A reset, so that it is a cut and no end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif does == "stalls-within":
            self._say_no_more()
        elif does in HOLDS:
            self.upstream.holding.release()
            self._say_no_more()
            self.upstream.gone += 1

    def _say_no_more(self) -> None:
        """Wait until who asked is gone."""
        self.wfile.flush()
        self.connection.settimeout(_PATIENCE_S)
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    @property
    def _kind(self) -> str:
        if self.path.endswith("/chat/completions"):
            return "openai"
        return "anthropic" if self.path.partition("?")[0].endswith("/messages") else "google"


def _prompt(asked: Mapping[str, Any]) -> str:
    """The first words of the last message, which are said again."""
    last = asked["messages" if "messages" in asked else "contents"][-1]
    content = last.get("content") or last.get("parts")
    return content if isinstance(content, str) else str(content[0].get("text", ""))


def _sse(value: Mapping[str, Any]) -> bytes:
    name = f"event: {value['type']}\n" if "type" in value else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


def _openai(prompt: str, words: list[str]) -> Iterator[bytes]:
    def chunk(delta: Mapping[str, Any], reason: str | None = None, **more: object) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return _sse({**head, "choices": choices, **more})

    yield chunk({"role": "assistant", "content": prompt})
    for word in words:
        yield chunk({"content": f" {word}"})
    yield chunk({}, "stop", usage={"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16})
    yield b"data: [DONE]\n\n"


def _anthropic(prompt: str, words: list[str]) -> Iterator[bytes]:
    usage = {"input_tokens": 9, "output_tokens": 1}
    message = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    yield _sse({"type": "message_start", "message": message})
    yield _sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": prompt}})
    for word in words:
        delta = {"type": "text_delta", "text": f" {word}"}
        yield _sse({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _sse({"type": "content_block_stop", "index": 0})
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _sse({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 7}})
    yield _sse({"type": "message_stop"})


def _google(prompt: str, words: list[str]) -> Iterator[bytes]:
    def chunk(text: str, reason: str | None = None) -> bytes:
        content = {"role": "model", "parts": [{"text": text}]}
        told: dict[str, Any] = {"content": content, "index": 0}
        if reason:
            told["finishReason"] = reason
        usage = {"promptTokenCount": 9, "candidatesTokenCount": 7, "totalTokenCount": 16}
        return _sse({"candidates": [told], "usageMetadata": usage})

    yield chunk(prompt)
    for word in words[:-1]:
        yield chunk(f" {word}")
    yield chunk(f" {words[-1]}", "STOP")


_EVENTS: Final = {"openai": _openai, "anthropic": _anthropic, "google": _google}


def _error(kind: str, word: str) -> bytes:
    if kind == "anthropic":
        return _sse({"type": "error", "error": {"type": "api_error", "message": word}})
    return f"data: {json.dumps({'error': {'message': word, 'status': word, 'code': 500}})}\n\n".encode()
