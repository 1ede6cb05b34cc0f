"""What the device tells whoever uses it: records, progress, and how things stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from echolia.core.merge import Value

Phase: TypeAlias = Literal["devices", "push", "pull", "ack"]
Put: TypeAlias = Literal["new", "updated", "unchanged", "in_trash"]


def titled(fields: Mapping[str, Value]) -> str:
    """What names an object that shows these fields; see `Record.title`."""
    named = (fields.get(name) for name in ("title", "name", "content"))
    return next((value for value in named if isinstance(value, str) and value), "")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values that stand side by side in a field: who wrote it, with which counter."""

    value: Value = field(repr=False)
    device: str
    counter: int


@dataclass(frozen=True, slots=True)
class Record:
    """An object as a person sees it.

    `id` is 32 lower-case hexadecimal digits. In `fields` a set is a list, a text or `multi` its value; a
    `multi` in conflict shows its first value there and all of them in `conflicts`. `updated_ms` is when this
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
class Found:
    """A search result; `snippet` is the line of the first match, `matches` (start, end) positions in it."""

    record: Record
    snippet: str = field(repr=False)
    matches: tuple[tuple[int, int], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changed:
    """What a sync or an edit changed: ids of objects; in `conflicts` those that newly wait for a decision.

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

    `rewound` is given where it carried out a decision to rewind.
    """

    pushed: int
    pulled: int
    quarantined: int
    changed: Changed
    epoch: int
    seq: int
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


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A change that could not be read, and so the object that refuses edits until it can be."""

    object: str
    device: str
    counter: int
    code: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why this device stopped believing its server: an error code, and when (ms since 1970)."""

    code: str
    detail: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that the server says it has of this account (`spec/ledger.md`).

    `place` is where it lies there; `value` is as JSON has it, None where it is not counted; `what` and `why`
    are for people.
    """

    place: str
    what: str
    value: Any
    why: str


@dataclass(frozen=True, slots=True)
class LoggedDevice:
    """A device of the account: id (hexadecimal), its place in the device log, its last change seen here.

    `synced_seq` is how far it says, signed, that it has verified the log; None if it never said.
    """

    id: str
    this: bool
    added_n: int
    revoked: bool
    counter: int
    synced_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """How this home stands, without asking the server.

    `not_everywhere` counts the objects whose newest version some device does not hold, as far as is known
    (`Receipt`); `brake` is the mass change that waits for a decision.
    """

    account: str
    device: str
    server: str
    home: Path
    objects: Mapping[str, int]
    trash: int
    conflicts: int
    pending: int
    epoch: int
    seq: int
    last_sync_ms: int | None
    quarantined: tuple[Quarantined, ...]
    evidence: tuple[Evidence, ...]
    devices: int
    not_everywhere: int = 0
    brake: Brake | None = None
