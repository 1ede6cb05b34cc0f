"""OpenAI's Chat Completions, by its SDK: OpenAI itself, and whatever speaks the same, by its address."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any, Final

from openai import APIError, AsyncOpenAI, AsyncStream

from echolia.llm.providers.adapter import (
    Finish,
    Malformed,
    SdkProvider,
    Told,
    count,
    each,
    members,
    text,
    whole_call,
)
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.exchange import code_of_status
from echolia.llm.providers.port import Ask, Image, Message, Reason, Text, ToolCall, ToolResult, Usage

BASE_URL: Final = "https://api.openai.com/v1"
_REASONS: Final[Mapping[str, Reason]] = {
    "length": "length",
    "tool_calls": "tools",
    "function_call": "tools",
    "content_filter": "refused",
}
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "any": "required"}


class OpenAIProvider(SdkProvider):
    """Models of OpenAI, or of a compatible endpoint: Ollama, Groq, vLLM, llama.cpp and others."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._own = endpoint.base_url in ("", BASE_URL)
        self._client = AsyncOpenAI(
            api_key=endpoint.api_key or "none",  # an endpoint without keys ignores it
            base_url=endpoint.base_url or BASE_URL,
            max_retries=0,
            http_client=self._http,
        )
        # Taken from the environment where they are None; they are not this server's.
        self._client.organization = self._client.project = None
        self._client.admin_api_key = self._client.webhook_secret = None
        # Asked for here, as what is behind them is loaded when they are first asked for.
        self._models = self._client.models

    async def _told(self, ask: Ask) -> AsyncGenerator[Told, None]:
        reading = _Reading()
        # By the SDK's door for what it has no words for: its own method turns what is in the protocol's words
        # into them once more, and each chunk into objects, which takes longer than all else that it does.
        stream = await self._client.post(
            "/chat/completions",
            cast_to=object,
            body={**request(ask, own=self._own), "stream": True},
            stream=True,
            stream_cls=AsyncStream[object],
        )
        async for chunk in stream:
            for one in reading.take(chunk):
                yield one
        for one in reading.finish():
            yield one

    async def _names(self) -> AsyncIterator[str]:
        async for model in self._models.list():
            yield model.id

    def _code(self, error: Exception) -> str:
        if not isinstance(error, APIError):
            return "upstream_malformed"
        told = error.body.get("code") if isinstance(error.body, dict) else None
        known = isinstance(told, int) and 400 <= told < 600
        return code_of_status(told) if known and isinstance(told, int) else "upstream_failed"


def request(ask: Ask, *, own: bool) -> dict[str, Any]:
    """An ask in the words of Chat Completions; `own`: in those that only OpenAI itself is sure to know."""
    said = [sent for message in ask.messages for sent in _messages(message)]
    system = [{"role": "system", "content": ask.system}] if ask.system else []
    sent: dict[str, Any] = {
        "model": ask.model,
        "messages": [*system, *said],
        "stream_options": {"include_usage": True},
    }
    if own:
        sent |= {"max_completion_tokens": ask.max_tokens, "store": False}
    else:
        sent["max_tokens"] = ask.max_tokens
    if ask.temperature is not None:
        sent["temperature"] = ask.temperature
    if ask.stop:
        sent["stop"] = list(ask.stop)
    if ask.schema is not None:
        named = {"name": "answer", "schema": dict(ask.schema), "strict": True}
        sent["response_format"] = {"type": "json_schema", "json_schema": named}
    if ask.tools:
        sent["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name, "description": tool.description, "parameters": dict(tool.schema)
                },
            }
            for tool in ask.tools
        ]  # fmt: skip
        named = {"type": "function", "function": {"name": ask.tool_choice}}
        sent["tool_choice"] = _CHOICES.get(ask.tool_choice, named)
    return sent


def _messages(message: Message) -> Iterator[dict[str, Any]]:
    """One message of ours as theirs, where each result of a tool is a message of its own."""
    for part in message.parts:
        if isinstance(part, ToolResult):
            yield {"role": "tool", "tool_call_id": part.id, "content": part.text}
    content = [_content(part) for part in message.parts if isinstance(part, Text | Image)]
    calls = [
        {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
        for part in message.parts
        if isinstance(part, ToolCall)
    ]
    sent: dict[str, Any] = {"role": message.role}
    if content:
        # A single text goes as such: not every endpoint takes a list.
        single = len(content) == 1 and content[0]["type"] == "text"
        sent["content"] = content[0]["text"] if single else content
    if calls:
        sent["tool_calls"] = calls
    if content or calls:
        yield sent


def _content(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url = f"data:{part.media_type};base64,{b64encode(part.content).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


class _Call:
    """A call that comes in pieces."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def add(self, piece: Mapping[str, Any]) -> None:
        """One more piece; id and name come with the first one that has them."""
        self.id = self.id or text(piece.get("id") or "")
        called = members(piece.get("function"))
        self.name = self.name or text(called.get("name") or "")
        self.arguments.append(text(called.get("arguments") or ""))


class _Reading:
    """The chunks of one answer, taken one after another."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._calls: dict[int, _Call] = {}
        self._usage: Usage | None = None

    def take(self, chunk: object) -> Iterator[Told]:
        """What this chunk tells. Raises: `Malformed`."""
        told = members(chunk)
        if told.get("usage") is not None:
            self._usage = _usage(members(told["usage"]))
        for choice in map(members, each(told.get("choices"))[:1]):
            delta = members(choice.get("delta"))
            for said in (delta.get("content"), delta.get("refusal")):
                if said:
                    yield Text(text(said))
            for piece in map(members, each(delta.get("tool_calls"))):
                self._call(piece).add(piece)
            self._reason = choice.get("finish_reason") or self._reason

    def finish(self) -> Iterator[Told]:
        """The calls, now that they are whole, and how it ended; nothing if the end's marker did not come.

        Raises: `Malformed` where a call is not whole though nothing cut it.
        """
        if self._reason is None:
            return
        reason = _REASONS.get(text(self._reason), "stop")
        for number, call in enumerate(self._calls.values()):
            whole = whole_call(call.id or f"call_{number}", call.name, "".join(call.arguments))
            if whole is not None:
                yield whole
                reason = "tools" if reason == "stop" else reason  # some endpoints do not say it
            elif reason != "length":
                raise Malformed
        yield Finish(reason, self._usage)

    def _call(self, piece: Mapping[str, Any]) -> _Call:
        # Endpoints that send calls whole may leave the index out.
        told = piece.get("index")
        place = told if told is not None else len(self._calls) - (0 if piece.get("id") else 1)
        return self._calls.setdefault(count(place), _Call())


def _usage(told: Mapping[str, Any]) -> Usage:
    of_input = members(told.get("prompt_tokens_details"))
    of_output = members(told.get("completion_tokens_details"))
    return Usage(
        count(told.get("prompt_tokens")),
        count(told.get("completion_tokens")),
        count(of_input.get("cached_tokens")),
        count(of_input.get("cache_write_tokens")),
        count(of_output.get("reasoning_tokens")),
    )
