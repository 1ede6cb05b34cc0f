"""The framework's built-in telemetry stays off even where somebody sets a provider."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, sys
from fastapi import APIRouter, FastAPI
from opentelemetry import metrics, trace
from echolia.web.api import build_api
from echolia.web.asked import SCOPE_KEY, Asked
from tests.support.asgi import Asker

asked = []


class Traces(trace.TracerProvider):
    def get_tracer(self, *names, **more):
        asked.append("tracer")
        return trace.NoOpTracer()


class Meters(metrics.MeterProvider):
    def get_meter(self, *names, **more):
        asked.append("meter")
        return metrics.NoOpMeter("none")


trace.set_tracer_provider(Traces())
metrics.set_meter_provider(Meters())
router = APIRouter()


@router.get("/ping")
async def ping() -> int:
    return 1


app = FastAPI()
app.include_router(router)
app = build_api([router], []) if sys.argv[1] == "ours" else app


async def marked(scope, receive, send):
    await app({**scope, SCOPE_KEY: Asked("0")}, receive, send)


answer = asyncio.run(Asker(marked)("GET", "/ping"))
print(answer.status, len(asked))
"""


def count(which: str) -> str:
    """The answer's status, and how often the providers were asked for an instrument."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, which], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_no_provider_is_ever_asked() -> None:
    assert count("ours") == "200 0"


def test_it_would_be_by_the_framework_as_it_comes() -> None:
    status, asked = count("as it comes").split()
    assert status == "200"
    assert int(asked) > 0
