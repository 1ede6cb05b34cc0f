"""OpenAI's chat completions as asks, and answers as chat completions."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from echolia.client.llm.answers import Finished, Reply, ToolCall, Words
from echolia.core.errors import EcholiaError

# What may be sent as long as it changes nothing; any other value is refused by its name.
_NEUTRAL: Final[Mapping[str, Sequence[Any]]] = {
    "n": (1,),
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "parallel_tool_calls": (True,),
    "store": (False,),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "service_tier": ("auto", "default"),
}
# What says nothing about the answer.
_IGNORED: Final = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "stream"})
_READ: Final = frozenset(
    {
        "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "stop", "tools",
        "tool_choice", "response_format", "stream_options",
    }
)  # fmt: skip
_REASONS: Final = {"stop": "stop", "length": "length", "tools": "tool_calls", "refused": "content_filter"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the ask, whether it is to come in pieces, and with what it took at the end."""

    model: str
    messages: list[dict[str, Any]] = field(repr=False)
    options: dict[str, Any] = field(repr=False)
    streams: bool = False
    tells_usage: bool = False


def read(body: Any) -> Asked:
    """The ask in a request. Raises: `ask_invalid`, which names the parameter."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise _invalid("model")
    for name, value in body.items():
        if name in _READ or name in _IGNORED or value is None:
            continue
        if value not in _NEUTRAL.get(name, ()):
            raise _invalid(name if name in _NEUTRAL else "an unknown parameter")
    system, messages = _messages(body.get("messages"))
    options = {"system": system, **_limits(body), **_tools(body), **_schema(body.get("response_format"))}
    given = {name: value for name, value in options.items() if value not in (None, "", [])}
    told = body.get("stream_options") or {}
    usage = bool(told.get("include_usage")) if isinstance(told, dict) else False
    return Asked(body["model"], messages, given, bool(body.get("stream")), usage)


def completion(reply: Reply, id_: str, created_s: int) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = [_call(call) for call in reply.tool_calls]
    reason = _REASONS.get(reply.finished.reason, "stop")
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {
        **_head("chat.completion", reply.finished.model, id_, created_s),
        "choices": [choice],
        "usage": _usage(reply.finished),
    }


class Pieces:
    """An answer in pieces, as OpenAI's stream has them."""

    def __init__(self, asked: Asked, id_: str, created_s: int) -> None:
        self._asked = asked
        self._head = _head("chat.completion.chunk", asked.model, id_, created_s)
        self._calls = 0
        self._begun = False

    def of(self, event: Words | ToolCall | Finished) -> list[dict[str, Any]]:
        """The pieces of an event."""
        if isinstance(event, Words):
            return [self._piece({"content": event.text})]
        if isinstance(event, ToolCall):
            self._calls += 1
            return [self._piece({"tool_calls": [{"index": self._calls - 1, **_call(event)}]})]
        pieces = [self._piece({}, _REASONS.get(event.reason, "stop"))]
        if self._asked.tells_usage:
            pieces.append({**self._head, "choices": [], "usage": _usage(event)})
        return pieces

    def _piece(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", "content": "", **delta}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self._head, "choices": [choice]}


def _messages(given: Any) -> tuple[str, list[dict[str, Any]]]:
    if not isinstance(given, list):
        raise _invalid("messages")
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for said in given:
        role = said.get("role") if isinstance(said, dict) else None
        if role in ("system", "developer"):
            system.append("".join(part["text"] for part in _content(said, images=False)))
        elif role == "user":
            messages.append({"role": "user", "content": _content(said, images=True)})
        elif role == "assistant":
            calls = [_called(call) for call in said.get("tool_calls") or []]
            names.update({call["id"]: call["name"] for call in calls})
            words = _content(said, images=False) if said.get("content") else []
            messages.append({"role": "assistant", "content": [*words, *calls]})
        elif role == "tool":
            text = "".join(part["text"] for part in _content(said, images=False))
            id_ = said.get("tool_call_id")
            result = {"type": "tool_result", "id": id_, "name": names.get(str(id_), ""), "text": text}
            # Results of calls that were made together go together.
            if messages and _is_results(messages[-1]):
                messages[-1]["content"].append(result)
            else:
                messages.append({"role": "user", "content": [result]})
        else:
            raise _invalid("messages.role")
    return "\n\n".join(system), messages


def _is_results(message: Mapping[str, Any]) -> bool:
    return message["role"] == "user" and all(part["type"] == "tool_result" for part in message["content"])


def _content(said: Mapping[str, Any], *, images: bool) -> list[dict[str, Any]]:
    content = said.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise _invalid("messages.content")
    parts = []
    for part in content:
        match part:
            case {"type": "text", "text": str(text)}:
                parts.append({"type": "text", "text": text})
            case {"type": "image_url", "image_url": {"url": str(url)}} if images:
                parts.append(_image(url))
            case _:
                raise _invalid("messages.content")
    return parts


def _image(url: str) -> dict[str, Any]:
    """A picture that is in the request; none is fetched from anywhere."""
    head, _, coded = url.partition(";base64,")
    try:
        base64.b64decode(coded, validate=True)
    except binascii.Error:
        raise _invalid("messages.content.image_url: only data: URLs in base64") from None
    if not head.startswith("data:image/") or not coded:
        raise _invalid("messages.content.image_url: only data: URLs in base64")
    return {"type": "image", "media_type": head.removeprefix("data:"), "data": coded}


def _called(call: Any) -> dict[str, Any]:
    match call:
        case {"id": str(id_), "function": {"name": str(name), "arguments": str(arguments)}}:
            return {"type": "tool_call", "id": id_, "name": name, "arguments": arguments}
    raise _invalid("messages.tool_calls")


def _limits(body: Mapping[str, Any]) -> dict[str, Any]:
    stop = body.get("stop")
    return {
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "temperature": body.get("temperature"),
        "stop": [stop] if isinstance(stop, str) else stop,
    }


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    tools = []
    for tool in body.get("tools") or []:
        match tool:
            case {"type": "function", "function": {"name": str(name), **rest}}:
                schema = rest.get("parameters") or {"type": "object", "properties": {}}
                tools.append({"name": name, "description": rest.get("description") or "", "schema": schema})
            case _:
                raise _invalid("tools")
    match body.get("tool_choice"):
        case None:
            choice = None
        case "auto" | "none" as choice:
            pass
        case "required":
            choice = "any"
        case {"type": "function", "function": {"name": str(name)}}:
            choice = f"tool:{name}"
        case _:
            raise _invalid("tool_choice")
    return {"tools": tools, "tool_choice": choice if tools else None}


def _schema(form: Any) -> dict[str, Any]:
    match form:
        case None | {"type": "text"}:
            return {}
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return {"schema": schema}
    raise _invalid("response_format: only text and json_schema")


def _head(kind: str, model: str, id_: str, created_s: int) -> dict[str, Any]:
    return {"id": id_, "object": kind, "created": created_s, "model": model}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _usage(finished: Finished) -> dict[str, Any]:
    usage = finished.usage
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def error_body(error: EcholiaError, status: int) -> bytes:
    """An error as OpenAI's clients read it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    told = {"message": str(error), "type": kind, "param": None, "code": error.code}
    return json.dumps({"error": told}).encode()


def _invalid(name: str) -> EcholiaError:
    return EcholiaError("ask_invalid", name)
