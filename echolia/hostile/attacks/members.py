"""Attacks on who is in the account: ghosts, devices kept or hidden, key boxes, another account."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from echolia.client.transport import Answer
from echolia.core import canonical
from echolia.core.device_entries import entry_hash
from echolia.core.ids import b64, unb64
from echolia.core.messages import device_log_message, key_box_message
from echolia.core.positions import log_after
from echolia.core.push import WHOLE, Item, Page
from echolia.core.runs import STATE, change_header
from echolia.hostile.attack import Attack, codes
from echolia.hostile.exchange import Exchange, document
from echolia.hostile.forging import Ghost
from echolia.hostile.lie import Fields, Lie, Pages
from echolia.hostile.records import Book, Logged
from echolia.hostile.second_log import SecondLog

_DEVICES: Final = "GET /auth/devices"
_BODY_BYTES: Final = 256
_PARTED: Final = codes("chain_broken history_forked log_rewritten log_rolled_back")


def _ghost_run(page: Page, exchange: Exchange) -> Page:
    """The page with a run at its end that a ghost wrote and signed, and a head that fits."""
    if page.more:
        return page
    ghost, account = Ghost(exchange.dice(32)), exchange.asker.account
    header = change_header(STATE, 1, exchange.dice(16), exchange.dice(16), {}, _BODY_BYTES)
    logged = Logged.of(ghost.run(account, header + exchange.dice(_BODY_BYTES), page.head), 0)
    last = exchange.records.book(account).runs[-1:]
    at_ms = max((run.received_ms for run in last), default=0) + 1
    head = log_after(page.head, 1, ghost.device, 1, logged.chain, at_ms)
    items = [*page.items, Item(head.seq, at_ms, WHOLE, logged.frame)]
    return Page(False, head, items)


def _append(fields: dict[str, Any], entry: dict[str, Any], ghost: Ghost, signers: Sequence[str]) -> None:
    """Put an entry at the end of a device log that is served, signed by the ghost in everybody's place."""
    raw = canonical.encode({"v": 1, "n": fields["n"], "prev": unb64(fields["head"]), **entry})
    signature = b64(ghost.signed(device_log_message(raw)))
    fields["log"].append({"entry": b64(raw), "signatures": dict.fromkeys(signers, signature)})
    fields["n"], fields["head"] = fields["n"] + 1, b64(entry_hash(raw))


def _ghost_entry(fields: dict[str, Any], exchange: Exchange) -> None:
    ghost, adder = Ghost(exchange.dice(32)), fields["devices"][0]["device"]
    keys = {"sign": ghost.sign, "box": ghost.box}
    entry = {"type": "add", "device": keys, "by": unb64(adder)}
    _append(fields, entry, ghost, (adder, b64(ghost.device)))


def _forged_revocation(fields: dict[str, Any], exchange: Exchange) -> None:
    ghost, device = Ghost(exchange.dice(32)), fields["devices"][-1]["device"]
    entry = {"type": "revoke", "device": unb64(device), "last": 0, "chain": bytes(32), "by": b""}
    _append(fields, entry, ghost, ("recovery",))


def _listed(fields: dict[str, Any], exchange: Exchange) -> None:
    ghost = Ghost(exchange.dice(32))
    keys = {"device": b64(ghost.device), "sign": b64(ghost.sign), "box": b64(ghost.box)}
    fields["devices"].append({**keys, "added_n": 0, "revoked": False})


def _ghost_box(fields: dict[str, Any], exchange: Exchange) -> None:
    """A key box by the ghost, with keys of its own choice for everybody."""
    ghost, box = Ghost(exchange.dice(32)), exchange.dice(200)
    message = key_box_message(exchange.asker.account, 2, ghost.box, box)
    told = {"recipient": b64(exchange.asker.device), "generation": 2, "box": b64(box)}
    forged = {**told, "signature": b64(ghost.signed(message)), "signer": b64(exchange.asker.device)}
    fields["boxes"].insert(0, forged)


class _KeyBoxes(Lie):
    """Keeps no key box that a pairing brings, and has none to give."""

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if exchange.what == "GET /auth/key-boxes":
            return document({"boxes": []})
        confirms = exchange.path.startswith("/auth/pair-device/") and exchange.path.endswith("/confirm")
        return await exchange.honest(exchange.asking(key_boxes=[]) if confirms else None)


def _garbled(answer: Answer) -> Answer:
    """A mailbox's message with one bit changed."""
    fields = json.loads(answer.body)
    message = bytearray(unb64(fields["message"]))
    message[-1] ^= 1
    return document({"message": b64(bytes(message))})


class _Mailbox(Lie):
    """Changes one bit of each message that a pairing's mailbox carries."""

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        answer = await exchange.honest()
        taken = exchange.request.method == "GET" and exchange.path.endswith("/messages")
        return _garbled(answer) if taken and answer.status == 200 else answer


class _FewerEntries(Lie):
    """Hides the device log's newest entries: the last one there is, or all that come after it began."""

    def __init__(self, *, last: bool) -> None:
        self._last = last
        self._until: dict[bytes, int] = {}

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        answer = await exchange.honest()
        if exchange.what != _DEVICES or answer.status != 200:
            return answer
        book = await exchange.book()
        until = self._until.setdefault(book.account, len(book.entries) - self._last)
        return cut_off(answer, book, until)


