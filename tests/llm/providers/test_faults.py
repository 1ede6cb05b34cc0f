"""Every fault of llmock before every SDK: what came before it is delivered, and the failure has its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import pytest

from echolia.llm.providers.choice import Kind
from echolia.llm.providers.port import Ended, Event, ProviderFailed, Text, Tool
from tests.llm.providers.asks import KINDS, ask, course, provider, words
from tests.support.llmock import Llmock

pytestmark = pytest.mark.service

SAID: Final = "one two three four five six seven"
FOREVER_S: Final = 3600
SLOW_S: Final = 4  # llmock sits through these delays, also when nobody waits any more
STATUSES: Final = {
    400: "upstream_refused",
    401: "upstream_credentials",
    403: "upstream_credentials",
    404: "upstream_refused",
    408: "upstream_timeout",
    413: "upstream_refused",
    422: "upstream_refused",
    429: "upstream_overloaded",
    500: "upstream_failed",
    502: "upstream_failed",
    503: "upstream_overloaded",
    504: "upstream_failed",
    529: "upstream_overloaded",
}
BREAKS: Final = {
    "disconnect": "upstream_truncated",
    "truncate": "upstream_truncated",
    "malformed": "upstream_malformed",
    "stall": "upstream_timeout",
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_has_a_code_and_is_not_tried_again(llmock: Llmock, kind: Kind, status: int) -> None:
    llmock.will("fail", status=status, retry_after=7, message="canary-in-the-body")
    async with provider(kind, llmock.base_url(kind)) as asked:
        events, failed = await course(asked, ask(kind))
    assert events == []
    assert failed is not None
    assert (failed.code, failed.status, failed.retry_after_s) == (STATUSES[status], status, 7.0)
    assert [each["status"] for each in await llmock.ended()] == [status]


@pytest.mark.parametrize("fault", BREAKS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_breaks_is_never_taken_for_whole(llmock: Llmock, kind: Kind, fault: str) -> None:
    """At each place in turn, up to one beyond the end."""
    failures = 0
    async with provider(kind, llmock.base_url(kind), chunk_s=0.4, first_byte_s=1.0) as asked:
        for place in range(40):
            llmock.reset()
            llmock.will("reply", text=SAID)
            llmock.will("stream_fault", kind=fault, after_chunks=place, stall_seconds=FOREVER_S)
            events, failed = await course(asked, ask(kind))
            assert SAID.startswith(words(events))
            [request] = await llmock.ended()
            if failed is None:
                # It hit nothing that counts: a ping, or what follows the end.
                assert words(events) == SAID
                assert isinstance(events[-1], Ended)
            else:
                failures += 1
                assert failed.code == BREAKS[fault]
                assert not any(isinstance(event, Ended) for event in events)
            if request["fault"] is None:
                break
            assert request["fault"] == f"stream:{fault}@{place}"
    assert failures >= len(SAID.split())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_first_word_that_does_not_come_is_a_timeout(llmock: Llmock, kind: Kind) -> None:
    llmock.will("delay", seconds=SLOW_S)
    llmock.will("slow_first_token", seconds=SLOW_S, times=2)
    async with provider(kind, llmock.base_url(kind), first_byte_s=0.5) as asked:
        _, before_the_head = await course(asked, ask(kind))
        _, after_the_head = await course(asked, ask(kind))
    for failed in (before_the_head, after_the_head):
        assert failed is not None
        assert failed.code == "upstream_timeout"


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_there_is_unreachable(unused_port: int, kind: Kind) -> None:
    async with provider(kind, f"http://127.0.0.1:{unused_port}") as asked:
        _, failed = await course(asked, ask(kind))
        with pytest.raises(ProviderFailed) as no_models:
            await asked.models()
    assert failed is not None
    assert (failed.code, failed.status) == (no_models.value.code, 0) == ("upstream_unreachable", 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_more_requests_than_connections_are_told_to_wait(llmock: Llmock, kind: Kind) -> None:
    llmock.will("reply", text=SAID)
    llmock.will("stream_fault", kind="stall", after_chunks=4, stall_seconds=FOREVER_S)
    async with provider(kind, llmock.base_url(kind), connections=1, connect_s=0.3) as asked:
        stream = await stalled(asked.stream(ask(kind)))
        _, failed = await course(asked, ask(kind))
        assert failed is not None
        assert failed.code == "upstream_overloaded"
        await stream.aclose()
        assert (await course(asked, ask(kind)))[1] is None


async def stalled(stream: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """A stream of which the first word has come."""
    while not isinstance(await anext(stream), Text):
        pass
    return stream


@pytest.mark.parametrize("how", ["closed", "cancelled"])
@pytest.mark.parametrize("kind", KINDS)
async def test_who_leaves_ends_the_request_at_the_provider(llmock: Llmock, kind: Kind, how: str) -> None:
    """It would wait for an hour: that its journal has the request shows that it saw the connection end."""
    llmock.will("reply", text=SAID)
    llmock.will("stream_fault", kind="stall", after_chunks=4, stall_seconds=FOREVER_S)
    async with provider(kind, llmock.base_url(kind)) as asked:
        stream = await stalled(asked.stream(ask(kind)))
        if how == "closed":
            await stream.aclose()
        else:
            waiting = asyncio.ensure_future(course_of(stream))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        [request] = await llmock.ended()
        assert request["completed"] is False


async def course_of(stream: AsyncGenerator[Event, None]) -> list[Event]:
    """The rest of a stream."""
    return [event async for event in stream]


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
async def test_a_call_whose_arguments_are_no_json_is_malformed(llmock: Llmock, kind: Kind) -> None:
    llmock.will("tool_fault", kind="malformed_arguments")
    tool = Tool("weather", "", {"type": "object", "properties": {"c": {"type": "string"}}, "required": ["c"]})
    async with provider(kind, llmock.base_url(kind)) as asked:
        events, failed = await course(asked, ask(kind, tools=[tool], tool_choice="any"))
    assert events == []
    assert failed is not None
    assert failed.code == "upstream_malformed"


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
async def test_a_call_that_the_limit_cut_is_left_out(llmock: Llmock, kind: Kind) -> None:
    llmock.will("tool_fault", kind="malformed_arguments")
    llmock.will(
        "reply", tool_calls=[{"name": "weather", "arguments": {"c": "Turin"}}], finish_reason="length"
    )
    async with provider(kind, llmock.base_url(kind)) as asked:
        events, failed = await course(asked, ask(kind, tools=[Tool("weather", "", {"type": "object"})]))
    assert failed is None
    [ended] = events
    assert isinstance(ended, Ended)
    assert ended.reason == "length"
