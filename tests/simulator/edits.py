"""Edits of every kind by every verb, each noted as an expectation once the SDK has said that it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random
from typing import Any, Final

from echolia.client import Add, Device, EcholiaError, Increment, Remove, SpliceText, ledger, reading
from echolia.client.reports import Record
from echolia.core.dots import join_vectors
from echolia.core.merge import decode
from echolia.core.runs import read_change
from tests.simulator.crashes import Crashed
from tests.simulator.expectations import Event, Expectations, Shown

# Stands in every text that is typed as one: whoever finds it on the server has found content.
CANARY: Final = "kanarienvogel"
REFUSED: Final = {"object_exists", "object_in_trash", "disk_full"}
_TAGS: Final = 6
_IMPORTS: Final = 5
_FEW: Final = 5
# One character for each thing typed: from the Chinese ones to the planes that take two units in UTF-16.
_FIRST_CHARACTER: Final = 0x4E00


@dataclass(slots=True)
class Draft:
    """An edit to be made: what the SDK is given, and what it will have done."""

    object: str
    fields: dict[str, Any]
    event: Event


class Edits:
    """Makes edits; `expected` has them all. `now_ms` is the true time."""

    def __init__(self, chance: Random, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.expected = Expectations()
        self.objects: list[str] = []
        # Once a server has lost something, what it lost comes back within whole states of other devices.
        self.brought_back = False
        self._chance = chance
        self._typed = 0
        self._verbs: list[tuple[float, Callable[[Device], Awaitable[None]]]] = [
            (1, self._create), (10, self._update), (1, self._delete), (1, self._restore),
            (0.5, self._import), (0.7, self._batch), (0.2, self._create_many),
        ]  # fmt: skip

    async def make(self, device: Device) -> str:
        """One edit on a device; gives what it was, and by which code it was refused if it was."""
        [verb] = self._chance.choices([v for _, v in self._verbs], [weight for weight, _ in self._verbs])
        name = verb.__name__.strip("_")
        try:
            await verb(device)
        except EcholiaError as error:
            if error.code not in REFUSED:
                raise
            return f"{name}: {error.code}"
        return name

    async def _create(self, device: Device) -> None:
        draft = self._new(device)
        await self._done(device, [draft], device.collection("kit").create(draft.fields, id=draft.object))

    async def _create_many(self, device: Device) -> None:
        drafts = [self._new(device) for _ in range(self._chance.randrange(2, 5))]
        made = device.collection("kit").put_many([(draft.object, draft.fields) for draft in drafts])
        await self._done(device, drafts, made)

    async def _update(self, device: Device) -> None:
        if not self.objects:
            return await self._create(device)
        draft = self._changed(device, self._some_object())
        if draft is None:
            return None
        await self._done(device, [draft], device.collection("kit").update(draft.object, draft.fields))
        return None

    async def _delete(self, device: Device) -> None:
        await self._life(device, "delete")

    async def _restore(self, device: Device) -> None:
        await self._life(device, "restore")

    async def _import(self, device: Device) -> None:
        """What several devices import from the same source is there once."""
        item = self._chance.randrange(_IMPORTS)
        id_, origin = device.imported_id("simulator", str(item)), f"{CANARY}origin{item}"
        title, text = f"{CANARY}import{item}", "".join(chr(0xAC00 + item * 40 + n) for n in range(20))
        fields = {"title": title, "text": text, "origin": origin}
        event = Event(id_, b"", 0, {}, title=title, typed=text, origin=origin, life="create")
        self._know(id_)
        made = device.collection("kit").put_many([(id_, fields)], same="origin")
        await self._done(device, [Draft(id_, fields, event)], made)

    async def _batch(self, device: Device) -> None:
        """Some edits of different objects, all or none."""
        chosen = self._chance.sample(self.objects, min(len(self.objects), 3))
        drafts = [draft for id_ in chosen if (draft := self._changed(device, id_)) is not None]
        new = self._new(device)
        await self._done(device, [*drafts, new], self._batched(device, drafts, new))

    async def _batched(self, device: Device, drafts: Sequence[Draft], new: Draft) -> None:
        async with device.batch() as batch:
            for draft in drafts:
                batch.update("kit", draft.object, draft.fields)
            batch.create("kit", new.fields, id=new.object)

    async def _life(self, device: Device, life: Any) -> None:
        if self.objects:
            id_ = self._some_object()
            if shown(device, id_) is not None:
                kit = device.collection("kit")
                made = kit.delete(id_) if life == "delete" else kit.restore(id_)
                await self._done(device, [Draft(id_, {}, Event(id_, b"", 0, {}, life=life))], made)

    # --- drafts ---

    def _some_object(self) -> str:
        """Mostly one of a few, so that devices meet there."""
        few = self.objects[-_FEW:] if self._chance.random() < 0.3 else self.objects[:_FEW]
        return self._chance.choice(few if self._chance.random() < 0.8 else self.objects)

    def _know(self, id_: str) -> None:
        if id_ not in self.objects:
            self.objects.append(id_)

    def _new(self, device: Device) -> Draft:
        id_ = self._chance.randbytes(16).hex()
        self._know(id_)
        draft = Draft(id_, {}, Event(id_, b"", 0, {}, life="create"))
        self._fill(draft, None, ["title", *self._some(["one", "tags", "seen", "text"])])
        return draft

    def _changed(self, device: Device, id_: str) -> Draft | None:
        record = shown(device, id_)
        if record is None:
            return None
        draft = Draft(id_, {}, Event(id_, b"", 0, {}))
        self._fill(draft, record, self._some(["one", "title", "tags", "seen", "text", "text"]))
        return draft

    def _some(self, names: Sequence[str]) -> list[str]:
        return self._chance.sample(names, self._chance.randrange(1, 3))

    def _fill(self, draft: Draft, record: Record | None, names: Sequence[str]) -> None:
        for name in names:
            if name not in draft.fields:
                _FILLERS[name](self, draft, record)

    def _one(self, draft: Draft, _: Record | None) -> None:
        draft.fields["one"] = draft.event.one = self._word()

    def _title(self, draft: Draft, _: Record | None) -> None:
        draft.fields["title"] = draft.event.title = self._word()

    def _tags(self, draft: Draft, record: Record | None) -> None:
        tag = f"{CANARY}{self._chance.randrange(_TAGS)}"
        if record is None or self._chance.random() < 0.2:
            before = Shown.of(record).tags if record else set()
            target = {tag, f"{CANARY}{self._chance.randrange(_TAGS)}"} ^ before
            draft.fields["tags"] = sorted(target)
            draft.event.added, draft.event.removed = frozenset(target - before), frozenset(before - target)
        elif self._chance.random() < 0.6:
            draft.fields["tags"], draft.event.added = Add(tag), frozenset({tag})
        else:
            draft.fields["tags"], draft.event.removed = Remove(tag), frozenset({tag})

    def _seen(self, draft: Draft, record: Record | None) -> None:
        amount = self._chance.choice([-2, -1, 1, 2, 5])
        draft.event.increment = abs(amount) if record is None else amount
        draft.fields["seen"] = abs(amount) if record is None else Increment(amount)

    def _text(self, draft: Draft, record: Record | None) -> None:
        present = str(record.fields.get("text", "")) if record else ""
        draft.event.typed = self._characters()
        at = self._chance.randrange(len(present) + 1)
        gone = min(self._chance.choice([0, 0, 1, 3]), len(present) - at)
        draft.event.erased = frozenset(present[at : at + gone])
        whole = present[:at] + draft.event.typed + present[at + gone :]
        splice = [SpliceText(at, gone, draft.event.typed)]
        draft.fields["text"] = splice if record and self._chance.random() < 0.7 else whole

    def _word(self) -> str:
        self._typed += 1
        return f"{CANARY}{self._typed}w"

    def _characters(self) -> str:
        count = self._chance.randrange(1, 6)
        start, self._typed = self._typed, self._typed + count
        plane = 0 if self._chance.random() < 0.8 else 0x20000 - _FIRST_CHARACTER
        return "".join(chr(_FIRST_CHARACTER + plane + n) for n in range(start, start + count))

    # --- what is done ---

    async def _done(self, device: Device, drafts: Sequence[Draft], made: Awaitable[Any]) -> None:
        """Wait for it and note what it did; raises `Crashed` where that is all that is known."""
        before = _counter(device)
        try:
            await made
        except Crashed as crash:
            if crash.taken:
                self._note(device, drafts, before)
            raise
        self._note(device, drafts, before)

    def _note(self, device: Device, drafts: Sequence[Draft], before: int) -> None:
        """Read what was written from the outbox: which change it was and what its writer had seen."""
        after = _counter(device)
        if after == before:
            return  # there was nothing to do
        assert after - before == len(drafts), f"{after - before} changes for {len(drafts)} edits"
        own = device._replica.identity.device
        for counter, draft in enumerate(drafts, before + 1):
            row = device._replica.database.row(
                "SELECT change, wall_ms, logical FROM outbox WHERE counter = ?", counter
            )
            assert row is not None, "nothing is confirmed in the moment in which it is done"
            change = read_change(row[0], counter)
            past = {**dict(change.context), own: counter - 1}
            if self.brought_back or _reads_again(device):
                past = {**join_vectors(past, _inside(device, change.object)), own: counter - 1}
            found = replace(
                draft.event,
                device=own,
                counter=counter,
                past=past,
                claim=row[1:],
                made_ms=self._now_ms(),
                leaf=sha256(row[0]).digest(),
            )
            self.expected.add(found)


_FILLERS: Final = {
    "one": Edits._one,
    "title": Edits._title,
    "tags": Edits._tags,
    "seen": Edits._seen,
    "text": Edits._text,
}


def shown(device: Device, id_: str) -> Record | None:
    """An object as the device shows it at this very moment."""
    try:
        return reading.get(device._replica.database, "kit", bytes.fromhex(id_))
    except EcholiaError as error:
        assert error.code == "object_unknown"  # noqa: PT017
        return None


def _inside(device: Device, object_: bytes) -> dict[bytes, int]:
    """The edits that are inside what is shown of an object."""
    raw = device._replica.database.value(
        "SELECT coalesce(shown, confirmed) FROM objects WHERE id = ?", object_
    )
    return decode(raw).dots


def _reads_again(device: Device) -> bool:
    """Whether it reads its log from the start; till it has, it shows more than what it has read."""
    return device._replica.database.get("rebase") is not None


def vector_of(device: Device, id_: str) -> dict[bytes, int]:
    """The version vector of what the device shows of an object at this very moment."""
    database = device._replica.database
    heads = {each: head.counter for each, head in ledger.heads(database).items()}
    if _reads_again(device):
        heads = join_vectors(heads, _inside(device, bytes.fromhex(id_)))
    return {**heads, device._replica.identity.device: _counter(device)}


def wrong_on(device: Device, expected: Expectations, id_: str, events: list[Event]) -> list[str]:
    """What the device shows of an object otherwise than it must, if these are the edits of it that it has."""
    record = shown(device, id_)
    if record is None:
        return ["it is not there"] if any(event.counts for event in events) else []
    return expected.wrong(events, Shown.of(record))


def _counter(device: Device) -> int:
    replica = device._replica
    return ledger.local_head(replica.database, replica.identity.account, replica.identity.device).counter
