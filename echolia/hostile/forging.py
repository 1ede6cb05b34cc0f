"""Forging: runs and entries taken apart, changed and put together again, without their writers' keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias

from nacl.bindings import crypto_scalarmult_base, crypto_sign_seed_keypair
from nacl.signing import SigningKey

from echolia.core import runs
from echolia.core.ids import device_id
from echolia.core.positions import LogPosition
from echolia.core.push import WHOLE, Page
from echolia.core.runs import Change, RunHeader
from echolia.hostile.exchange import Exchange
from echolia.hostile.lie import ChangePage, with_item

EditFrame: TypeAlias = Callable[[bytes, Exchange], bytes]
EditChange: TypeAlias = Callable[[Change], bytes]


def parts(frame: bytes) -> tuple[RunHeader, list[Change]]:
    """A frame's header and changes."""
    header = runs.read_header(frame)
    return header, list(runs.read_changes(frame, header, runs.change_ends(frame, header)))


def joined(header: RunHeader, changes: list[bytes]) -> bytes:
    """The frame of these changes."""
    return header.pack() + b"".join(changes)


def raw(change: Change, **fields: Any) -> bytes:
    """A change's bytes with other fields; the header follows from them."""
    change = change._replace(**fields)
    header = runs.change_header(
        change.kind, change.generation, change.object, change.stream, change.context, len(change.body)
    )  # fmt: skip
    return header + change.body


def in_first_run(edit: EditFrame) -> ChangePage:
    """Edit the first run of a page that is there whole, if any is."""

    def change(page: Page, exchange: Exchange) -> Page:
        at = next((n for n, item in enumerate(page.items) if item.form == WHOLE), None)
        if at is None:
            return page
        return with_item(page, at, content=edit(bytes(page.items[at].content), exchange))

    return change


def in_a_change(edit: EditChange) -> ChangePage:
    """Edit the change with the longest body of those that a page brings."""

    def change(page: Page, exchange: Exchange) -> Page:
        found = [
            (len(each.body), at, n)
            for at, item in enumerate(page.items)
            for n, each in enumerate(parts(bytes(item.content))[1] if item.form == WHOLE else [])
        ]
        if not found:
            return page
        _, at, which = max(found)
        header, changes = parts(bytes(page.items[at].content))
        written = [edit(each) if n == which else raw(each) for n, each in enumerate(changes)]
        return with_item(page, at, content=joined(header, written))

    return change


@dataclass(frozen=True, slots=True)
class Ghost:
    """A device that nobody of the account added, with keys of the operator's own."""

    seed: bytes = field(repr=False)

    @property
    def sign(self) -> bytes:
        """Its Ed25519 public key."""
        return crypto_sign_seed_keypair(self.seed)[0]

    @property
    def box(self) -> bytes:
        """Its X25519 public key."""
        return crypto_scalarmult_base(sha256(self.seed).digest())

    @property
    def device(self) -> bytes:
        """Its id, which its keys make."""
        return device_id(self.sign, self.box)

    def signed(self, message: bytes) -> bytes:
        """Its signature."""
        return SigningKey(self.seed).sign(message).signature

    def run(self, account: bytes, change: bytes, seen: LogPosition) -> bytes:
        """The frame of its first run, one change, signed as it should be."""
        start = runs.chain_start(account, self.device)
        chain = runs.fold(start, [sha256(change).digest()])
        header = RunHeader(runs.SUITE, self.device, 1, 1, start, seen, bytes(64))
        return joined(header._replace(signature=self.signed(header.message(account, chain))), [change])
