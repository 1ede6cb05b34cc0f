"""Embeddings on a device: vectors of its entries made, kept and searched (`spec/embeddings.md`)."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from echolia.client import reading
from echolia.client.embeddings import keeping_up, kept
from echolia.client.embeddings.finding import Near, Search, begun, by_words, fused, nearest
from echolia.client.embeddings.making import SENT_BYTES, SENT_TEXTS, Local, Making, Offered
from echolia.client.llm.sealed_asks import SealedAsks
from echolia.client.replica import Replica
from echolia.client.reports import Changed
from echolia.client.session import Session
from echolia.core.collections import ENTRIES
from echolia.core.embedding_place import Capability, Place
from echolia.core.errors import EcholiaError
from echolia.engines.port import Engine

# Kept after each so many, so that little is lost wherever it is stopped.
CHUNK: Final = 32
_CONSIDERED: Final = 50
_CANNOT: Final = frozenset({"embeddings_wait", "embeddings_busy", "embeddings_late", "server_unreachable"})


@dataclass(frozen=True, slots=True)
class Vectors:
    """How the vectors stand: the model that is made (its digest, or None before the first), how many entries
    there are, how many have a vector of it, and how many one of another model.
    """

    model: bytes | None
    entries: int
    made: int
    others: int


@dataclass(frozen=True, slots=True)
class Made:
    """What an update came to: vectors made, entries too long for one, vectors removed that nobody needs."""

    made: int
    too_long: int
    removed: int


class Embeddings:
    """Vectors of this device's entries; get it as `device.embeddings`.

    await device.embeddings.update()
    for near in (await device.embeddings.search("how did I sleep")).found:
        print(near.record.title)
    """

    def __init__(self, replica: Replica, sealed: SealedAsks, session: Session) -> None:
        self._replica = replica
        self._making = Making(sealed, session)
        self._alone = asyncio.Lock()
        self._chosen: tuple[bytes | None] | None = None
        replica.listen(self._forget)
        # Models and digests of texts, while this device is open: they would be sent in vain again and again.
        self._too_long: set[tuple[bytes, bytes]] = set()

    def use(self, engine: Engine | None, *, may_send: bool = True) -> None:
        """Embed by this engine on the device (None: by none); `may_send`: the server may be asked where it
        cannot.
        """
        self._too_long.clear()
        self._making.may_send = may_send
        self._making.local = None if engine is None else Local(engine.model.identity.digest, lambda: engine)

    def capability(self) -> Capability:
        """What this device can do, as it is reported."""
        return self._making.capability()

    async def models(self) -> list[Offered]:
        """The models of the server; none where it cannot be asked."""
        return await self._making.offered()

    async def where(self, texts: Sequence[str] = (), *, urgent: bool = False) -> Place:
        """Where texts would be embedded now: "device", "server" or "wait"."""
        model = await self._target(development=False)
        return "wait" if model is None else await self._making.where(model, texts, urgent=urgent)

    async def embed(self, texts: Sequence[str]) -> list[array[float]]:
        """A vector of each text, by the account's model; a person waits. Raises: `embeddings_wait`, ….

        Vectors of different models must not be compared: `status` says which one it is.
        """
        model = await self._target(development=False)
        if model is None:
            raise EcholiaError("embeddings_wait")
        return await self._making.vectors(model, texts, urgent=True)

    async def status(self) -> Vectors:
        """How the vectors stand here; nobody is asked."""
        entries, counts = await self._replica.run(kept.standing, self._replica)
        model = await self._account_model()
        made = counts.get(model, 0) if model is not None else 0
        return Vectors(model, entries, made, sum(counts.values()) - made)

    async def update(
        self, on_progress: Callable[[int, int], None] | None = None, *, development: bool = False
    ) -> Made:
        """Make the vectors that are lacking, remove those that nobody needs; gives what that came to.

        `on_progress` gets how many are made, of how many. Stopped anywhere it goes on the next time, and
        searching goes on meanwhile. `development`: a server's model that understands nothing will do.
        Raises: `embeddings_wait` where nobody can just now, `embeddings_busy`, `quota_exceeded`, ….
        """
        async with self._alone:
            model = await self._target(development=development)
            if model is None:
                raise EcholiaError("embeddings_wait")
            if await self._account_model() is None:
                await self._replica.edit([kept.choose(self._replica, model)])
            return await self._updated(model, on_progress or (lambda _done, _total: None))

    async def migrate(
        self, on_progress: Callable[[int, int], None] | None = None, *, development: bool = False
    ) -> Made:
        """Go over to the model that is at hand (the device's, or else the server's), as `update` does.

        The account's other devices go with it. What is searched changes when all entries have a new vector.
        """
        model = await self._at_hand(development=development)
        if model is None:
            raise EcholiaError("embeddings_wait")
        await self._replica.edit([kept.choose(self._replica, model)])
        return await self.update(on_progress)

    async def keep_up(
        self, on_progress: Callable[[int, int], None] | None = None, *, begin: bool = True
    ) -> None:
        """Do as `update` now and after each change, of this device and of others, until it is cancelled.

        Where nobody can embed just now it tries again later; searching goes on meanwhile. `begin`: also for
        an account that has no vectors yet; else nothing is embedded before another device, or `update`, did.
        """

        async def update() -> None:
            if begin or await self._account_model() is not None:
                await self.update(on_progress)

        await keeping_up.keep_up(self._replica, update)

    async def search(self, text: str, *, limit: int = 20, words: bool = True) -> Search:
        """Entries that mean the like, best first, together with those that hold the `words`.

        Without a model or vectors, or where nobody can embed the question just now, by words alone.
        """
        limit = max(1, limit)
        found = await self._replica.run(
            reading.search, self._replica.database, ENTRIES.name, text, max(limit, _CONSIDERED)
        )
        entries, query, vectors = await self._question(text)
        if query is None:
            return Search([by_words(each) for each in found[:limit]], "words", entries)
        near = await self._replica.run(nearest, query, vectors, max(limit, _CONSIDERED))
        lists = [[of.hex() for _, of in near]]
        if words:
            lists.append([each.record.id for each in found])
        scores = {of.hex(): score for score, of in near}
        said = {each.record.id: each for each in found}
        results = [await self._result(id_, scores.get(id_), said.get(id_)) for id_ in fused(lists)[:limit]]
        return Search(results, "meaning", entries - len(vectors))

    async def _result(self, id_: str, nearness: float | None, said: object) -> Near:
        from echolia.client.reports import Found  # noqa: PLC0415

        if isinstance(said, Found):
            return Near(said.record, nearness, said.snippet, said.matches)
        record = await self._replica.run(
            reading.get, self._replica.database, ENTRIES.name, bytes.fromhex(id_)
        )
        return begun(record, nearness or 0.0)

    async def _question(self, text: str) -> tuple[int, array[float] | None, list[tuple[bytes, bytes]]]:
        """How many entries there are, the question's vector, and the vectors to compare it with.

        The account's model comes first if no other has more: while vectors are made anew, the former serve.
        """
        entries, counts = await self._replica.run(kept.standing, self._replica)
        chosen = await self._account_model()
        ranked = sorted(counts, key=lambda model: (-counts[model], model != chosen, model))
        for model in ranked if text.strip() else ():
            try:
                (query,) = await self._making.vectors(model, [text], urgent=True)
            except EcholiaError as error:
                if error.code not in _CANNOT:
                    raise
                continue
            return entries, query, await self._replica.run(kept.of_model, self._replica, model)
        return entries, None, []

    async def _updated(self, model: bytes, told: Callable[[int, int], None]) -> Made:
        todo, after = list[kept.Lacking](), kept.FIRST
        while True:
            found, following = await self._replica.run(kept.lacking, self._replica, model, after)
            todo += found
            if following is None:
                break
            after = following
        made = done = 0
        asked = [each for each in todo if (model, kept.digest(each.text)) not in self._too_long]
        for chunk in _chunks(asked):
            vectors = await self._vectors(model, chunk)
            orders = await self._replica.run(kept.orders, self._replica, model, vectors)
            await self._replica.edit(orders)
            made += len(vectors)
            done += len(chunk)
            told(done, len(asked))
        gone = await self._replica.run(kept.needless, self._replica, model)
        await self._replica.edit(gone)
        return Made(made, len(todo) - made, len(gone))

    async def _vectors(
        self, model: bytes, chunk: Sequence[kept.Lacking]
    ) -> list[tuple[kept.Lacking, array[float]]]:
        """The vectors of all that are not too long for one."""
        try:
            vectors = await self._making.vectors(model, [each.text for each in chunk], urgent=False)
        except EcholiaError as error:
            if error.code not in ("embedding_too_long", "body_too_large"):
                raise
            if len(chunk) == 1:
                self._too_long.add((model, kept.digest(chunk[0].text)))
                return []
            return [pair for each in chunk for pair in await self._vectors(model, [each])]
        return list(zip(chunk, vectors, strict=True))

    async def _target(self, *, development: bool) -> bytes | None:
        """The account's model, or what will be it."""
        chosen = await self._account_model()
        return chosen if chosen is not None else await self._at_hand(development=development)

    async def _account_model(self) -> bytes | None:
        """The model that the account's devices make, if they do; read again after a change."""
        if self._chosen is None:
            self._chosen = (await self._replica.run(kept.chosen, self._replica),)
        return self._chosen[0]

    def _forget(self, _: Changed) -> None:
        self._chosen = None

    async def _at_hand(self, *, development: bool) -> bytes | None:
        if self._making.local is not None:
            return self._making.local.digest
        there = await self._making.offered()
        return next((each.identity.digest for each in there if development or not each.development), None)


def _chunks(todo: Sequence[kept.Lacking]) -> list[list[kept.Lacking]]:
    """As many together as are kept at once, and as a request has room for."""
    chunks: list[list[kept.Lacking]] = []
    size = 0
    for each in todo:
        length = len(each.text.encode("utf-8", "replace"))
        if not chunks or len(chunks[-1]) >= min(CHUNK, SENT_TEXTS) or size + length > SENT_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(each)
        size += length
    return chunks
