"""Applying: verified runs become objects, in one transaction with the log position that they lead to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from echolia.client import history, ledger, live_changes, objects, places
from echolia.client.database import Database
from echolia.client.environment import Environment
from echolia.client.formers import Formers
from echolia.client.history import Occasion
from echolia.client.identity import Identity
from echolia.client.objects import ObjectRow
from echolia.client.verifier import VerifiedRun
from echolia.core.clock import CLAMPED_LOGICAL, Stamp, settled
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, clamp, close, decode, encode, join
from echolia.core.push import WHOLE
from echolia.core.runs import STATE, Change, read_change
from echolia.e2ee import sealing

_UNREADABLE = frozenset({"body_unreadable", "body_invalid", "key_missing"})
# Of how many objects the texts stay open while a page is applied: those that change again and again.
_MOST_OPEN = 16


@dataclass(slots=True)
class _Working:
    """An object while a page is applied; `pending`: own changes are, or were, on top of what is confirmed.

    `trial` is all of it joined, so that a change which does not fit the pending ones is met when it is taken.
    `device` wrote the last change that was taken; `others` are the devices whose changes it took in.
    """

    row: ObjectRow
    confirmed: ObjectState | None = field(repr=False)
    pending: bool
    device: bytes
    trial: ObjectState | None = field(default=None, repr=False)
    touched: bool = False
    others: set[bytes] = field(default_factory=set)

    def close(self) -> None:
        """Let go of open texts."""
        for state in (self.confirmed, self.trial):
            if state is not None:
                close(state)


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did; ids are bytes."""

    changes: int
    own: int
    quarantined: int
    changed: frozenset[bytes]
    conflicts: frozenset[bytes]


