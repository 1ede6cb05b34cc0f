"""Editing: one transaction moves the clock, the object, its sealed change and the search index together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from echolia.client import ledger, objects
from echolia.client.database import Database
from echolia.client.environment import Environment
from echolia.client.history import Occasion
from echolia.client.identity import Identity
from echolia.client.objects import ObjectRow
from echolia.core.clock import Stamp, tick
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, encode, join, renewed
from echolia.core.runs import DELTA, STATE
from echolia.e2ee import sealing
from echolia.e2ee.sealing import Draft, ObjectKey

# Below this many bytes of deltas a whole state is not worth its size.
_OUTGROWN_BYTES = 4096
_MAX_CONTEXT = 255

# Given the state that is shown (None: no such object), the new dot and stamp: what the change says.
# None: nothing to say. A state that is whole supersedes what its writer has seen.
Make = Callable[[ObjectState | None, Dot, Stamp], ObjectState | None]


@dataclass(frozen=True, slots=True)
class Written:
    """What an edit came to: the object, and whether it newly waits for a decision."""

    object: bytes
    waits: bool = False


class Editor:
    """The edits of one transaction. Use it inside `Database.transaction` and end it by `finish`.

    Counter and chain are given at edit time and leave with the transaction or not at all, so a change that
    was ever sealed under a counter is the only one that this device ever has under it.
    """

    def __init__(self, database: Database, identity: Identity, environment: Environment) -> None:
        self._database, self._identity, self._environment = database, identity, environment
        self._head = ledger.local_head(database, identity.account, identity.device)
        heads = ledger.heads(database)
        own = (heads.pop(identity.device, None), ledger.former_heads(database).get(identity.device))
        self._logged = max((head.counter for head in own if head), default=0)
        self._context = {device: heads[device].counter for device in sorted(heads)[:_MAX_CONTEXT]}
        self._stamp = Stamp(*(database.row("SELECT wall_ms, logical FROM clock") or (0, 0)))
        self._now_ms = environment.now_ms()

    def edit(
        self, id_: bytes, collection: str, make: Make, *, whole: bool = False, apart: bool = False
    ) -> Written | None:
        """Make one change of an object; None if there is nothing to change.

        `whole`: what `make` gives is the whole object. `apart`: what was shown before is a version of its own
        in the history, however little time has passed. Raises `object_quarantined`, `object_unknown` for an
        object of another collection, and what `make` raises.
        """
        if objects.is_quarantined(self._database, id_):
            raise EcholiaError("object_quarantined")
        row = objects.load(self._database, id_)
        if row is not None and row.collection != collection:
            raise EcholiaError("object_unknown")
        current = self._shown(row)
        dot, stamp = Dot(self._identity.device, self._head.counter + 1), tick(self._stamp, self._now_ms)
        part = make(current, dot, stamp)
        if part is None:
            return None
        if whole:
            part = renewed(part, lambda written: self._unlogged(written, dot), dot)
        shown = part if current is None or whole else join(current, part)
        return self._keep(row or ObjectRow(id_, collection), dot, stamp, part, shown, apart)

    def _unlogged(self, written: Dot, dot: Dot) -> bool:
        """Whether it is this device's own write that the log does not hold yet."""
        return written.device == dot.device and written.counter > self._logged

    def _shown(self, row: ObjectRow | None) -> ObjectState | None:
        """What is shown of an object; of the one that was edited last its texts are still open."""
        last = self._database.edited
        if row is not None and last is not None and last[0] == row.present:
            return last[1]
        return row.state() if row else None

    def finish(self) -> None:
        """Keep the clock."""
        self._database.run("INSERT OR REPLACE INTO clock VALUES (0, ?, ?)", *self._stamp)

    def _keep(
        self, row: ObjectRow, dot: Dot, stamp: Stamp, part: ObjectState, shown: ObjectState, apart: bool
    ) -> Written:
        plaintext, kind, row = self._plaintext(row, part, shown)
        key = self._object_key(row)
        draft = Draft(
            dot.counter, kind, row.id, self._identity.stream(row.collection), self._context, plaintext
        )  # fmt: skip
        change = sealing.seal(
            self._identity.secrets, self._identity.device, draft, key, self._environment.dice
        )  # fmt: skip
        row = replace(row, generation=key.generation, wrapped=key.wrapped, updated_ms=self._now_ms)
        row = row.with_pending(shown, plaintext if kind == STATE else None)
        declared = self._identity.declared.get(row.collection)
        occasion = Occasion(dot.device, self._now_ms, apart)
        waits = objects.save(self._database, row, shown, declared, occasion)
        self._database.edited = (row.present or b"", shown)
        self._append(row.id, dot.counter, change, plaintext, stamp)
        return Written(row.id, waits)

    def _plaintext(
        self, row: ObjectRow, part: ObjectState, shown: ObjectState
    ) -> tuple[bytes, int, ObjectRow]:
        """What to seal and as what: a whole state for a first write, a deletion, or outgrown deltas."""
        if part is shown:
            plaintext = encode(part)
            if row.present is not None and len(plaintext) > sealing.MAX_PLAINTEXT_BYTES:
                # Nobody should have to keep an object because it has grown too large to be carried whole.
                plaintext = encode(replace(part, fields={}))
                return plaintext, DELTA, replace(row, delta_bytes=row.delta_bytes + len(plaintext))
            return plaintext, STATE, replace(row, state_bytes=len(plaintext), delta_bytes=0)
        delta = encode(part)
        grown = row.delta_bytes + len(delta)
        if row.shown is None and grown > max(row.state_bytes, _OUTGROWN_BYTES):
            plaintext = encode(shown)
            if len(plaintext) <= sealing.MAX_PLAINTEXT_BYTES:
                return plaintext, STATE, replace(row, state_bytes=len(plaintext), delta_bytes=0)
        return delta, DELTA, replace(row, delta_bytes=grown)

    def _object_key(self, row: ObjectRow) -> ObjectKey:
        secrets, dice = self._identity.secrets, self._environment.dice
        if not row.wrapped:
            return sealing.new_object_key(secrets, row.id, dice)
        known = sealing.unwrap(secrets, row.id, row.generation, row.wrapped)
        return sealing.rewrap(secrets, row.id, known, dice)

    def _append(self, id_: bytes, counter: int, change: bytes, plaintext: bytes, stamp: Stamp) -> None:
        chain = ledger.chained(self._head.chain, change)
        self._database.run(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)", counter, id_, change, plaintext, chain, *stamp
        )
        self._head, self._stamp = ledger.LocalHead(counter, chain), stamp
