"""Anthropic's Messages API, by its SDK."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, ClassVar, Final

from anthropic import APIStatusError, AsyncAnthropic
from anthropic.types import RawMessageStreamEvent

from echolia.llm.providers.adapter import Finish, Malformed, SdkProvider, Told, count, text, whole_call
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.port import (
    Ability,
    Ask,
    Image,
    Message,
    Part,
    Reason,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)

BASE_URL: Final = "https://api.anthropic.com"
_REASONS: Final[Mapping[str, Reason]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tools",
    "refusal": "refused",
}
# Kinds of errors that come inside a stream.
_CODES: Final[Mapping[str, str]] = {
    "overloaded_error": "upstream_overloaded",
    "rate_limit_error": "upstream_overloaded",
    "timeout_error": "upstream_timeout",
    "authentication_error": "upstream_credentials",
    "permission_error": "upstream_credentials",
    "invalid_request_error": "upstream_refused",
    "not_found_error": "upstream_refused",
    "request_too_large": "upstream_refused",
    "api_error": "upstream_failed",
}


class AnthropicProvider(SdkProvider):
    """Models of Anthropic, or of an endpoint that speaks its protocol."""

    lacks: ClassVar[frozenset[Ability]] = frozenset(
        {"temperature"}
    )  # its present models refuse it, and the SDK no longer knows it

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._client = AsyncAnthropic(
            api_key=endpoint.api_key or "none",  # else the SDK looks for one in the environment and in files
            base_url=endpoint.base_url or BASE_URL,
            max_retries=0,
            http_client=self._http,
            open_telemetry={"traces": False, "propagation": False},
        )
        # Asked for here, as what is behind them is loaded when they are first asked for.
        self._messages, self._models = self._client.messages, self._client.models

    async def _told(self, ask: Ask) -> AsyncGenerator[Told, None]:
        reading = _Reading()
        async for event in await self._messages.create(**request(ask), stream=True):
            if (one := reading.take(event)) is not None:
                yield one
        if reading.ended:
            yield reading.finish()

    async def _names(self) -> AsyncIterator[str]:
        async for model in self._models.list(limit=100):
            yield model.id

    def _code(self, error: Exception) -> str:
        body = error.body if isinstance(error, APIStatusError) else None
        told = body.get("error") if isinstance(body, dict) else None
        kind = told.get("type") if isinstance(told, dict) else None
        return _CODES.get(kind, "upstream_failed") if isinstance(kind, str) else "upstream_malformed"


def request(ask: Ask) -> dict[str, Any]:
    """An ask in the words of the Messages API."""
    sent: dict[str, Any] = {
        "model": ask.model,
        "max_tokens": ask.max_tokens,
        "messages": [_message(message) for message in ask.messages],
    }
    if ask.system:
        sent["system"] = ask.system
    if ask.stop:
        sent["stop_sequences"] = list(ask.stop)
    if ask.schema is not None:
        sent["output_config"] = {"format": {"type": "json_schema", "schema": dict(ask.schema)}}
    if ask.tools:
        sent["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": dict(tool.schema)}
            for tool in ask.tools
        ]
        named = ask.tool_choice not in ("auto", "none", "any")
        sent["tool_choice"] = (
            {"type": "tool", "name": ask.tool_choice} if named else {"type": ask.tool_choice}
        )
    return sent


def _message(message: Message) -> dict[str, Any]:
    # Results have to stand before everything else.
    parts = sorted(message.parts, key=lambda part: not isinstance(part, ToolResult))
    return {"role": message.role, "content": [_block(part) for part in parts]}


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            source = {
                "type": "base64",
                "media_type": part.media_type,
                "data": b64encode(part.content).decode(),
            }
            return {"type": "image", "source": source}
        case ToolCall():
            called = json.loads(part.arguments)
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": called}
        case ToolResult():
            return {"type": "tool_result", "tool_use_id": part.id, "content": part.text}


class _Reading:
    """The events of one answer, taken one after another."""

    def __init__(self) -> None:
        self.ended = False
        self._reason: str | None = None
        self._call: tuple[str, str] | None = None
        self._arguments: list[str] = []
        self._broken = False
        self._counts: dict[str, int] = {}

    def take(self, event: RawMessageStreamEvent) -> Told | None:
        """What this event tells, if anything. Raises: `Malformed`, and whatever reading it may raise."""
        match event.type:
            case "message_start":
                self._count(event.message.usage)
            case "content_block_start":
                return self._begun(event.content_block)
            case "content_block_delta":
                return self._more(event.delta)
            case "content_block_stop":
                return self._over()
            case "message_delta":
                self._reason = event.delta.stop_reason or self._reason
                self._count(event.usage)
            case "message_stop":
                self.ended = self._reason is not None
        return None

    def finish(self) -> Finish:
        """How it ended. Raises: `Malformed` where a call is not whole though nothing cut it."""
        reason = _REASONS.get(text(self._reason), "stop")
        if self._broken and reason != "length":
            raise Malformed
        return Finish(reason, self._usage())

    def _begun(self, block: Any) -> Told | None:
        if block.type == "tool_use":
            self._call, self._arguments = (text(block.id), text(block.name)), []
        return Text(text(block.text)) if block.type == "text" and block.text else None

    def _more(self, delta: Any) -> Told | None:
        if delta.type == "input_json_delta":
            self._arguments.append(text(delta.partial_json))
        return Text(text(delta.text)) if delta.type == "text_delta" and delta.text else None

    def _over(self) -> Told | None:
        if self._call is None:
            return None
        (call_id, name), self._call = self._call, None
        call = whole_call(call_id, name, "".join(self._arguments))
        self._broken |= call is None
        return call

    def _count(self, usage: Any) -> None:
        """Each count is of all so far, and may be left out where nothing changed."""
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ):
            if (said := getattr(usage, name, None)) is not None:
                self._counts[name] = count(said)
        details = getattr(usage, "output_tokens_details", None)
        if (said := getattr(details, "thinking_tokens", None)) is not None:
            self._counts["thinking_tokens"] = count(said)

    def _usage(self) -> Usage:
        told = self._counts
        cached, written = told.get("cache_read_input_tokens", 0), told.get("cache_creation_input_tokens", 0)
        # The provider's own count of the input is what the cache had no part in.
        whole = told.get("input_tokens", 0) + cached + written
        return Usage(whole, told.get("output_tokens", 0), cached, written, told.get("thinking_tokens", 0))
