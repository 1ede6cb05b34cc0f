"""What every provider of models keeps: the suite runs on each setting of `SETTINGS`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final, Protocol

import pytest

from echolia.core.errors import EcholiaError
from echolia.llm.providers.choice import Kind, make
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.port import (
    ABILITIES,
    Ability,
    Ask,
    Ended,
    Image,
    Message,
    Provider,
    ProviderFailed,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.support.llmock import Llmock
from tests.support.whole_answers import generated

WEATHER: Final = Tool(
    "weather",
    "Tells the weather.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
)
TIME: Final = Tool("time", "Tells the time.", {"type": "object", "properties": {}})
PERSON: Final = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PICTURE: Final = Image("image/png", b"\x89PNG\r\n\x1a\n")
# What a request has for each ability.
NEEDING: Final[dict[Ability, dict[str, object]]] = {
    "images": {"messages": [Message("user", [PICTURE])]},
    "tools": {"tools": [WEATHER]},
    "schema": {"schema": PERSON},
    "temperature": {"temperature": 0.5},
    "stop": {"stop": ["."]},
}


class Setting(Protocol):
    """A provider under the contract."""

    model: str

    def make(self, lacks: frozenset[Ability] = frozenset()) -> Provider:
        """A provider; the test closes it."""
        ...

    def will_be_cut(self) -> None:
        """The next answer ends at `max_tokens`, if asking for few is not enough."""
        ...

    def will_follow(self, value: object) -> None:
        """The next answer is that value's JSON, if a schema is not enough."""
        ...

    def asked(self) -> int | None:
        """How many requests came to it; None where nobody counts."""
        ...


class EchoSetting:
    """Echo."""

    model = "echo"

    def make(self, lacks: frozenset[Ability] = frozenset()) -> Provider:
        """Echo."""
        return make("echo", Endpoint(lacks=lacks))

    def will_be_cut(self) -> None:
        """A small `max_tokens` is enough."""

    def will_follow(self, value: object) -> None:
        """A schema is enough."""

    def asked(self) -> int | None:
        """Nobody counts."""
        return None


class LlmockSetting:
    """An adapter before llmock."""

    def __init__(self, llmock: Llmock, kind: Kind, name: str, model: str) -> None:
        self.model = model
        self._llmock = llmock
        self._kind: Kind = kind
        self._base_url = llmock.base_url(name)

    def make(self, lacks: frozenset[Ability] = frozenset()) -> Provider:
        """The adapter."""
        return make(self._kind, Endpoint("key", self._base_url, lacks, connections=20))

    def will_be_cut(self) -> None:
        """It does not look at the limit that is asked for."""
        self._llmock.will("reply", text="This goes", finish_reason="length")

    def will_follow(self, value: object) -> None:
        """It knows a former way only by which Anthropic is told a schema."""
        if self._kind == "anthropic":
            self._llmock.will("reply", text=json.dumps(value))

    def asked(self) -> int | None:
        """As its journal says."""
        return len(self._llmock.requests())


# Echo, and by name of its address in llmock each adapter's kind and a model.
ADAPTERS: Final[dict[str, tuple[Kind, str]]] = {
    "anthropic": ("anthropic", "claude-sonnet-4-6"),
    "openai": ("openai", "gpt-4o"),
    "groq": ("openai", "llama-3.3-70b-versatile"),
    "google": ("google", "gemini-2.5-pro"),
}
SETTINGS: Final = ("echo", *ADAPTERS)


def user(*parts: Text | Image | ToolResult) -> Message:
    """What a user gives."""
    return Message("user", parts)


