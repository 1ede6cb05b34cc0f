"""What an adapter does not follow, unpack or take in."""

from __future__ import annotations

import gzip
import json
from typing import Final

import pytest

from echolia.llm.providers.choice import Kind
from echolia.llm.providers.connection import MOST_BYTES
from echolia.llm.providers.port import Message, ProviderFailed, Text, ToolCall
from tests.llm.providers.asks import KINDS, ask, course, provider, words
from tests.llm.providers.scripted import Scripted

UNSAYABLE: Final[list[tuple[Kind, Message]]] = [
    ("anthropic", Message("user", [Text("\ud800")])),
    ("openai", Message("user", [Text("\ud800")])),
    ("anthropic", Message("assistant", [ToolCall("id", "name", "{")])),
    ("google", Message("assistant", [ToolCall("id", "name", "{")])),
]


@pytest.mark.parametrize(("kind", "message"), UNSAYABLE)
async def test_what_cannot_be_said_is_refused_and_not_sent(
    scripted: Scripted, kind: Kind, message: Message
) -> None:
    async with provider(kind, scripted.base_url(kind)) as asked:
        _, failed = await course(asked, ask(kind, messages=[message]))
    assert failed is not None
    assert (failed.code, failed.status) == ("upstream_refused", 0)
    assert scripted.got == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_redirect_is_not_followed(scripted: Scripted, kind: Kind, status: int) -> None:
    scripted.answer(status, b"", {"location": scripted.base_url(kind) + "/elsewhere"})
    async with provider(kind, scripted.base_url(kind)) as asked:
        _, failed = await course(asked, ask(kind))
    assert failed is not None
    assert (failed.code, failed.status) == ("upstream_malformed", status)
    assert len(scripted.got) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_packed_though_nobody_asked_is_not_unpacked(scripted: Scripted, kind: Kind) -> None:
    packed = gzip.compress(b"data: {}\n\n" * 1000)
    scripted.answer(200, packed, {"content-encoding": "gzip", "content-type": "text/event-stream"})
    async with provider(kind, scripted.base_url(kind)) as asked:
        _, failed = await course(asked, ask(kind))
    assert failed is not None
    assert failed.code == "upstream_malformed"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_without_end_is_not_taken_in(scripted: Scripted, kind: Kind) -> None:
    scripted.answer(200, b"data: " + b"x" * (MOST_BYTES + 2**20), {"content-type": "text/event-stream"})
    async with provider(kind, scripted.base_url(kind)) as asked:
        _, failed = await course(asked, ask(kind))
    assert failed is not None
    assert failed.code == "upstream_malformed"


async def test_a_connection_that_is_being_closed_is_not_taken_for_a_provider_that_is_gone(
    scripted: Scripted,
) -> None:
    said = b'data: {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]}\n\n'
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(said)}\r\n\r\n"
    async with provider("openai", scripted.base_url("openai")) as asked:
        for _ in range(20):
            scripted.raw(head.encode() + said)  # and nothing that says that it will hang up
            events, failed = await course(asked, ask("openai"))
            assert failed is None
            assert words(events) == "yes"
    assert len(scripted.got) == 20


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 2"])
@pytest.mark.parametrize("kind", KINDS)
async def test_who_does_not_speak_http_is_no_provider(scripted: Scripted, kind: Kind, answer: bytes) -> None:
    scripted.raw(answer)
    async with provider(kind, scripted.base_url(kind)) as asked:
        _, failed = await course(asked, ask(kind))
    assert failed is not None
    assert (failed.code, failed.status) == ("upstream_unreachable", 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_is_no_stream_is_not_taken_for_one(scripted: Scripted, kind: Kind) -> None:
    scripted.answer(
        200, b"<html>Welcome to this network. Please sign in.</html>", {"content-type": "text/html"}
    )
    scripted.answer(200, b"")
    async with provider(kind, scripted.base_url(kind)) as asked:
        failures = [(await course(asked, ask(kind)))[1] for _ in range(2)]
    for failed in failures:
        assert failed is not None
        assert failed.code in {"upstream_truncated", "upstream_malformed"}


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("999999999", 86_400.0), ("-1", None), ("soon", None), ("٣", None)],
)
async def test_how_long_to_wait_is_a_number_or_not_told(
    scripted: Scripted, said: str, seconds: float | None
) -> None:
    scripted.answer(429, b"", {"retry-after": said})
    async with provider("openai", scripted.base_url("openai")) as asked:
        _, failed = await course(asked, ask("openai"))
    assert failed is not None
    assert failed.retry_after_s == seconds


@pytest.mark.parametrize("kind", KINDS)
async def test_models_are_listed_over_pages_and_a_thousand_at_most(scripted: Scripted, kind: Kind) -> None:
    def page(first: int, after: str | None) -> dict[str, object]:
        names = [f"m{n}" for n in range(first, first + 600)]
        match kind:
            case "google":
                listed = [{"name": f"models/{name}"} for name in names]
                return {"models": listed, **({"nextPageToken": after} if after else {})}
            case _:
                data = [{"id": name, "type": "model", "object": "model", "created": 1} for name in names]
                return {"data": data, "has_more": bool(after), "first_id": names[0], "last_id": names[-1]}

    scripted.answer(200, json.dumps(page(0, "next")).encode())
    scripted.answer(200, json.dumps(page(600, "next")).encode())
    async with provider(kind, scripted.base_url(kind)) as asked:
        found = await asked.models()
    paged = kind != "openai"  # whose list has no pages
    assert list(found) == [f"m{n}" for n in range(1000 if paged else 600)]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_are_no_models_is_malformed(scripted: Scripted, kind: Kind) -> None:
    scripted.answer(200, b'{"data": [{"id": 5}], "models": [{"name": null}]}')
    scripted.answer(200, b"[")
    async with provider(kind, scripted.base_url(kind)) as asked:
        for _ in range(2):
            with pytest.raises(ProviderFailed) as failed:
                await asked.models()
            assert failed.value.code == "upstream_malformed"
