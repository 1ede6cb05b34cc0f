"""How a home stands, as programs get it: status, devices, notices, evidence, what the server knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from echolia.client.reports import Brake, Held, Kept

NoticeCode: TypeAlias = Literal["identity_renewed", "server_restored", "device_added", "phrase_replaced"]


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
class Notice:
    """What a person should be told once: its number, what happened, and when (ms since 1970).

    `identity_renewed`: this home was copied or came back from a backup, so it took a new device id.
    `server_restored`: the server came back from a backup, and what it had lost was brought back from here.
    """

    n: int
    code: NoticeCode
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

    `synced_seq` is how far it says, signed, that it has verified the log; None if it never said. `added_by`
    is empty for the first one and for what the phrase added; `confirmed`: those, or another one has said that
    it belongs here.
    """

    id: str
    this: bool
    added_n: int
    revoked: bool
    counter: int
    synced_seq: int | None = None
    confirmed: bool = True
    added_by: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How this home stands, without asking the server.

    `not_everywhere` counts the objects whose newest version some device does not hold, as far as is known
    (`Receipt`); `brake` is the mass change that waits for a decision. `secrets` says how they are kept (see
    `Device.keep_secrets`).
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
    notices: tuple[Notice, ...] = ()
    late: int = 0
    generation: int = 1
    drilled_ms: int | None = None
    secrets: Kept = "file"
    recovered: int = 0
    held: Held | None = None
    not_everywhere: int = 0
    brake: Brake | None = None
