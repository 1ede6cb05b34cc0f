"""The objects of one collection: create, edit, read, find; and batches that do many at once."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Literal, Self

from echolia.client import accesses, reading, receipts, relations, versions
from echolia.client.plain_values import Edit
from echolia.client.reading import object_id
from echolia.client.replica import Order, Replica, Verb
from echolia.client.reports import Found, Put, Receipt, Record, Source, Version


class Collection:
    """A declared collection on this device; get it from `device.collection(name)`.

    Every edit is one durable transaction and needs no server. Fields take plain values or edits
    (`Set`, `Add`, `Remove`, `Increment`, `ReplaceText`, `SpliceText`). Ids are whole: see `device.resolve`.
    Edits raise `field_unknown`, `field_policy`, `value_invalid`, `object_unknown`, `object_in_trash`,
    `object_quarantined`, `disk_full`.
    """

    def __init__(self, replica: Replica, name: str) -> None:
        self._replica, self.name = replica, name

    async def create(self, fields: Mapping[str, Edit], *, id: str | None = None) -> str:
        """A new object; gives its id, random unless given. Raises `object_exists`."""
        id_ = object_id(id) if id else self._replica.environment.dice(16)
        await self._one("create", id_, fields)
        return id_.hex()

    async def update(self, id: str, fields: Mapping[str, Edit]) -> None:
        """Edit an object. Setting a `multi` in conflict resolves it."""
        await self._one("update", object_id(id), fields)

    async def put(self, id: str, fields: Mapping[str, Edit], *, same: str | None = None) -> Put:
        """Create the object, or edit only the fields that differ; see `put_many`."""
        return (await self.put_many([(id, fields)], same=same))[0]

    async def create_many(self, objects: Iterable[Mapping[str, Edit]]) -> builtins.list[str]:
        """Create many objects in one transaction; gives their ids."""
        dice = self._replica.environment.dice
        orders = [Order("create", self.name, dice(16), fields) for fields in objects]
        await self._replica.edit(orders)
        return [order.object.hex() for order in orders]

    async def put_many(
        self, objects: Iterable[tuple[str, Mapping[str, Edit]]], *, same: str | None = None
    ) -> builtins.list[Put]:
        """Create or edit many objects by id in one transaction; what each came to.

        `same` names a field that tells whether an object changed at its source: where its value here equals
        the given one, the object is "unchanged", whatever was edited here since. Objects in the Trash stay
        there ("in_trash"). Keep it to some hundreds of objects a call.
        """
        orders = [Order("put", self.name, object_id(id_), fields, same) for id_, fields in objects]
        return await self._replica.edit(orders)

    async def delete(self, id: str) -> None:
        """Put an object into the Trash."""
        await self._one("delete", object_id(id), {})

    async def restore(self, id: str) -> None:
        """Take an object out of the Trash."""
        await self._one("restore", object_id(id), {})

    async def get(self, id: str) -> Record:
        """An object, also from the Trash; raises `object_unknown`."""
        return await self._replica.run(reading.get, self._replica.database, self.name, object_id(id))

    async def history(self, id: str) -> builtins.list[Version]:
        """What an object showed before, and the values that lost, newest first; of 30 days, on this device.

        Edits that one device made within minutes are one version. Also of what lies in the Trash. Raises
        `object_unknown`.
        """
        return await self._replica.run(versions.listed, self._replica.database, self.name, object_id(id))

    async def revert(self, id: str, version: int) -> None:
        """Bring a version back (its `id` of `history`), by ordinary edits; also out of the Trash.

        Of a loser its one field. Counts stay as they are. What was shown is a version from then on. Raises
        `version_unknown`.
        """
        id_, replica = object_id(id), self._replica
        collection = replica.identity.collection(self.name)
        fields = await replica.run(versions.fields_of, replica.database, collection, id_, version)
        await replica.edit([Order("restore", self.name, id_, {}), Order("revert", self.name, id_, fields)])

    async def touch(self, id: str, *, field: str = "access") -> None:
        """Count one access of an object, in a `counter` field.

        It is counted on this device and written with all others once a day, at a moment that does not follow
        the access, so that no change tells what is read when. Of what lies in the Trash by then nothing is
        written. Raises `object_unknown`, `field_unknown`, `field_policy`.
        """
        collection = self._replica.identity.collection(self.name)
        await self._replica.run(accesses.count, self._replica, collection, object_id(id), field)

    async def sources(self, id: str, *, field: str = "sources") -> builtins.list[Source]:
        """What an object comes from, by the ids in a `set` field: here, in the Trash, gone, or not here.

        Raises `object_unknown`, `field_unknown`, `field_policy`; never for a source that is not here.
        """
        collection = self._replica.identity.collection(self.name)
        return await self._replica.run(
            relations.sources, self._replica.database, collection, object_id(id), field
        )

    async def citing(self, id: str, *, field: str = "sources") -> builtins.list[Record]:
        """The objects of this collection, alive, that name `id` in a `set` field; the newest first.

        So `device.collection("memories").citing(entry)` gives the memories that come from an entry. `id` need
        not be here.
        """
        collection = self._replica.identity.collection(self.name)
        return await self._replica.run(relations.citing, self._replica.database, collection, id, field)

    async def receipt(self, id: str) -> Receipt:
        """Which devices hold an object's newest version; raises `object_unknown`."""
        return await self._replica.run(receipts.of, self._replica, self.name, object_id(id))

    async def receipts(self, ids: Iterable[str]) -> dict[str, Receipt]:
        """The same for many objects at once, by id; those that are not here are left out."""
        wanted = list(map(object_id, ids))
        return await self._replica.run(receipts.of_many, self._replica, self.name, wanted)

    async def list(
        self,
        *,
        trash: bool = False,
        conflicts: bool = False,
        order: Literal["updated", "created"] = "updated",
        limit: int | None = None,
        offset: int = 0,
    ) -> builtins.list[Record]:
        """Objects, newest first: those alive, or those in the Trash; only those in conflict if asked."""
        return await self._replica.run(
            reading.listed,
            self._replica.database,
            self.name,
            alive=not trash,
            conflicts=conflicts,
            order=order,
            limit=limit,
            offset=offset,
        )

    async def count(self, *, trash: bool = False) -> int:
        """How many there are."""
        return await self._replica.run(reading.count, self._replica.database, self.name, alive=not trash)

    async def iterate(self, *, trash: bool = False, page: int = 200) -> AsyncIterator[Record]:
        """All objects by id, `page` at a time, so that memory stays flat."""
        last = b""
        while True:
            found = await self._replica.run(
                reading.after, self._replica.database, self.name, alive=not trash, id_=last, limit=page
            )
            for record in found:
                yield record
            if len(found) < page:
                return
            last = bytes.fromhex(found[-1].id)

    async def search(self, text: str, *, limit: int = 20) -> builtins.list[Found]:
        """Objects alive that hold all these words (the last as a prefix), best first."""
        return await self._replica.run(reading.search, self._replica.database, self.name, text, limit)

    async def _one(self, verb: Verb, id_: bytes, fields: Mapping[str, Edit]) -> None:
        await self._replica.edit([Order(verb, self.name, id_, fields)])


class Batch:
    """Edits collected and then made in one transaction when the block ends; an error undoes all:

    async with device.batch() as batch:
        entry = batch.create("entries", {"title": "One"})
        batch.update("entries", other, {"starred": True})
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._orders: list[Order] = []

    def create(self, collection: str, fields: Mapping[str, Edit], *, id: str | None = None) -> str:
        """Like `Collection.create`; the id is valid once the block has ended."""
        id_ = object_id(id) if id else self._replica.environment.dice(16)
        self._orders.append(Order("create", collection, id_, fields))
        return id_.hex()

    def update(self, collection: str, id: str, fields: Mapping[str, Edit]) -> None:
        """Like `Collection.update`."""
        self._orders.append(Order("update", collection, object_id(id), fields))

    def delete(self, collection: str, id: str) -> None:
        """Like `Collection.delete`."""
        self._orders.append(Order("delete", collection, object_id(id), {}))

    def restore(self, collection: str, id: str) -> None:
        """Like `Collection.restore`."""
        self._orders.append(Order("restore", collection, object_id(id), {}))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._orders:
            await self._replica.edit(self._orders)
