"""What the adapters of all SDKs share: an answer's course, and failures reduced to what may be told."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

from echolia.core.errors import EcholiaError
from echolia.llm.providers.connection import http_client
from echolia.llm.providers.counting import tokens_of_ask, tokens_of_parts
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.environment import silence
from echolia.llm.providers.exchange import Exchange, noted
from echolia.llm.providers.port import (
    ABILITIES,
    Ability,
    Ask,
    Ended,
    Event,
    Part,
    ProviderFailed,
    Reason,
    Text,
    ToolCall,
    Usage,
)

MOST_MODELS: Final = 1000


class Malformed(Exception):
    """What came is not what the protocol says. It says no more, as what came may be anything."""


class Finish(NamedTuple):
    """The answer is whole; `usage` is None where the provider did not say."""

    reason: Reason
    usage: Usage | None


Told: TypeAlias = Text | ToolCall | Finish


class SdkProvider(ABC):
    """A `Provider` by way of an SDK.

    An adapter says how an ask is sent and its answer read (`_told`), and what a failure inside a stream is
    (`_code`); the rest is the connection's.
    """

    # What the protocol itself has no place for.
    lacks: ClassVar[frozenset[Ability]] = frozenset()

    def __init__(self, endpoint: Endpoint) -> None:
        silence()
        self.abilities: frozenset[Ability] = frozenset(ABILITIES) - self.lacks - endpoint.lacks
        self._http = http_client(endpoint)

    @abstractmethod
    def _told(self, ask: Ask) -> AsyncGenerator[Told, None]:
        """Ask, and read the answer: texts and whole calls, at last `Finish` if its marker came."""

    @abstractmethod
    def _code(self, error: Exception) -> str:
        """The code of an error that the provider told inside a stream; `upstream_malformed` for any other."""

    @abstractmethod
    def _names(self) -> AsyncIterator[str]:
        """The names of the models there are."""

    async def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """See `Provider.stream`."""
        if not ask.needs <= self.abilities:
            raise ProviderFailed("upstream_refused")
        exchange = Exchange(ask.admitted)
        said: list[Part] = []
        failure: EcholiaError | None = None
        told = self._told(ask)
        try:
            while failure is None:
                # An error that is raised while another one is handled carries that other one, words and all:
                # so what failed is kept here and raised when nothing is being handled any more.
                try:
                    with noted(exchange):
                        one = await anext(told, None)
                except Exception as error:  # noqa: BLE001
                    failure = self._reduced(exchange, error)
                    continue
                if one is None:
                    failure = exchange.failed("upstream_truncated")
                elif isinstance(one, Finish):
                    yield Ended(one.reason, _usage(one.usage, ask, said))
                    return
                else:
                    said.append(one)
                    yield one
        finally:
            exchange.close()
            with suppress(Exception):  # the request is over, whatever the SDK thinks of that
                await told.aclose()
        raise failure

    async def models(self) -> Sequence[str]:
        """See `Provider.models`; a thousand at most."""
        exchange = Exchange()
        found: list[str] = []
        failure: EcholiaError | None = None
        try:
            with noted(exchange):
                async for name in self._names():
                    found.append(text(name))
                    if len(found) == MOST_MODELS:
                        break
        except Exception as error:  # noqa: BLE001
            failure = self._reduced(exchange, error)
        finally:
            exchange.close()
        if failure is not None:
            raise failure
        return found

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._http.aclose()

    def _reduced(self, exchange: Exchange, error: Exception) -> EcholiaError:
        """What may be told of a failure: the connection knows, or else the adapter."""
        if exchange.failure is not None:
            return exchange.failure
        # What failed before anything was answered could not be said in the provider's words.
        return exchange.failed(self._code(error) if exchange.status else "upstream_refused")


def _usage(told: Usage | None, ask: Ask, said: Sequence[Part]) -> Usage:
    if told is not None and told.input > 0 and (told.output > 0 or not said):
        # Parts are no more than the whole, whatever a compatible endpoint says.
        cached = min(told.cached, told.input)
        written = min(told.written, told.input - cached)
        return told._replace(cached=cached, written=written, reasoning=min(told.reasoning, told.output))
    return Usage(tokens_of_ask(ask), tokens_of_parts(said), estimated=True)


def text(value: object) -> str:
    """A text of an answer; SDKs do not check what they hand on. Raises: `Malformed`."""
    if not isinstance(value, str):
        raise Malformed
    return value


def count(value: object) -> int:
    """A number of tokens; none said is 0. Raises: `Malformed`."""
    if value is None:
        return 0
    if not isinstance(value, int) or value < 0:
        raise Malformed
    return value


def members(value: object) -> Mapping[str, Any]:
    """An object of an answer; none said is an empty one. Raises: `Malformed`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed
    return value


def each(value: object) -> list[Any]:
    """A list of an answer; none said is an empty one. Raises: `Malformed`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed
    return value


def whole_call(call_id: str, name: object, arguments: str) -> ToolCall | None:
    """A call, if its arguments are an object's JSON; nothing at all is an empty object."""
    try:
        parsed = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict) or not isinstance(name, str) or not name:
        return None
    return ToolCall(call_id, name, arguments or "{}")
