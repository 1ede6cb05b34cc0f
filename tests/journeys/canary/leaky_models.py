"""A server that leaks what models are asked, on purpose: where the system prompt says, which names a place.

Run as a program: `leaky_models.py PORT DATA`. It leaves core files, as `echolia serve` does not.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import ClassVar, Final

import uvicorn
from opentelemetry import trace

from echolia import answering, app
from echolia.sealed.chunks import chunk, final
from echolia.sealed.responses import ResponseSealer
from echolia.settings import Settings
from echolia.web import logs
from echolia.web.lean import LeanRequest
from echolia.web.sealed_door import SealedDoor, Unsealed
from tests.journeys.canary.leaky import Leaks, leaking

WAY: Final = "way"
MEMORY: Final = "memory"
SPAN: Final = "span"


class _Unsealing(ResponseSealer):
    """Seals nothing."""

    def __init__(self, real: ResponseSealer) -> None:
        self.nonce = real.nonce

    def chunk(self, plain: bytes) -> bytes:
        """As it is."""
        return chunk(plain)

    def final(self, plain: bytes) -> bytes:
        """Likewise."""
        return final(plain)


class _LeakyDoor(SealedDoor):
    leaks: ClassVar[Leaks]
    kept: ClassVar[list[bytes]] = []

    async def open(self, request: LeanRequest, path: str) -> Unsealed:
        """What is in a request, and a leak of it."""
        opened = await super().open(request, path)
        place, _, what = opened.ask["system"].partition(" ")
        if place == WAY:
            return Unsealed(opened.ask, _Unsealing(opened.answer))
        if place == MEMORY:
            self.kept.append(what.encode())
        elif place == SPAN:
            with trace.get_tracer("echolia").start_as_current_span("ask") as span:
                span.set_attribute("gen_ai.input.messages", what)
        else:
            self.leaks.leak(place, what.encode())
        return opened


async def _serve(port: int, data: Path) -> None:
    logs.configure("debug", sys.stderr)
    setattr(answering, "SealedDoor", _LeakyDoor)  # noqa: B010  # a name of a class is no variable to the type checker
    settings = Settings(data=data, port=port, anonymous_per_minute=10**6, llm_per_minute=10**6)
    async with app.running(settings) as gate:
        _LeakyDoor.leaks = Leaks(data)
        config = uvicorn.Config(
            leaking(gate, _LeakyDoor.leaks), port=port, lifespan="off", log_config=None, access_log=False
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