def cut_off(answer: Answer, book: Book, until: int) -> Answer:
    """A device log that is served, without its entries from `until` on."""
    fields = json.loads(answer.body)
    if until >= fields["n"]:
        return answer
    # It was asked for from some entry on, which the book tells by the first one that came.
    after = book.entries.index(fields["log"][0]) if fields["log"] else until
    head = entry_hash(unb64(book.entries[until - 1]["entry"]))
    fields |= {"log": fields["log"][: max(0, until - after)], "n": until, "head": b64(head), "more": False}
    return replace(answer, body=json.dumps(fields).encode())


class _OtherAccount(Lie):
    """Answers these requests from the books of another account."""

    def __init__(self, *what: str) -> None:
        self._what = what

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if exchange.what not in self._what:
            return await exchange.honest()
        others = (b for b in exchange.records.books.values() if b.account != exchange.asker.account)
        for token in [token for book in others for token in book.tokens.values()]:
            answer = await exchange.honest(replace(exchange.request, authorization=token))
            if answer.status != 401:  # the token may have expired: an operator would make another
                return answer
        return await exchange.honest()


class _Revived(SecondLog):
    """Goes on serving a device that was revoked, and serves what it writes to the others.

    `hidden`: its revocation is kept from whom this is told to; else only from that device itself.
    """

    def __init__(self, *, hidden: bool) -> None:
        super().__init__(lambda later: [each.run for each in later])
        self._hidden = hidden

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        book = await exchange.book()
        revocations = {
            fields["device"]: n for n, fields in enumerate(book.entry_fields()) if fields["type"] == "revoke"
        }
        device = exchange.asker.device
        if not revocations or exchange.asker.account == b"":
            return await exchange.honest()
        if exchange.what != _DEVICES:
            return await super().answer(exchange)
        if device not in revocations and not self._hidden:
            return await exchange.honest()
        token = next(reversed(book.tokens.values()))
        answer = await exchange.honest(replace(exchange.request, authorization=token))
        return cut_off(answer, book, min(revocations.values()))


ATTACKS: Final = (
    Attack(
        "ghost-run", "serves a run of a device that nobody added, in a log that adds up",
        partial(Pages, _ghost_run), codes("ghost_device"),
    ),
    Attack(
        "ghost-entry", "forges a device log entry that adds a device of its own",
        partial(Fields, _DEVICES, _ghost_entry), codes("device_log_invalid"),
    ),
    Attack(
        "forged-revocation", "forges a device log entry that revokes a device in the name of the phrase",
        partial(Fields, _DEVICES, _forged_revocation), codes("device_log_invalid"),
    ),
    Attack(
        "ghost-listed", "lists a device of its own beside the device log",
        partial(Fields, _DEVICES, _listed), why="the list is a convenience; a device believes the log alone",
    ),
    Attack(
        "ghost-key-box", "gives out a key box of its own making",
        partial(Fields, "GET /auth/key-boxes", _ghost_box), ends=codes("key_box_invalid"),
        why="one without a member's signature is refused, and an honest one is taken later",
    ),
    Attack(
        "withhold-key-box", "keeps no key box that a pairing brings and gives none out",
        _KeyBoxes, ends=codes("key_box_withheld"),
        why="a new device gets the account's secrets sealed in its pairing; the log names later keys",
    ),
    Attack(
        "garbled-pairing", "changes a bit of each message of a pairing",
        _Mailbox, ends=codes("pairing_failed"), why="nobody is added",
    ),
    Attack(
        "other-devices-head", "names another hash for the device log's last entry",
        partial(Fields, _DEVICES, lambda fields, exchange: fields.update(head=b64(bytes(32)))),
        codes("device_log_invalid"),
    ),
    Attack(
        "rollback-devices", "serves the device log without its last entry",
        partial(_FewerEntries, last=True), codes("log_rolled_back"),
    ),
    Attack(
        "withhold-addition", "hides from one device that another was added, and serves what that one writes",
        partial(_FewerEntries, last=False), codes("ghost_device log_rolled_back"), single=True,
    ),
    Attack(
        "revive-revoked", "goes on serving a revoked device, and serves what it writes to the others",
        partial(_Revived, hidden=False), _PARTED,
        why="until then what it writes behind its cut-off is left out",
    ),
    Attack(
        "withhold-revocation", "hides a revocation from a device, and serves it what the revoked one writes",
        partial(_Revived, hidden=True), _PARTED, single=True,
    ),
    Attack(
        "other-device-log", "serves another account's device log",
        partial(_OtherAccount, _DEVICES), codes("device_log_invalid log_rolled_back"),
    ),
    Attack(
        "other-account", "answers from another account's books, whose log has another epoch",
        partial(_OtherAccount, _DEVICES, "GET /sync/status", "GET /sync/checkpoint", "POST /sync/pull"),
        ends=codes("server_invalid"), why="it looks like a backup, and the device log does not fit",
    ),
)  # fmt: skip
