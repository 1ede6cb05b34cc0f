"""What is asked of a model and what it answers, the same for every provider."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from echolia.core.errors import EcholiaError

# What an ask may have beyond words of user and assistant; a provider says which it takes.
Ability = Literal["images", "tools", "schema", "temperature", "stop"]
ABILITIES: Final[tuple[Ability, ...]] = ("images", "tools", "schema", "temperature", "stop")
# Why an answer ended: of itself or at a stop sequence, at `max_tokens`, to have tools called, or because the
# provider would not say more.
Reason = Literal["stop", "length", "tools", "refused"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: its media type, such as `image/png`, and its bytes."""

    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool; `arguments` is JSON text. In an answer it is whole, never in pieces."""

    id: str = field(repr=False)
    name: str = field(repr=False)
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave for the call `id`; `name` is the tool's."""

    id: str = field(repr=False)
    name: str = field(repr=False)
    text: str = field(repr=False)


Part: TypeAlias = Text | Image | ToolCall | ToolResult


class Message(NamedTuple):
    """What one side said. Users give texts, images and tool results; assistants texts and tool calls."""

    role: Literal["user", "assistant"]
    parts: Sequence[Part]


class Tool(NamedTuple):
    """A tool that the model may ask for; `schema` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    schema: Mapping[str, Any]


async def at_once() -> None:
    """Nothing is to be waited for."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a model, by the name that the provider knows it by.

    `max_tokens` bounds the answer. `temperature` and `stop` are the provider's own defaults where None or
    empty. `schema` is the JSON Schema that the answer's text has to follow. `tool_choice` is `auto`, `none`,
    `any`, or the name of a tool. `admitted` is awaited before anything of it leaves this process, so that it
    can be prepared while it is decided whether it may be asked; it may be called again.
    """

    model: str
    messages: Sequence[Message] = field(repr=False)
    max_tokens: int
    system: str = field(default="", repr=False)
    temperature: float | None = None
    stop: Sequence[str] = field(default=(), repr=False)
    tools: Sequence[Tool] = field(default=(), repr=False)
    tool_choice: str = field(default="auto", repr=False)
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    admitted: Callable[[], Awaitable[None]] = field(default=at_once, repr=False, compare=False)

    @property
    def needs(self) -> frozenset[Ability]:
        """The abilities that it takes to answer this."""
        parts = [part for message in self.messages for part in message.parts]
        needed: dict[Ability, bool] = {
            "images": any(isinstance(part, Image) for part in parts),
            "tools": bool(self.tools) or any(isinstance(part, ToolCall | ToolResult) for part in parts),
            "schema": self.schema is not None,
            "temperature": self.temperature is not None,
            "stop": bool(self.stop),
        }
        return frozenset(ability for ability in ABILITIES if needed[ability])


class Usage(NamedTuple):
    """What an answer took, in the provider's tokens.

    `input` is all of the request, of which `cached` were read from the provider's cache and `written` were
    written to it; `output` is all of the answer, of which `reasoning` were not shown. `estimated`: the
    provider did not say, and they were counted as `counting.py` does.
    """

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    estimated: bool = False


class Ended(NamedTuple):
    """The last event of every answer that is whole."""

    reason: Reason
    usage: Usage


Event: TypeAlias = Text | ToolCall | Ended


class ProviderFailed(EcholiaError):
    """A provider did not answer, or not to the end. It carries nothing of what the provider said.

    Codes: `upstream_unreachable`, `upstream_timeout`, `upstream_overloaded` (429, 503, 529; `retry_after_s`
    where it was said), `upstream_failed` (other 5xx), `upstream_refused` (4xx: the request itself),
    `upstream_credentials` (401, 403), `upstream_truncated` (the stream ended without its finish marker),
    `upstream_malformed` (not what the protocol says). `status` is the HTTP status, 0 where there was none;
    `request_id` the provider's own id of the request, or "".
    """

    def __init__(
        self, code: str, *, status: int = 0, request_id: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class Provider(Protocol):
    """One provider's models. It tries once: who asks decides what is tried again."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """What an ask may need; the caller refuses what is not among them before it asks."""
        ...

    def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """The answer as it comes: texts and tool calls, at last `Ended`.

        Closing the generator, or cancelling who waits for it, ends the request at the provider.
        Raises: `ProviderFailed`; what `ask.admitted` raises.
        """
        ...

    async def models(self) -> Sequence[str]:
        """The names of the models there are. Raises: `ProviderFailed`."""
        ...

    async def close(self) -> None:
        """End its connections."""
        ...
