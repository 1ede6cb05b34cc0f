"""Google's Gemini API, by its SDK."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any, Final

from google.genai import Client, types
from google.genai.errors import APIError

from echolia.llm.providers.adapter import Finish, Malformed, SdkProvider, Told, count, text, whole_call
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.exchange import code_of_status
from echolia.llm.providers.port import Ask, Image, Message, Part, Reason, Text, ToolCall, ToolResult, Usage

BASE_URL: Final = "https://generativelanguage.googleapis.com"
_REASONS: Final[Mapping[str, Reason]] = {"STOP": "stop", "MAX_TOKENS": "length"}
_BROKEN: Final = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"})
_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE"}
# Stands between a call's id and the signature that Gemini wants back with the call.
_SIGNED: Final = "~"


class GoogleProvider(SdkProvider):
    """Models of the Gemini API."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        options = types.HttpOptions(
            base_url=endpoint.base_url or BASE_URL, api_version="v1beta", httpx_async_client=self._http
        )
        # It closes itself when nobody holds it.
        self._client = Client(vertexai=False, api_key=endpoint.api_key or "none", http_options=options)
        self._models = self._client.aio.models

    async def _told(self, ask: Ask) -> AsyncGenerator[Told, None]:
        reading = _Reading()
        config = types.GenerateContentConfig(**config_of(ask))
        contents = [types.Content(**content(message)) for message in ask.messages]
        stream = await self._models.generate_content_stream(
            model=ask.model, contents=list(contents), config=config
        )
        async for chunk in stream:
            for one in reading.take(chunk):
                yield one
        if reading.reason is not None:
            yield reading.finish(reading.reason)

    async def _names(self) -> AsyncIterator[str]:
        async for model in await self._models.list(config={"page_size": 100}):
            if model.supported_actions is None or "generateContent" in model.supported_actions:
                yield text(model.name).removeprefix("models/")

    def _code(self, error: Exception) -> str:
        told = error.code if isinstance(error, APIError) else None
        return code_of_status(told) if isinstance(told, int) else "upstream_malformed"


def config_of(ask: Ask) -> dict[str, Any]:
    """All of an ask but its messages, in the words of the Gemini API."""
    sent: dict[str, Any] = {
        "max_output_tokens": ask.max_tokens,
        # One ask is one request: the SDK calls no tool and continues nothing by itself.
        "automatic_function_calling": {"disable": True},
        "automatic_continuation": False,
    }
    if ask.system:
        sent["system_instruction"] = ask.system
    if ask.temperature is not None:
        sent["temperature"] = ask.temperature
    if ask.stop:
        sent["stop_sequences"] = list(ask.stop)
    if ask.schema is not None:
        sent["response_mime_type"] = "application/json"
        sent["response_json_schema"] = dict(ask.schema)
    if ask.tools:
        offered = [
            {"name": tool.name, "description": tool.description, "parameters_json_schema": dict(tool.schema)}
            for tool in ask.tools
        ]
        choice: dict[str, Any] = {"mode": _MODES.get(ask.tool_choice, "ANY")}
        if ask.tool_choice not in ("auto", "none", "any"):
            choice["allowed_function_names"] = [ask.tool_choice]
        sent["tools"] = [{"function_declarations": offered}]
        sent["tool_config"] = {"function_calling_config": choice}
    return sent


def content(message: Message) -> dict[str, Any]:
    """A message in the words of the Gemini API."""
    role = "user" if message.role == "user" else "model"
    return {"role": role, "parts": [_part(part) for part in message.parts]}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"text": part.text}
        case Image():
            return {"inline_data": {"mime_type": part.media_type, "data": part.content}}
        case ToolCall():
            call_id, _, signature = part.id.partition(_SIGNED)
            call = {"id": call_id, "name": part.name, "args": json.loads(part.arguments)}
            signed = {"thought_signature": urlsafe_b64decode(signature)} if signature else {}
            return {"function_call": call, **signed}
        case ToolResult():
            call_id = part.id.partition(_SIGNED)[0]
            return {
                "function_response": {"id": call_id, "name": part.name, "response": {"result": part.text}}
            }


class _Reading:
    """The chunks of one answer, taken one after another."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self._calls = 0
        self._usage: Usage | None = None

    def take(self, chunk: types.GenerateContentResponse) -> Iterator[Told]:
        """What this chunk tells. Raises: `Malformed`, and whatever reading it may raise."""
        if chunk.usage_metadata is not None:
            self._usage = _usage(chunk.usage_metadata)  # of all so far
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason is not None:
            self.reason = "refused"
        for candidate in (chunk.candidates or ())[:1]:
            parts = candidate.content.parts if candidate.content is not None else None
            for part in parts or ():
                yield from self._part(part)
            if candidate.finish_reason is not None:
                self.reason = _reason(candidate.finish_reason.value)

    def finish(self, reason: Reason) -> Finish:
        """How it ended."""
        return Finish("tools" if reason == "stop" and self._calls else reason, self._usage)

    def _part(self, part: types.Part) -> Iterator[Told]:
        if part.function_call is not None:
            yield self._call(part.function_call, part.thought_signature)
        elif part.text and not part.thought:
            yield Text(text(part.text))

    def _call(self, call: types.FunctionCall, signature: bytes | None) -> ToolCall:
        call_id = call.id or f"call_{self._calls}"
        self._calls += 1
        if signature:
            call_id += _SIGNED + urlsafe_b64encode(signature).decode()
        whole = whole_call(call_id, call.name, json.dumps(call.args or {}, ensure_ascii=False))
        if whole is None:
            raise Malformed
        return whole


def _reason(said: str) -> Reason:
    if said in _BROKEN:
        raise Malformed
    return _REASONS.get(said, "refused")  # the many others are all reasons not to say more


def _usage(told: types.GenerateContentResponseUsageMetadata) -> Usage:
    thoughts = count(told.thoughts_token_count)
    return Usage(
        count(told.prompt_token_count) + count(told.tool_use_prompt_token_count),
        count(told.candidates_token_count) + thoughts,
        cached=count(told.cached_content_token_count),
        reasoning=thoughts,
    )
