"""What the device tells whoever uses it: records, progress, and how things stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from echolia.core.merge import Value

Phase: TypeAlias = Literal["devices", "push", "pull", "ack"]
# How a home's secrets are kept.
Kept: TypeAlias = Literal["file", "keychain", "passphrase"]
Put: TypeAlias = Literal["new", "updated", "unchanged", "in_trash"]


def titled(fields: Mapping[str, Value]) -> str:
    """What names an object that shows these fields; see `Record.title`."""
    named = (fields.get(name) for name in ("title", "name", "content"))
    return next((value for value in named if isinstance(value, str) and value), "")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values that stand side by side in a field: who wrote it, with which counter.

    `at_ms` is when the log received it (ms since 1970); None while it is not on the server, or if that was
    long ago. `device` is empty for what several have written together, as a set.
    """

    value: Value = field(repr=False)
    device: str
    counter: int
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An object as a person sees it.

    `id` is 32 lower-case hexadecimal digits. In `fields` a set is a list, a text or `multi` its value; a
    field in conflict shows one value there and all of them in `conflicts`. `updated_ms` is when this
    device wrote or received the newest change (ms since 1970). `pending`: not all of it is on the server yet.
    """

    id: str
    collection: str
    fields: Mapping[str, Value] = field(repr=False)
    alive: bool = True
    recovered: bool = False
    conflicts: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict, repr=False)
    updated_ms: int = 0
    pending: bool = False
    quarantined: bool = False

    @property
    def title(self) -> str:
        """The field that names it: `title`, `name` or `content`, whichever there is first; else nothing."""
        return titled(self.fields)


@dataclass(frozen=True, slots=True)
class Version:
    """What an object showed before, or (a `loser`) a value that lost to a write which had not seen it.

    `id` is a number of this device's. `device` wrote it, as far as is known ("" if not), and `at_ms` is when,
    or when the log received it; until `until_ms`, by this device's clock, when `replaced_by` wrote something
    else ("": several did). `fields` and `conflicts` are as in a `Record`; a loser has its one field.
    """

    id: int
    kind: Literal["version", "loser"]
    fields: Mapping[str, Value] = field(repr=False)
    device: str
    at_ms: int | None
    until_ms: int
    replaced_by: str
    conflicts: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Sides:
    """A field in conflict: the values that compete, and a text that keeps what each says, if all are texts.

    `mixed`: the field was declared with different policies, and what is shown is one of several parts.
    """

    choices: tuple[Choice, ...]
    merged: str | None = field(repr=False)
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote something, with which counter, and when the log received it (see `Choice`)."""

    device: str
    counter: int
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """An object that waits for a decision.

    Alive, it has `sides`, by field. Recovered, it lies in the Trash: `deletion` did not know of `edits`.
    Late, it was edited here while this device was away for so long that the log was compacted meanwhile:
    `others` is what the fields would read without that, and the device came back at `back_ms`.
    """

    record: Record
    sides: Mapping[str, Sides] = field(default_factory=dict)
    deletion: Origin | None = None
    edits: tuple[Origin, ...] = ()
    others: Mapping[str, Value] | None = field(default=None, repr=False)
    back_ms: int | None = None

    @property
    def kind(self) -> Literal["values", "recovered", "late"]:
        """What is to be decided: which value holds, whether the object comes back, or late edits stay."""
        if self.others is not None:
            return "late"
        return "recovered" if self.record.recovered else "values"