class ProviderContract:
    """The suite; a class that inherits it gives it a `setting` and its `provider`."""

    def ask(self, setting: Setting, *said: Message, **more: object) -> Ask:
        """A request with all of 200 tokens."""
        values: dict[str, object] = {"messages": said, "max_tokens": 200, **more}
        return Ask(setting.model, **values)  # type: ignore[arg-type]  # each test gives what fits

    async def events(self, provider: Provider, ask: Ask) -> list[object]:
        """All that a stream gives."""
        async with aclosing(provider.stream(ask)) as events:
            return [event async for event in events]

    async def test_an_answer_is_texts_and_at_last_how_it_ended(
        self, setting: Setting, provider: Provider
    ) -> None:
        ask = self.ask(setting, user(Text("Good morning, how are you today?")), system="Be kind.")
        *said, ended = await self.events(provider, ask)
        assert len(said) > 1
        assert all(isinstance(each, Text) and each.text for each in said)
        assert isinstance(ended, Ended)
        assert ended.reason == "stop"
        assert ended.usage.input > 0 and ended.usage.output > 0 and not ended.usage.estimated

    async def test_nothing_is_sent_before_it_is_admitted(self, setting: Setting, provider: Provider) -> None:
        calls, refusal = [], EcholiaError("quota_exceeded", "told as it is")

        async def admitted() -> None:
            calls.append(setting.asked())
            if len(calls) == 1:
                raise refusal

        before = setting.asked()
        ask = self.ask(setting, user(Text("Good morning")), admitted=admitted)
        with pytest.raises(EcholiaError) as refused:
            await self.events(provider, ask)
        assert refused.value is refusal
        assert setting.asked() == before
        *said, _ = await self.events(provider, ask)
        assert calls == [before, before]
        assert said

    async def test_a_whole_answer_is_the_streamed_one(self, setting: Setting, provider: Provider) -> None:
        ask = self.ask(setting, user(Text("Good morning")))
        *said, ended = await self.events(provider, ask)
        answer = await generated(provider, ask)
        assert answer.parts == [Text("".join(each.text for each in said if isinstance(each, Text)))]
        assert answer.ended == ended

    async def test_a_conversation_goes_on(self, setting: Setting, provider: Provider) -> None:
        turns = [user(Text("One")), Message("assistant", [Text("Two")]), user(Text("Three"), Text("Four"))]
        answer = await generated(provider, self.ask(setting, *turns, stop=["zzz"]))
        assert answer.ended.reason == "stop"

    async def test_a_picture_is_taken(self, setting: Setting, provider: Provider) -> None:
        answer = await generated(provider, self.ask(setting, user(PICTURE, Text("What is this?"))))
        assert answer.ended.reason == "stop"

    @pytest.mark.parametrize(("choice", "called"), [("any", "weather"), ("time", "time")])
    async def test_a_tool_is_called_whole(
        self, setting: Setting, provider: Provider, choice: str, called: str
    ) -> None:
        ask = self.ask(setting, user(Text("Weather?")), tools=[WEATHER, TIME], tool_choice=choice)
        *calls, ended = await self.events(provider, ask)
        [call] = [each for each in calls if isinstance(each, ToolCall)]
        assert call.id
        assert call.name == called
        arguments = json.loads(call.arguments)
        assert set(arguments) == ({"city", "days"} if called == "weather" else set())
        assert isinstance(ended, Ended)
        assert ended.reason == "tools"

    async def test_no_tool_is_called_where_none_may_be(self, setting: Setting, provider: Provider) -> None:
        ask = self.ask(setting, user(Text("weather")), tools=[WEATHER], tool_choice="none")
        answer = await generated(provider, ask)
        assert [type(part) for part in answer.parts] == [Text]
        assert answer.ended.reason == "stop"

    async def test_what_a_tool_gave_is_answered(self, setting: Setting, provider: Provider) -> None:
        question = user(Text("weather in Turin?"))
        first = await generated(provider, self.ask(setting, question, tools=[WEATHER], tool_choice="any"))
        [call] = first.parts
        assert isinstance(call, ToolCall)
        result = user(ToolResult(call.id, call.name, "sunny"))
        turns = [question, Message("assistant", [call]), result]
        second = await generated(provider, self.ask(setting, *turns, tools=[WEATHER]))
        assert [type(part) for part in second.parts] == [Text]
        assert second.ended.reason == "stop"

    async def test_an_answer_follows_a_schema(self, setting: Setting, provider: Provider) -> None:
        setting.will_follow({"name": "Ada", "age": 36})
        answer = await generated(provider, self.ask(setting, user(Text("Who?")), schema=PERSON))
        [said] = answer.parts
        assert isinstance(said, Text)
        found = json.loads(said.text)
        assert (type(found["name"]), type(found["age"]), len(found)) == (str, int, 2)

    async def test_an_answer_that_is_cut_says_so(self, setting: Setting, provider: Provider) -> None:
        setting.will_be_cut()
        answer = await generated(provider, self.ask(setting, user(Text("Go on for ever")), max_tokens=3))
        assert answer.ended.reason == "length"

    @pytest.mark.parametrize("ability", ABILITIES)
    async def test_what_is_lacking_is_refused_and_never_asked(
        self, setting: Setting, ability: Ability
    ) -> None:
        more = {"messages": [user(Text("Hello"))], **NEEDING[ability]}
        ask = self.ask(setting, **more)
        assert ask.needs == {ability}
        lacking, having = setting.make(frozenset({ability})), setting.make(frozenset(ABILITIES) - {ability})
        assert ability not in lacking.abilities
        before = setting.asked()
        with pytest.raises(ProviderFailed) as failed:
            await generated(lacking, ask)
        assert failed.value.code == "upstream_refused"
        assert setting.asked() == before
        assert having.abilities <= {ability}
        if having.abilities:
            await generated(having, ask)
        for each in (lacking, having):
            await each.close()

    async def test_its_models_are_told(self, setting: Setting, provider: Provider) -> None:
        assert setting.model in await provider.models()

    async def test_a_stream_that_is_closed_early_is_over(self, setting: Setting, provider: Provider) -> None:
        ask = self.ask(setting, user(Text("Good morning, how are you?")))
        events = provider.stream(ask)
        assert isinstance(await anext(events), Text)
        await events.aclose()
        assert [event async for event in events] == []
        assert (await generated(provider, ask)).ended.reason == "stop"

    async def test_many_are_answered_at_once(self, setting: Setting, provider: Provider) -> None:
        asks = [self.ask(setting, user(Text(f"Number {n} of {n * n}"))) for n in range(12)]
        together = await asyncio.gather(*(generated(provider, ask) for ask in asks))
        assert [each.parts for each in together] == [(await generated(provider, ask)).parts for ask in asks]


def words(events: Sequence[object]) -> str:
    """The texts of these events."""
    return "".join(event.text for event in events if isinstance(event, Text))
