"""A real llmock, which speaks the protocols of the providers and breaks them on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from tests.deployment.processes import START_S, clean_environment, running, send
from tests.support.ports import free_port

INSTALL: Final = "make services"
PATHS: Final = {"anthropic": "/anthropic", "openai": "/v1", "google": "/gemini", "groq": "/groq/openai/v1"}


class Llmock:
    """`llmock serve` on a free loopback port; what it got and what it is to do are asked over HTTP."""

    def __init__(self, find: Callable[[str, str], str], folder: Path) -> None:
        self._port = free_port()
        self._process = ExitStack()
        command = [find("llmock", INSTALL), "serve", "--host", "127.0.0.1", "--port", str(self._port)]
        log = folder / "llmock.log"
        self._process.enter_context(running(command, self._port, log, clean_environment(), folder))

    def base_url(self, name: str) -> str:
        """Where one of `PATHS` is."""
        return f"http://127.0.0.1:{self._port}{PATHS[name]}"

    def reset(self) -> None:
        """Forget all requests and all that was to be done."""
        self._ask("POST", "/_llmock/reset", {})

    def will(self, behaviour: str, /, **how: object) -> None:
        """What to do with the next request, such as `will("fail", status=503)`."""
        self._ask("POST", "/_llmock/scenario", {"behaviors": [{"type": behaviour, **how}]})

    async def ended(self) -> list[dict[str, Any]]:
        """As `requests`, once there is one. The loop goes on meanwhile: it may have connections to end."""
        async with asyncio.timeout(START_S):
            while not (found := await asyncio.to_thread(self.requests)):
                pass
        return found

    def requests(self) -> list[dict[str, Any]]:
        """All requests that have ended, each with its body and how it went."""
        requests: list[dict[str, Any]] = self._ask("GET", "/_llmock/requests")["requests"]
        return requests

    def close(self) -> None:
        """End the program."""
        self._process.close()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        sent = None if body is None else json.dumps(body).encode()
        status, _, answer = send(self._port, method, path, sent, {"content-type": "application/json"})
        assert status in (200, 201), answer
        found: dict[str, Any] = json.loads(answer)
        return found