@dataclass(frozen=True, slots=True)
class Source:
    """What an object says it comes from: the `record` if it is here, and otherwise where it is.

    "trash": it lies in the Trash here. "gone": it was here, and what made it counts no more. "not_here": it
    has not arrived, or never will; nobody can tell.
    """

    id: str
    standing: Literal["here", "trash", "gone", "not_here"]
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A search result; `snippet` is the line of the first match, `matches` (start, end) positions in it."""

    record: Record
    snippet: str = field(repr=False)
    matches: tuple[tuple[int, int], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changed:
    """What a sync or an edit changed: ids of objects; in `conflicts` those that newly wait for a decision.

    That is objects with a field whose values compete, and recovered ones (see `Device.conflicts`).
    `braked`: a mass change of other devices was stopped just now (`Device.brake`); it is told once.
    """

    objects: frozenset[str]
    conflicts: frozenset[str] = frozenset()
    braked: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sync is: changes done, of how many (None: not known yet), and bytes moved in this phase."""

    phase: Phase
    done: int
    total: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of something is used, and how much there may be (None: as much as there is room for).

    Deleting may exceed the limit by `reserve`.
    """

    used: int
    limit: int | None
    reserve: int = 0

    @property
    def room(self) -> int | None:
        """How much is left; None if there is no limit."""
        return None if self.limit is None else max(0, self.limit - self.used)

    @property
    def percent(self) -> int:
        """How much of it is used, in whole percent, rounded down; 0 if there is no limit."""
        return self.used * 100 // self.limit if self.limit else 0


@dataclass(frozen=True, slots=True)
class Quota:
    """What the server lets this account have, by its tier: bytes, objects, and changes a minute."""

    tier: str
    bytes: Allowance
    objects: Allowance
    changes_per_minute: Allowance

    def share(self, what: str) -> Allowance | None:
        """The allowance of that name; None for another name."""
        named = {"bytes": self.bytes, "objects": self.objects, "changes_per_minute": self.changes_per_minute}
        return named.get(what)


@dataclass(frozen=True, slots=True)
class Held:
    """Why changes wait here: the server takes no more of them for now. Nothing is lost, and pulling goes on.

    `code`: `quota_exceeded` (the account is full), `storage_full` (the server's disk is), `rate_limited` (too
    much within a minute) or `body_too_large` (one change is larger than the account may ever be). `what` is
    the `Quota`'s allowance that is used up, or "" if it is none of them. `waiting` counts changes;
    `retry_after_s` is how long the server asks to wait.
    """

    code: str
    what: str
    allowance: Allowance | None
    retry_after_s: float
    waiting: int = 0

    @property
    def room(self) -> int | None:
        """How much was left; None if that was not told."""
        return None if self.allowance is None else self.allowance.room


@dataclass(frozen=True, slots=True)
class Rewound:
    """What a rewind came to, in objects: taken out of the Trash, set back, and left as they are.

    Left is what was edited here since, cannot be read, or is of a collection that is not declared here.
    """

    restored: int
    set_back: int
    left: int


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync did. `pushed` and `pulled` count changes; `quarantined` those that could not be read.

    `held` says what the server would not take: everything else was done. `quota` is as the server told it
    before the pushes; None if it tells none.
    `rewound` is given where it carried out a decision to rewind.
    """

    pushed: int
    pulled: int
    quarantined: int
    changed: Changed
    epoch: int
    seq: int
    quota: Quota | None = None
    held: Held | None = None
    rewound: Rewound | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """An object alive here that a mass change would delete, or else overwrite; `title` is what it shows."""

    object: str
    title: str = field(repr=False)
    deleted: bool


@dataclass(frozen=True, slots=True)
class Brake:
    """A mass change of other devices that waits for a decision; nothing of it was applied.

    Of `held` objects alive here it would delete `deletions` and overwrite `overwrites`, with what was applied
    within the hour before where that belongs to it. `complete`: all that waits was counted, else at least
    these. `devices` gives each device's deletions and overwrites; `examples` are some of the objects.
    """

    at_ms: int
    held: int
    deletions: int
    overwrites: int
    complete: bool
    devices: Mapping[str, tuple[int, int]]
    examples: tuple[Loss, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Which devices hold the newest version of an object: ids, as their signed acknowledgements say.

    Acknowledgements are asked for at the start of a sync, so it is as fresh as the last one. `pending`: that
    version is not on the server yet, so it is on this device only.
    """

    on: tuple[str, ...]
    lacking: tuple[str, ...]
    pending: bool

    @property
    def devices(self) -> int:
        """How many devices the account has, revoked ones aside."""
        return len(self.on) + len(self.lacking)
