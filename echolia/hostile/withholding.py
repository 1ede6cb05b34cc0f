"""Withholding: the log as it was, while all that comes in is taken and kept from view."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from echolia.client.transport import Answer
from echolia.core.ids import b64, device_id
from echolia.hostile.branch import Branch
from echolia.hostile.exchange import Exchange, document
from echolia.hostile.lie import Lie
from echolia.hostile.records import Book
from echolia.hostile.second_log import Shared, all_but_last, everything, fits, served_page


class Withheld(Lie):
    """Shows a device the log as it was when this began, and what it wrote directly behind that itself.

    `shows_acks`: what the others acknowledged is not hidden. `runs`: how many there were then.
    """

    def __init__(self, *, shows_acks: bool = False, runs: Shared = everything) -> None:
        self._shows_acks, self._runs = shows_acks, runs
        self._began: dict[bytes, int] = {}

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if exchange.what not in {"POST /sync/pull", "GET /sync/status", "GET /sync/checkpoint"}:
            return await exchange.honest()
        book = await exchange.book()
        log = self._shown(book, exchange.asker.device)
        if exchange.what == "POST /sync/pull":
            return served_page(log, exchange)
        if exchange.what == "GET /sync/checkpoint":
            return document({"checkpoints": []})
        head = {"seq": log.head.seq, "log": b64(log.head.log)}
        return document({**book.status, "head": head, "acks": self._acks(book, log)})

    def _shown(self, book: Book, device: bytes) -> Branch:
        began = self._began.setdefault(book.account, self._runs(book, frozenset()))
        own = takewhile(lambda run: run.header.device == device, book.runs[began:])
        return Branch(book.base, [*book.runs[:began], *own])

    def _acks(self, book: Book, log: Branch) -> list[dict[str, Any]]:
        return book.acks if self._shows_acks else [ack for ack in book.acks if fits(log, ack)]


class OldBeginning(Lie):
    """Shows devices that come after it began a beginning of the log, and no acknowledgement beyond it."""

    def __init__(self) -> None:
        self._shown = Withheld(runs=all_but_last)
        self._members: dict[bytes, int] = {}

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        book = await exchange.book()
        began = self._members.setdefault(book.account, len(book.entries))
        keys = [
            fields["device"] for fields in book.entry_fields()[:began] if fields["type"] in {"genesis", "add"}
        ]
        known = exchange.asker.device in {device_id(each["sign"], each["box"]) for each in keys}
        return await (exchange.honest() if known else self._shown.answer(exchange))
