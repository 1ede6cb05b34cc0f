"""What a device asks of a model, as it comes out of its seal (`spec/llm.md#ask`)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from echolia.core.errors import EcholiaError
from echolia.llm.providers.port import Ask, Image, Message, Part, Text, Tool, ToolCall, ToolResult

MOST_MESSAGES: Final = 512
_MEDIA = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
_Id = Annotated[str, Field(min_length=1, max_length=256)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$")]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Text(_Wire):
    type: Literal["text"]
    text: str = Field(repr=False)

    def part(self) -> Part:
        return Text(self.text)


class _Image(_Wire):
    type: Literal["image"]
    media_type: _MEDIA
    data: str = Field(repr=False, min_length=4)

    @field_validator("data")
    @classmethod
    def _is_base64(cls, data: str) -> str:
        try:
            base64.b64decode(data, validate=True)
        except binascii.Error:
            raise ValueError("base64") from None
        return data

    def part(self) -> Part:
        return Image(self.media_type, base64.b64decode(self.data))


class _ToolCall(_Wire):
    type: Literal["tool_call"]
    id: _Id = Field(repr=False)
    name: _Name = Field(repr=False)
    arguments: str = Field(repr=False)

    @field_validator("arguments")
    @classmethod
    def _is_json(cls, arguments: str) -> str:
        json.loads(arguments)  # raises ValueError
        return arguments

    def part(self) -> Part:
        return ToolCall(self.id, self.name, self.arguments)


class _ToolResult(_Wire):
    type: Literal["tool_result"]
    id: _Id = Field(repr=False)
    name: _Name = Field(repr=False)
    text: str = Field(repr=False)

    def part(self) -> Part:
        return ToolResult(self.id, self.name, self.text)


_UserPart = Annotated[_Text | _Image | _ToolResult, Field(discriminator="type")]
_AssistantPart = Annotated[_Text | _ToolCall, Field(discriminator="type")]


class _User(_Wire):
    role: Literal["user"]
    content: Annotated[list[_UserPart], Field(min_length=1, max_length=64)] | str = Field(repr=False)


class _Assistant(_Wire):
    role: Literal["assistant"]
    content: Annotated[list[_AssistantPart], Field(min_length=1, max_length=64)] | str = Field(repr=False)


class _Tool(_Wire):
    name: _Name
    description: str = ""
    schema_: dict[str, Any] = Field(alias="schema")


class WireAsk(_Wire):
    """An ask; content that is a text stands for one part of it."""

    model: ModelName
    messages: list[Annotated[_User | _Assistant, Field(discriminator="role")]] = Field(
        min_length=1, max_length=MOST_MESSAGES, repr=False
    )
    system: str = Field("", repr=False)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    temperature: float | None = Field(None, ge=0, le=2)
    stop: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field([], max_length=4, repr=False)
    tools: list[_Tool] = Field([], max_length=128, repr=False)
    tool_choice: Literal["auto", "none", "any"] | Annotated[str, Field(pattern=r"^tool:.")] = "auto"
    schema_: dict[str, Any] | None = Field(None, alias="schema", repr=False)

    def ask(self, model: str, most_tokens: int) -> Ask:
        """What a provider is asked, where the model is `model` and answers at most so long."""
        return Ask(
            model=model,
            messages=[Message(said.role, _parts(said)) for said in self.messages],
            max_tokens=min(self.max_tokens or most_tokens, most_tokens),
            system=self.system,
            temperature=self.temperature,
            stop=tuple(self.stop),
            tools=tuple(Tool(tool.name, tool.description, tool.schema_) for tool in self.tools),
            tool_choice=self.tool_choice.removeprefix("tool:"),
            schema=self.schema_,
        )


def read_ask(value: object) -> WireAsk:
    """The ask in a sealed request. Raises: `ask_invalid`, which says where and nothing of what."""
    wrong = ""
    try:
        return WireAsk.model_validate(value)
    except ValidationError as error:
        wrong = _where(error)
    raise EcholiaError("ask_invalid", wrong)


def _where(error: ValidationError) -> str:
    """The first place that is wrong, by names that are ours."""
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    parts = [str(part) for part in first["loc"] if isinstance(part, int) or part in _NAMES]
    return ".".join(parts) or "ask"


def _parts(said: _User | _Assistant) -> list[Part]:
    if isinstance(said.content, str):
        return [Text(said.content)]
    return [each.part() for each in said.content]


_NAMES: Final = frozenset(
    {
        "model", "messages", "system", "max_tokens", "temperature", "stop", "tools", "tool_choice", "schema",
        "role", "content", "type", "text", "media_type", "data", "id", "name", "arguments", "description",
    }
)  # fmt: skip
