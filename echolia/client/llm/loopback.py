"""A door on this machine's loopback that speaks OpenAI's chat API; behind it everything is sealed."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

from aiohttp import web

from echolia.client.llm import openai_chat
from echolia.client.llm.asking import Llm
from echolia.client.session import Refused
from echolia.core.errors import EcholiaError

HOST: Final = "127.0.0.1"
_BODY_BYTES: Final = 1024 * 1024
_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_STATUS: Final = {
    "ask_invalid": 400,
    "malformed_json": 400,
    "model_lacks": 400,
    "unauthorized": 401,
    "not_found": 404,
    "model_unknown": 404,
    "body_too_large": 413,
    "rate_limited": 429,
    "quota_exceeded": 429,
    "upstream_refused": 400,
    "upstream_overloaded": 503,
    "server_unreachable": 503,
}


class Loopback:
    """Answers programs of this machine that know `key`, by way of `llm`; `dice` gives ids."""

    def __init__(self, llm: Llm, key: str, dice: Callable[[int], bytes]) -> None:
        self._llm = llm
        self._key = key
        self._dice = dice

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[int]:
        """Answer while the block lasts; gives the port, a free one for 0. Raises OSError."""
        app = web.Application(client_max_size=_BODY_BYTES)
        app.router.add_get("/v1/models", self._guarded(self._models))
        app.router.add_post("/v1/chat/completions", self._guarded(self._chat))
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, port)
            await site.start()
            assert site._server is not None  # noqa: SLF001  # aiohttp tells it nowhere else
            yield site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # noqa: SLF001
        finally:
            await runner.cleanup()

    def _guarded(
        self, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._check(request)
                return await answer(request)
            except web.HTTPRequestEntityTooLarge:
                failure = EcholiaError("body_too_large")
            except EcholiaError as error:
                failure = error
            return _refused(failure)

        return guarded

    def _check(self, request: web.Request) -> None:
        """A page in a browser can reach the loopback too: it knows no key, and comes by another name."""
        host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if host not in _NAMES or not hmac.compare_digest(given, self._key.encode()):
            raise EcholiaError("unauthorized", "the key is shown by `echolia proxy`")

    async def _models(self, _: web.Request) -> web.Response:
        models = [
            {"id": model.name, "object": "model", "created": 0, "owned_by": "echolia"}
            for model in await self._llm.models()
        ]
        return web.json_response({"object": "list", "data": models})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = openai_chat.read(_json(await request.read()))
        id_, created_s = f"chatcmpl-{self._dice(12).hex()}", int(time.time())
        if asked.streams:
            return await self._streamed(request, asked, openai_chat.Pieces(asked, id_, created_s))
        reply = await self._llm.generate(asked.messages, model=asked.model, **asked.options)
        return web.json_response(openai_chat.completion(reply, id_, created_s))

    async def _streamed(
        self, request: web.Request, asked: openai_chat.Asked, pieces: openai_chat.Pieces
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        stream = self._llm.stream(asked.messages, model=asked.model, **asked.options)
        async with aclosing(stream) as events:
            # What is refused before the first word has a status of its own.
            first = await anext(events)
            await response.prepare(request)
            try:
                for piece in pieces.of(first):
                    await response.write(_event(json.dumps(piece)))
                async for event in events:
                    for piece in pieces.of(event):
                        await response.write(_event(json.dumps(piece)))
            except EcholiaError as error:
                await response.write(_event(openai_chat.error_body(error, 500).decode()))
            else:
                await response.write(_event("[DONE]"))
        await response.write_eof()
        return response


def _event(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise EcholiaError("malformed_json") from None


def _refused(error: EcholiaError) -> web.Response:
    status = _STATUS.get(error.code, 502)
    headers = {}
    if isinstance(error, Refused) and error.retry_after_s:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    body = openai_chat.error_body(error, status)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
