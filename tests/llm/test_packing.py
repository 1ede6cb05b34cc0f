"""Words are gathered: the first go at once, the others together, and nothing is lost or out of order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.llm.packing import GATHERED_BYTES, as_json, packed
from echolia.llm.providers.port import Ended, Event, ProviderFailed, Text, ToolCall
from echolia.llm.trying import Told
from tests.llm.scripted import ENDED, model

A = model("a")
CALL = ToolCall("1", "weather", "{}")
EVENTS = st.lists(st.one_of(st.text(max_size=300).map(Text), st.just(CALL)), max_size=30)


async def telling(*events: Event, failure: Exception | None = None) -> AsyncGenerator[Told, None]:
    for event in events:
        yield Told(A, event)
        await asyncio.sleep(0)
    if failure is not None:
        raise failure


@given(EVENTS)
def test_what_is_said_stays_what_it_is(events: list[Event]) -> None:
    async def run() -> list[Event]:
        return [one.event async for one in packed(telling(*events, ENDED), 60) if one is not None]

    def joined(said: list[Event]) -> list[Event | str]:
        parts: list[Event | str] = []
        for event in said:
            if isinstance(event, Text) and parts and isinstance(parts[-1], str):
                parts[-1] += event.text
            else:
                parts.append(event.text if isinstance(event, Text) else event)
        return [part for part in parts if part != ""]

    got = asyncio.run(run())
    assert joined(got) == joined([*events, ENDED])
    assert isinstance(got[-1], Ended)


async def test_the_first_words_go_at_once() -> None:
    never = asyncio.Event()

    async def slow() -> AsyncGenerator[Told, None]:
        yield Told(A, Text("Hm"))
        await never.wait()

    pieces = packed(slow(), 60)
    assert await anext(pieces) == Told(A, Text("Hm"))
    await pieces.aclose()


async def test_many_small_ones_go_together() -> None:
    words = [Text("ab")] * (GATHERED_BYTES * 4 // 2)
    pieces = [one async for one in packed(telling(*words, ENDED), 60)]
    assert len(pieces) < 20
    texts = [one.event.text for one in pieces if one and isinstance(one.event, Text)]
    assert "".join(texts) == "ab" * len(words)


async def test_a_failure_comes_behind_what_was_said() -> None:
    pieces = packed(telling(Text("half"), failure=ProviderFailed("upstream_failed")), 60)
    assert await anext(pieces) == Told(A, Text("half"))
    with pytest.raises(ProviderFailed):
        await anext(pieces)


async def test_signs_of_life_while_nothing_is_said() -> None:
    go_on = asyncio.Event()

    async def slow() -> AsyncGenerator[Told, None]:
        await go_on.wait()
        yield Told(A, ENDED)

    pieces = packed(slow(), 60, alive_s=0.001)
    assert await anext(pieces) is None
    assert await anext(pieces) is None
    go_on.set()
    assert [one async for one in pieces if one is not None] == [Told(A, ENDED)]


async def test_what_goes_on_for_too_long_is_ended() -> None:
    ended = []

    async def endless() -> AsyncGenerator[Told, None]:
        try:
            while True:
                yield Told(A, Text("and"))
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        _ = [one async for one in packed(endless(), 0.05)]
    assert ended


async def test_a_reader_who_leaves_ends_it() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[Told, None]:
        try:
            yield Told(A, Text("and"))
            await asyncio.Event().wait()
        finally:
            ended.set()

    pieces = packed(endless(), 60)
    await anext(pieces)
    await pieces.aclose()
    assert ended.is_set()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a heron", "a heron"),
        ("\ud83d\udc26 here", "\U0001f426 here"),
        ("half \ud83d", "half \ufffd"),
        ("\udc26", "\ufffd"),
    ],
)
def test_a_sign_that_was_cut_in_two_is_whole_again(text: str, told: str) -> None:
    assert as_json(Text(text)) == {"type": "text", "text": told}
