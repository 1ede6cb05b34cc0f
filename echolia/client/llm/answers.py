"""What comes back from a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from echolia.client.session import Refused
from echolia.core.errors import CODES, EcholiaError


@dataclass(frozen=True, slots=True)
class Words:
    """Some words of an answer."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool; `arguments` is JSON text."""

    id: str = field(repr=False)
    name: str = field(repr=False)
    arguments: str = field(repr=False)


class Usage(NamedTuple):
    """Tokens, by the provider: `cached` and `written` are parts of `input`, `reasoning` of `output`."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole: by which model, why it ended (`stop`, `length`, `tools`, `refused`), what it took.

    `cost_micro_usd` is in millionths of a dollar, `quota` what may still be asked (`spec/llm.md`).
    """

    model: str
    reason: str
    usage: Usage
    cost_micro_usd: int
    quota: Mapping[str, Any] = field(repr=False)


Event: TypeAlias = Words | ToolCall | Finished


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: its words, the tools that it asks for, and how it ended."""

    text: str = field(repr=False)
    tool_calls: Sequence[ToolCall]
    finished: Finished


class Model(NamedTuple):
    """A model that may be asked: what it can do beside words, its longest answer in tokens, who stands in."""

    name: str
    abilities: Sequence[str]
    max_tokens: int
    fallback: Sequence[str]


class UsageRow(NamedTuple):
    """What asks of a day took that went to one model and ended alike; `day` is days since 1970, UTC."""

    day: int
    model: str
    status: str
    prices: str
    requests: int
    input: int
    cached: int
    written: int
    output: int
    reasoning: int
    micro_usd: int


def parts_of(said: Mapping[str, Any]) -> list[Words | ToolCall]:
    """The parts in a chunk; kinds that are not known yet are left out. Raises: `server_invalid`."""
    parts = said.get("parts", [])
    if not isinstance(parts, list):
        raise _invalid("parts")
    return [part for each in parts if (part := _part(each)) is not None]


def finished_of(said: Mapping[str, Any]) -> Finished:
    """What the final chunk says. Raises: what was refused, `server_invalid`."""
    if said.get("status") != 200:
        raise refusal_of(said)
    try:
        usage = Usage(**{name: said["usage"][name] for name in Usage._fields})
        model, reason, cost, quota = (said[name] for name in ("model", "reason", "cost_micro_usd", "quota"))
    except (KeyError, TypeError):
        raise _invalid("the final chunk") from None
    fits = (
        isinstance(model, str) and isinstance(reason, str) and type(cost) is int and isinstance(quota, dict)
    )
    if not fits or any(type(count) is not int for count in usage[:-1]):
        raise _invalid("the final chunk")
    return Finished(model, reason, usage, cost, quota)


def models_of(said: Mapping[str, Any]) -> list[Model]:
    """The models in an answer. Raises: `server_invalid`."""
    return [Model(*row) for row in _rows(said, "models", Model._fields, (str, list, int, list))]


def usage_of(said: Mapping[str, Any]) -> list[UsageRow]:
    """The rows in an answer. Raises: `server_invalid`."""
    kinds = (int, str, str, str, *(int,) * 7)
    return [UsageRow(*row) for row in _rows(said, "usage", UsageRow._fields, kinds)]


def _rows(
    said: Mapping[str, Any], name: str, fields: Sequence[str], kinds: Sequence[type]
) -> list[list[Any]]:
    rows = said.get(name)
    if not isinstance(rows, list):
        raise _invalid(name)
    found = [[row.get(field) for field in fields] if isinstance(row, dict) else [] for row in rows]
    if any([type(value) for value in row] != list(kinds) for row in found):
        raise _invalid(name)
    return found


def _part(said: object) -> Words | ToolCall | None:
    match said:
        case {"type": "text", "text": str(text)}:
            return Words(text)
        case {"type": "tool_call", "id": str(id_), "name": str(name), "arguments": str(arguments)}:
            return ToolCall(id_, name, arguments)
        case {"type": str(kind)} if kind not in _KINDS:
            return None
    raise _invalid("parts")


_KINDS: Final = {"text", "tool_call"}


def refusal_of(said: Mapping[str, Any]) -> EcholiaError:
    """What a final chunk refuses with; `server_invalid` where it names no code."""
    code, detail, after_s = said.get("code"), said.get("detail", ""), said.get("retry_after_s", 0)
    if not isinstance(code, str) or code not in CODES:
        return _invalid("the final chunk")
    members = {name: value for name, value in said.items() if name in ("quota", "upstream")}
    told = detail if isinstance(detail, str) else ""
    return Refused(code, told, members, float(after_s) if isinstance(after_s, int | float) else 0.0)


def _invalid(what: str) -> EcholiaError:
    return EcholiaError("server_invalid", f"expected {what}")
