"""A canary in the prompt, in the answer and in errors: none of it is in a failure, nor in any log."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Iterator
from typing import Any, Final

import pytest

from echolia.llm.providers.choice import Kind
from echolia.llm.providers.environment import LOGGERS
from echolia.llm.providers.port import Message, ProviderFailed, Text, Tool, ToolCall, ToolResult
from tests.llm.providers.asks import KINDS, ask, course, provider, words
from tests.llm.providers.scripted import Scripted
from tests.support.llmock import Llmock
from tests.support.whole_answers import generated

CANARY: Final = "canary7f3a9"
FOREVER_S: Final = 3600


def everywhere() -> dict[str, Any]:
    """A request that has the canary wherever it may be."""
    call = ToolCall(CANARY, CANARY, f'{{"{CANARY}": "{CANARY}"}}')
    return {
        "system": CANARY,
        "messages": [
            Message("user", [Text(CANARY)]),
            Message("assistant", [Text(CANARY), call]),
            Message("user", [ToolResult(CANARY, CANARY, CANARY)]),
        ],
        "tools": [Tool(CANARY, CANARY, {"type": "object", "description": CANARY})],
        "stop": [CANARY + "!"],
    }


def told_by(failed: BaseException | None) -> str:
    """All that a failure tells: itself, its chain and its traceback, as whoever catches it may print them."""
    assert isinstance(failed, ProviderFailed)
    assert failed.__cause__ is None
    assert failed.__context__ is None
    rendered = traceback.format_exception(failed)
    return repr([str(failed), repr(failed), failed.args, vars(failed), rendered, pickle.dumps(failed.args)])


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What a handler at the root gets, where everything is set to be logged."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(self.format(record))

    ear, root = Ear(logging.DEBUG), logging.getLogger()
    before = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    yield heard
    root.removeHandler(ear)
    root.setLevel(before)


def everything_on() -> None:
    """Each logger of each SDK at DEBUG, as a host that debugs sets it."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.startswith(LOGGERS):
            logger.setLevel(logging.DEBUG)


FAULTS: Final[list[dict[str, object]]] = [
    {"type": "fail", "status": 400, "message": CANARY},
    {"type": "fail", "status": 500, "message": CANARY},
    {"type": "stream_fault", "kind": "malformed", "after_chunks": 4},
    {"type": "stream_fault", "kind": "disconnect", "after_chunks": 4},
    {"type": "stream_fault", "kind": "truncate", "after_chunks": 4},
    {"type": "stream_fault", "kind": "stall", "after_chunks": 4, "stall_seconds": FOREVER_S},
]


@pytest.mark.service
@pytest.mark.parametrize("fault", range(len(FAULTS)))
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_tells_nothing(llmock: Llmock, log: list[str], kind: Kind, fault: int) -> None:
    how = dict(FAULTS[fault])
    llmock.will("reply", text=f"{CANARY} " * 10)
    llmock.will(str(how.pop("type")), **how)
    async with provider(kind, llmock.base_url(kind), chunk_s=0.4) as asked:
        everything_on()
        events, failed = await course(asked, ask(kind, **everywhere()))
    assert CANARY not in told_by(failed)
    assert (CANARY in words(events)) == (how.get("after_chunks") is not None)
    assert CANARY not in "\n".join(log)
    assert CANARY not in repr(events)
    assert CANARY in repr((await llmock.ended())[0]["body"])  # it was there to be told


@pytest.mark.service
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_leaves_nothing_in_a_log(llmock: Llmock, log: list[str], kind: Kind) -> None:
    llmock.will("reply", text=f"{CANARY} " * 10)
    async with provider(kind, llmock.base_url(kind)) as asked:
        everything_on()
        answer = await generated(asked, ask(kind, **everywhere()))
        await asked.models()
    assert CANARY not in "\n".join(log)
    assert CANARY not in repr(answer)
    assert not any(name in line for line in log for name in ("the-key", "/messages", "generateContent"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_inside_a_stream_tells_nothing(
    scripted: Scripted, log: list[str], kind: Kind
) -> None:
    error: dict[str, object] = {"code": 400, "type": CANARY, "message": CANARY, "status": CANARY}
    scripted.events(("error", {"type": "error", "error": error}))
    scripted.events(f'{{"{CANARY}')
    scripted.answer(418, CANARY.encode(), {"request-id": f"<{CANARY}>", "retry-after": CANARY})
    scripted.answer(401, b"", {"request-id": "req_011"})
    async with provider(kind, scripted.base_url(kind)) as asked:
        everything_on()
        failures = [(await course(asked, ask(kind, **everywhere())))[1] for _ in range(4)]
    for failed in failures:
        assert CANARY not in told_by(failed)
    assert CANARY not in "\n".join(log)
    assert [each.request_id for each in failures if each] == ["", "", "", "req_011"]


async def test_who_raises_while_handling_something_else_brings_nothing_of_the_provider(
    scripted: Scripted,
) -> None:
    """The context of a failure is what the caller was handling, as Python has it, and nothing besides."""
    scripted.events(f'{{"{CANARY}')
    own = RuntimeError("the caller's own")
    caught: ProviderFailed | None = None
    async with provider("openai", scripted.base_url("openai")) as asked:
        try:
            raise own
        except RuntimeError:
            _, caught = await course(asked, ask("openai"))
    assert caught is not None
    assert caught.__context__ is own
    assert own.__context__ is None


def test_an_sdk_that_is_not_silenced_would_be_heard(log: list[str]) -> None:
    logging.getLogger("another_sdk").debug("Request options: %s", {"prompt": CANARY})
    assert CANARY in "\n".join(log)
