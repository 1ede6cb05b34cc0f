"""Vectors of texts: made here where this device can, by the server where it cannot, or not yet."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from echolia.client.embeddings.machine import capability
from echolia.client.llm.answers import refusal_of
from echolia.client.llm.sealed_asks import SealedAsks
from echolia.client.session import Session
from echolia.core.embedding_place import Capability, Need, Place, place
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.core.model_identity import ModelIdentity, identity_of, unpacked
from echolia.engines import choice
from echolia.engines.port import Engine
from echolia.engines.whole_texts import embed_texts

# A request has room for 256 KiB with its seal and padding.
SENT_TEXTS: Final = 128
SENT_BYTES: Final = 200_000
_BYTES_A_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Offered:
    """A model of the server; `development`: it understands nothing."""

    name: str
    identity: ModelIdentity
    development: bool


@dataclass(slots=True)
class Local:
    """The model of this device, if it has one; loaded when it is needed first."""

    digest: bytes
    load: Callable[[], Engine | None]
    _engine: Engine | None = field(default=None, repr=False)

    async def engine(self) -> Engine:
        """Raises: `embeddings_wait`, `model_damaged`."""
        if self._engine is None:
            self._engine = await asyncio.to_thread(self.load)
        if self._engine is None:
            raise EcholiaError("embeddings_wait")
        return self._engine


def installed_model() -> Local | None:
    """What the extra `embeddings` brought to this machine."""
    identity = choice.installed()
    return None if identity is None else Local(identity.digest, choice.installed_engine)


class Making:
    """Embeds by this device or by its server; `report` is what the device can do, given its models."""

    def __init__(self, sealed: SealedAsks, session: Session) -> None:
        self._sealed = sealed
        self._session = session
        self._offered: list[Offered] | None = None
        self.local = installed_model()
        self.may_send = True
        self.report: Callable[[frozenset[bytes], bool], Capability] = _machine

    def capability(self) -> Capability:
        """What this device can do now."""
        installed = frozenset() if self.local is None else frozenset({self.local.digest})
        return self.report(installed, self.may_send)

    async def offered(self) -> list[Offered]:
        """The server's models, as it told them first; none where it cannot be asked."""
        if self._offered is None:
            try:
                self._offered = _models(await self._session.ask("GET", "/embeddings/models"))
            except EcholiaError as error:
                if error.code not in ("server_unreachable", "not_found"):
                    raise
                return []
        return self._offered

    async def where(self, model: bytes, texts: Collection[str], *, urgent: bool) -> Place:
        """Where vectors of these texts are made; the server is asked what it has only if that matters."""
        tokens = sum(len(text.encode()) for text in texts) // _BYTES_A_TOKEN
        able, need = self._able(model), Need(model, tokens, urgent)
        found = place(able, need, [model])
        if found != "server":
            return found
        return place(able, need, [each.identity.digest for each in await self.offered()])

    def _able(self, model: bytes) -> Capability:
        """What this device can do for this model; where it has not got it, nothing else of it matters."""
        return self.capability() if self._has(model) else Capability(0, 0, may_send=self.may_send)

    def _has(self, model: bytes) -> bool:
        return self.local is not None and self.local.digest == model

    async def vectors(self, model: bytes, texts: Sequence[str], *, urgent: bool) -> list[array[float]]:
        """A vector of each text, by the model of this digest.

        Raises: `embeddings_wait` where nobody can just now, `embedding_too_long`, `embeddings_busy`, ….
        """
        found = await self.where(model, texts, urgent=urgent)
        if found == "wait":
            raise EcholiaError("embeddings_wait")
        if found == "device":
            assert self.local is not None, "the rule knows what is installed"
            return await asyncio.to_thread(embed_texts, await self.local.engine(), texts)
        return await self._asked(model, texts)

    async def _asked(self, model: bytes, texts: Sequence[str]) -> list[array[float]]:
        identity = next(each.identity for each in await self.offered() if each.identity.digest == model)
        ask: dict[str, Any] = {"identity": b64(model)}
        if self._has(model):  # else what the device can do changes nothing, and is its own business
            ask["capability"] = self.capability().as_json()
        path = "/embeddings/generate" if len(texts) == 1 else "/embeddings/batch"
        ask.update({"text": texts[0]} if len(texts) == 1 else {"texts": list(texts)})
        final: Mapping[str, Any] = {}
        async with aclosing(self._sealed.exchange(path, ask)) as chunks:
            async for chunk in chunks:
                final = chunk
        return _read(final, identity, len(texts))


def _machine(installed: frozenset[bytes], may_send: bool) -> Capability:
    return capability(installed, may_send=may_send)


def _models(said: Mapping[str, Any]) -> list[Offered]:
    models = said.get("models")
    if not isinstance(models, list):
        raise EcholiaError("server_invalid", "expected models")
    try:
        return [
            Offered(str(each["name"]), identity_of(each), each["development"] is not False) for each in models
        ]
    except (EcholiaError, KeyError, TypeError, ValueError):
        raise EcholiaError("server_invalid", "expected models") from None


def _read(final: Mapping[str, Any], identity: ModelIdentity, count: int) -> list[array[float]]:
    """The vectors of a final chunk. Raises: what was refused, `server_invalid`."""
    if final.get("status") != 200:
        raise refusal_of(final)
    said = final.get("vectors")
    if final.get("identity") == b64(identity.digest) and isinstance(said, list) and len(said) == count:
        try:
            return [unpacked(unb64(each), identity.dimensions) for each in said]
        except (EcholiaError, AttributeError, ValueError):
            pass
    raise EcholiaError("server_invalid", "expected vectors")