class Applier:
    """Applies the runs of one page; use it inside `Database.transaction` and end it by `finish`.

    `formers`, if given, is told of each object that others changed before it is saved. `keys_may_come`: a
    change of a key that is not known here raises `key_missing`, for there may be a newer one by now; else it
    is set aside as what cannot be read.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        environment: Environment,
        formers: Formers | None = None,
        *,
        keys_may_come: bool = False,
    ) -> None:
        self._database, self._identity, self._formers = database, identity, formers
        self._unreadable = _UNREADABLE - {"key_missing"} if keys_may_come else _UNREADABLE
        self._now_ms = environment.now_ms()
        self._working: dict[bytes, _Working] = {}
        self._open: OrderedDict[bytes, _Working] = OrderedDict()
        self._changes = self._own = self._quarantined = 0
        self._last_ms, self._in_order = 0, True

    def apply(self, run: VerifiedRun) -> None:
        """One run: another device's, or this device's own coming back."""
        header = run.header
        settled_here = self.confirm(header.device, header.last, run.chain, run)
        if run.form != WHOLE and len(settled_here) < header.count:
            raise EcholiaError("server_invalid", "a run was left out that was asked for")
        ledger.advance(self._database, run)
        taken = [change for change in run.changes if change.counter not in settled_here]
        places.note(self._database, run, ((change.counter, change.object) for change in taken))
        for change in taken:
            live_changes.note(self._database, header.device, change)
            self._take(header.device, change, run.received_ms)
        self._last_ms = run.received_ms

    def apply_base(self, run: VerifiedRun) -> None:
        """One run of those that a checkpoint starts from: the later ones came before it."""
        self._in_order = False
        places.note(self._database, run, ((change.counter, change.object) for change in run.changes))
        for change in run.changes:
            counts = live_changes.note_backwards(self._database, run.header.device, change)
            if counts or objects.is_quarantined(self._database, change.object):
                self._take(run.header.device, change, run.received_ms)
        self._last_ms = max(self._last_ms, run.received_ms)

    def retry(self) -> None:
        """Look again at what was quarantined for want of a key."""
        for device, counter, raw, received_ms in self._database.rows(
            "SELECT device, counter, change, received_ms FROM quarantine WHERE code = 'key_missing'"
        ):
            change = read_change(raw, counter)
            if change.generation in self._identity.secrets.keys:
                self._database.run(
                    "DELETE FROM quarantine WHERE device = ? AND counter = ?", device, counter
                )  # fmt: skip
                self._take(device, change, received_ms)

    def finish(self) -> Applied:
        """Write the objects that changed, and settle the clock."""
        saved = {id_: working for id_, working in self._working.items() if working.touched}
        conflicts = frozenset(id_ for id_, working in saved.items() if self._save(working))
        if self._last_ms:
            pending = self._database.rows(
                "SELECT wall_ms, logical FROM outbox ORDER BY wall_ms DESC, logical DESC LIMIT 1"
            )
            stamp = settled(Stamp(self._last_ms, CLAMPED_LOGICAL), (Stamp(*row) for row in pending))
            self._database.run("INSERT OR REPLACE INTO clock VALUES (0, ?, ?)", *stamp)
        return Applied(self._changes, self._own, self._quarantined, frozenset(saved), conflicts)

    def confirm(
        self, device: bytes, last: int, chain: bytes, run: VerifiedRun | None = None
    ) -> frozenset[int]:
        """The log holds a device's changes up to `last`: of this device's, they leave the outbox.

        Their content is taken from there, unless it comes with a checkpoint (`run` is None). Gives their
        counters. Raises `device_fork` if the log has changes by this device that it did not write.
        """
        if device != self._identity.device:
            return frozenset()
        self._check_own(last, chain)
        sent = self._database.rows(
            "SELECT counter, object, plaintext, change FROM outbox WHERE counter <= ? ORDER BY counter", last
        )
        self._database.run("DELETE FROM outbox WHERE counter <= ?", last)
        if run is not None:
            places.note(self._database, run, ((counter, id_) for counter, id_, *_ in sent))
        for counter, id_, plaintext, raw in sent:
            working = self._work(id_, "")
            working.touched = True
            if run is not None:
                change = read_change(raw, counter)
                live_changes.note(self._database, device, change)
                state = self._clamped(objects.read_state(plaintext), device, counter, run.received_ms, run)
                self._join_own(working, state, change, run.received_ms)
        self._own += len(sent)
        return frozenset(counter for counter, *_ in sent) if run is not None else frozenset()

    def _check_own(self, last: int, chain: bytes) -> None:
        head = ledger.local_head(self._database, self._identity.account, self._identity.device)
        expected = self._database.value("SELECT chain FROM outbox WHERE counter = ?", last)
        if expected is None and last == head.counter:
            expected = head.chain
        # Signed by this device's key and not written here: another copy of this home is in use.
        if last > head.counter or (expected is not None and expected != chain):
            raise EcholiaError("device_fork", f"counter {last}")

    def _join_own(self, working: _Working, state: ObjectState, change: Change, received_ms: int) -> None:
        working.touched, held = True, working.confirmed
        try:
            working.confirmed = _joined(held, state)
        except EcholiaError as error:
            if error.code not in _UNREADABLE:
                raise
            # What was logged before contradicts it: every other device sets it aside, so this one has to.
            self._set_aside(self._identity.device, change, error.code, received_ms)
        else:
            self._keep_losers(held, state, self._identity.device, change, received_ms)

    def _take(self, device: bytes, change: Change, received_ms: int) -> None:
        self._changes += 1
        try:
            plaintext, key = sealing.open_change(self._identity.secrets, device, change)
            state = self._checked(decode(plaintext), device, change)
            working = self._work(change.object, state.collection)
            held, state = working.confirmed, self._clamped(state, device, change.counter, received_ms)
            self._join(working, state)
            if device != self._identity.device:
                working.others.add(device)
        except EcholiaError as error:
            if error.code not in self._unreadable:
                raise
            self._set_aside(device, change, error.code, received_ms)
            return
        self._keep_losers(held, state, device, change, received_ms)
        row, working.device = working.row, device
        if not row.wrapped:
            row = replace(row, generation=key.generation, wrapped=key.wrapped)
        size, whole = len(plaintext), change.kind == STATE
        working.row = replace(
            row,
            updated_ms=max(row.updated_ms, min(received_ms, self._now_ms)),
            state_bytes=size if whole else row.state_bytes,
            delta_bytes=0 if whole else row.delta_bytes + size,
        )

    def _checked(self, state: ObjectState, device: bytes, change: Change) -> ObjectState:
        if state.dots.get(device) != change.counter:
            raise EcholiaError("body_invalid", "the state does not hold its own change")
        if self._identity.secrets.stream(state.collection) != change.stream:
            raise EcholiaError("body_invalid", "the state is of another collection")
        return state

    def _clamped(
        self,
        state: ObjectState,
        device: bytes,
        counter: int,
        received_ms: int,
        run: VerifiedRun | None = None,
    ) -> ObjectState:
        first = run.header.first if run else counter

        def received(dot: Dot) -> int:
            if dot.device == device and first <= dot.counter <= counter:
                return received_ms
            # Whatever a change carries was logged before it: that bounds even a dot that nobody logged.
            logged = ledger.received_ms(self._database, dot.device, dot.counter)
            return received_ms if logged is None else min(logged, received_ms)

        return clamp(state, received)

    def _work(self, id_: bytes, collection: str) -> _Working:
        working = self._working.get(id_)
        if working is None:
            row = objects.load(self._database, id_)
            confirmed = objects.read_state(row.confirmed) if row and row.confirmed is not None else None
            pending = row is not None and row.shown is not None
            working = _Working(
                row or ObjectRow(id_, collection), confirmed, pending, self._identity.device
            )  # fmt: skip
            self._working[id_] = working
        self._open[id_] = working
        self._open.move_to_end(id_)
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return working

    def _join(self, working: _Working, state: ObjectState) -> None:
        after = _joined(working.confirmed, state)
        if working.pending:
            # Raises here, where it harms one change alone. One join a change: the pending ones may be many.
            trial = working.trial or _all_joined(working.confirmed, self._pending(working.row.id))
            working.trial = state if trial is None else join(trial, state)
        working.confirmed, working.touched = after, True

    def _set_aside(self, device: bytes, change: Change, code: str, received_ms: int) -> None:
        self._quarantined += 1
        self._database.run(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?)",
            device, change.counter, change.object, code, change.header + change.body, received_ms,
        )  # fmt: skip

    def _save(self, working: _Working) -> bool:
        confirmed = working.confirmed
        raw = None if confirmed is None else encode(confirmed)
        pending = self._pending(working.row.id) if working.pending else []
        shown = _all_joined(confirmed, pending)
        if shown is None:
            objects.remove(self._database, working.row)
            return False
        row = replace(working.row, confirmed=raw, collection=shown.collection)
        if not pending and self._last_ms:
            # A clock that was ahead when this was written counts no more now that the log has it all.
            row = replace(row, updated_ms=min(row.updated_ms, self._last_ms))
        row = row.with_pending(shown if pending else None)
        declared = self._identity.declared.get(row.collection)
        if self._formers is not None:
            self._formers.note(row, working.others, shown, declared)
        return objects.save(self._database, row, shown, declared, self._occasion(working))

    def _occasion(self, working: _Working) -> Occasion | None:
        """Who changes what is shown; None where this is but the next piece of what one sync brings."""
        row, session = working.row, working.row.session
        if row.n is not None and session.device != self._identity.device:
            synced_ms = self._database.get("last_sync_ms") or 0
            if session.begun_ms > synced_ms:
                return None
        return Occasion(working.device, self._now_ms)

    def _keep_losers(
        self, held: ObjectState | None, state: ObjectState, device: bytes, change: Change, received_ms: int
    ) -> None:
        if self._in_order:
            seen = {**change.context, device: change.counter}
            history.keep_losers(
                self._database, change.object, held, state, seen, received_ms, self._now_ms
            )  # fmt: skip

    def _pending(self, id_: bytes) -> list[ObjectState]:
        """What is shown besides what is confirmed: unsent changes, and what was confirmed before a rebase."""
        rows = self._database.rows(
            "SELECT plaintext FROM outbox WHERE object = ?1"
            " UNION ALL SELECT confirmed FROM rebase_confirmed WHERE object = ?1",
            id_,
        )
        return [objects.read_state(plaintext) for (plaintext,) in rows]


def _joined(before: ObjectState | None, state: ObjectState) -> ObjectState:
    if before is not None and before.collection != state.collection:
        raise EcholiaError("body_invalid", "an object stays in its collection")
    return state if before is None else join(before, state)


def _all_joined(confirmed: ObjectState | None, pending: Iterable[ObjectState]) -> ObjectState | None:
    shown = confirmed
    for state in pending:
        shown = state if shown is None else join(shown, state)
    return shown
