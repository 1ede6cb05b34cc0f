"""The replica: all that a device does with its objects, each call one unit of work on one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, ParamSpec, TypeAlias, TypeVar

from echolia.client import plain_values
from echolia.client.database import Database
from echolia.client.editing import Editor, Written
from echolia.client.environment import Environment
from echolia.client.identity import Identity
from echolia.client.plain_values import Edit
from echolia.client.presentation import present
from echolia.client.reports import Changed, Choice, Put
from echolia.core import merge
from echolia.core.clock import Stamp
from echolia.core.collections import Collection
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Verb: TypeAlias = Literal["create", "update", "put", "delete", "restore", "revert", "resolve"]


@dataclass(frozen=True, slots=True)
class Order:
    """One edit that is asked for; `same` is `Collection.put_many`'s.

    "revert" puts what differs, and keeps what it replaces in the history in any case; "resolve" decides
    between the `choices` that the person was shown.
    """

    verb: Verb
    collection: str
    object: bytes
    fields: Mapping[str, Edit] = field(repr=False)
    same: str | None = None
    choices: tuple[Choice, ...] = field(default=(), repr=False)


class Replica:
    """A home's data. SQLite is asked on one thread only, so calls follow each other and never interleave."""

    def __init__(self, database: Database, identity: Identity, environment: Environment) -> None:
        self.database, self.identity, self.environment = database, identity, environment
        self._thread = ThreadPoolExecutor(1, "echolia-home")
        self._listeners: list[Callable[[Changed], None]] = []
        self._closed = False

    async def run(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Do this work on the replica's thread; cancelled, it still waits until what was begun has ended."""
        loop = asyncio.get_running_loop()
        begun = loop.run_in_executor(self._thread, partial(work, *args, **kwargs))
        try:
            return await asyncio.shield(begun)
        except asyncio.CancelledError:
            # Else the thread might report to a loop that is gone by then. Nobody asks for an error any
            # more, and one that nobody has taken would be printed with its traceback.
            await asyncio.wait({begun})
            begun.exception()
            raise

    async def edit(self, orders: Sequence[Order]) -> list[Put]:
        """Make these edits in one transaction, all or none; what each came to."""
        results, written = await self.run(self._edit, orders)
        if written:
            conflicts = frozenset(one.object.hex() for one in written if one.waits)
            self.tell(Changed(frozenset(one.object.hex() for one in written), conflicts))
        return results

    def listen(self, callback: Callable[[Changed], None]) -> Callable[[], None]:
        """Call back after each committed change; the result unsubscribes."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def tell(self, changed: Changed) -> None:
        """Call the listeners."""
        for callback in tuple(self._listeners):
            callback(changed)

    async def close(self) -> None:
        """Finish what was begun and close the database; closing twice is closing once."""
        if not self._closed:
            self._closed = True
            await self.run(self.database.close)
            self._thread.shutdown()

    def _edit(self, orders: Iterable[Order]) -> tuple[list[Put], list[Written]]:
        with self.database.transaction():
            editor = Editor(self.database, self.identity, self.environment)
            done = [carry_out(editor, self.identity, order) for order in orders]
            editor.finish()
        return [result for result, _ in done], [written for _, written in done if written is not None]


def carry_out(editor: Editor, identity: Identity, order: Order) -> tuple[Put, Written | None]:
    """Make one edit; what it came to, and what was written."""
    collection = identity.collection(order.collection)
    outcome: list[Put] = ["unchanged"]

    def make(state: ObjectState | None, dot: Dot, stamp: Stamp) -> ObjectState | None:
        outcome[0], part = _MAKERS[order.verb](
            _Making(collection, state, dot, stamp, identity.peer, order)
        )  # fmt: skip
        return part

    whole, apart = order.verb in {"delete", "restore"}, order.verb == "revert"
    written = editor.edit(order.object, order.collection, make, whole=whole, apart=apart)
    return outcome[0], written


@dataclass(frozen=True, slots=True)
class _Making:
    """What a change is made from."""

    collection: Collection
    state: ObjectState | None = field(repr=False)
    dot: Dot
    stamp: Stamp
    peer: int
    order: Order

    def known(self) -> ObjectState:
        if self.state is None:
            raise EcholiaError("object_unknown")
        return self.state

    def write(self, fields: Mapping[str, Edit]) -> ObjectState | None:
        edits = plain_values.edits(self.collection, self.state, fields)
        part = merge.write(self.collection, self.state, edits, self.dot, self.stamp, self.peer)
        return part if part.fields or self.state is None else None


_Made: TypeAlias = tuple[Put, ObjectState | None]


def _create(making: _Making) -> _Made:
    if making.state is not None:
        raise EcholiaError("object_exists")
    return "new", making.write(making.order.fields)


def _update(making: _Making) -> _Made:
    making.known()
    part = making.write(making.order.fields)
    return ("updated" if part else "unchanged"), part


def _put(making: _Making) -> _Made:
    state, order = making.state, making.order
    if state is None:
        return _create(making)
    if not state.alive:
        return "in_trash", None
    if order.same is not None and plain_values.same_value(state, order.fields, order.same):
        return "unchanged", None
    fields = plain_values.differing(making.collection, state, order.fields)
    part = making.write(fields) if fields else None
    return ("updated" if part else "unchanged"), part


def _delete(making: _Making) -> _Made:
    state = making.known()
    if not state.alive and not state.recovered:
        return "in_trash", None
    return "in_trash", merge.delete(state, making.dot)


def _restore(making: _Making) -> _Made:
    state = making.known()
    if state.alive:
        return "unchanged", None
    return "updated", merge.restore(state, making.dot)


def _resolve(making: _Making) -> _Made:
    shown = present(making.known(), making.collection).conflicts
    asked = {(choice.device, choice.counter) for choice in making.order.choices}
    for name in making.order.fields:
        if not asked or {(device.hex(), counter) for _, device, counter in shown.get(name, ())} != asked:
            raise EcholiaError("conflict_changed")
    return _update(making)


_MAKERS: Mapping[Verb, Callable[[_Making], _Made]] = {
    "create": _create,
    "update": _update,
    "put": _put,
    "delete": _delete,
    "restore": _restore,
    "revert": _put,
    "resolve": _resolve,
}
