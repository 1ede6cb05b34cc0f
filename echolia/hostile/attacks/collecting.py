"""Attacks by throwing away too early, and in checkpoints and their bases (`spec/checkpoints.md`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from echolia.client.transport import Answer
from echolia.core import canonical
from echolia.core.checkpoints import checkpoint_message
from echolia.core.ids import b64, unb64
from echolia.core.parts import find_parts, with_leaves
from echolia.core.push import ELIDED, PARTIAL, WHOLE, Page
from echolia.core.runs import RUN_HEADER_BYTES, read_header
from echolia.hostile.attack import Attack, codes
from echolia.hostile.exchange import Exchange, document, refusal
from echolia.hostile.forging import Ghost
from echolia.hostile.lie import BasePages, Fields, Instead, Lie, Pages, with_item
from echolia.hostile.records import Logged

_CHECKPOINT: Final = "GET /sync/checkpoint"
_INVALID: Final = codes("server_invalid")
_DROPPED: Final = "the answer is dropped, and an honest one is taken later"


def _leaves(page: Page, exchange: Exchange) -> Page:
    """The first run that is there whole with the hashes of its changes instead of them."""
    at = next((n for n, item in enumerate(page.items) if item.form == WHOLE), None)
    if at is None:
        return page
    frame = bytes(page.items[at].content)
    found = find_parts(frame, read_header(frame), partial=False)
    return with_item(page, at, form=PARTIAL, content=with_leaves(frame, found, [False] * len(found)))


def _elided(page: Page, exchange: Exchange) -> Page:
    at = next((n for n, item in enumerate(page.items) if item.form == WHOLE), None)
    if at is None:
        return page
    logged = Logged.of(bytes(page.items[at].content), 0)
    return with_item(page, at, form=ELIDED, content=logged.frame[:RUN_HEADER_BYTES] + logged.chain)


class _Forgotten(Lie):
    """Says to every cursor that what follows it was thrown away."""

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if exchange.what == "POST /sync/pull" and exchange.fields().get("cursor"):
            return refusal(409, "must_rebase")
        return await exchange.honest()


class _Stale(Lie):
    """Gives out the first checkpoints that it ever gave to anybody of the account."""

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        answer = await exchange.honest()
        if exchange.what != _CHECKPOINT:
            return answer
        members = exchange.records.book(exchange.asker.account).tokens
        kept = (
            each for device in members for each in exchange.records.answers.get((device, exchange.what), ())
        )
        return next((each for each in kept if json.loads(each.body)["checkpoints"]), answer)


def _first(page: Page, exchange: Exchange) -> Page:
    return page._replace(items=page.items[1:])


def _twice(page: Page, exchange: Exchange) -> Page:
    return page._replace(items=[*page.items[:1], *page.items])


def _endless(page: Page, exchange: Exchange) -> Page:
    return page._replace(more=True, items=[])


def _by_a_ghost(page: Page, exchange: Exchange) -> Page:
    if not page.items:
        return page
    content = bytearray(page.items[0].content)
    content[2] ^= 1
    return with_item(page, 0, content=bytes(content))


def _flipped(page: Page, exchange: Exchange) -> Page:
    if not page.items:
        return page
    content = bytearray(page.items[0].content)
    content[-1] ^= 1
    return with_item(page, 0, content=bytes(content))


def _checkpoints(change: Callable[[dict[str, Any], Exchange], object]) -> Callable[[], Lie]:
    """Change each checkpoint that is given out."""

    def each(fields: dict[str, Any], exchange: Exchange) -> None:
        for told in fields["checkpoints"]:
            change(told, exchange)

    return partial(Fields, _CHECKPOINT, each)


def _fewer(told: dict[str, Any], exchange: Exchange) -> None:
    says = canonical.decode(unb64(told["checkpoint"]))
    told["checkpoint"] = b64(canonical.encode({**says, "count": max(0, says["count"] - 1)}))


def _of_a_ghost(told: dict[str, Any], exchange: Exchange) -> None:
    ghost = Ghost(exchange.dice(32))
    message = checkpoint_message(exchange.asker.account, ghost.device, unb64(told["checkpoint"]))
    told.update(device=b64(ghost.device), signature=b64(ghost.signed(message)))


def _of_another(told: dict[str, Any], exchange: Exchange) -> None:
    members = {run.header.device for run in exchange.records.book(exchange.asker.account).runs}
    told["device"] = b64(min(members - {unb64(told["device"])}, default=bytes(16)))


ATTACKS: Final = (
    Attack(
        "early-leaves", "serves hashes in the place of changes that still count",
        partial(Pages, _leaves), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "early-elided", "serves runs of other devices without their changes",
        partial(Pages, _elided), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "early-forgotten", "says that what follows a position was thrown away",
        _Forgotten, ends=codes("must_rebase"),
        why="the log is read again, and nothing that was there is given up",
    ),
    Attack(
        "checkpoint-stale", "gives out the first checkpoint ever",
        _Stale, ends=codes("must_rebase"), why="what comes after it is read from the log",
    ),
    Attack(
        "checkpoint-withheld", "gives out no checkpoint",
        partial(Instead, _CHECKPOINT, lambda exchange: document({"checkpoints": []})),
        why="the log is read from its start",
    ),
    Attack(
        "checkpoint-edited", "says that fewer changes still count than a checkpoint says",
        _checkpoints(_fewer), codes("chain_broken"),
    ),
    Attack(
        "checkpoint-of-a-ghost", "gives out a checkpoint that a device of its own signed",
        _checkpoints(_of_a_ghost), codes("ghost_device"),
    ),
    Attack(
        "checkpoint-of-another", "says that another device signed a checkpoint",
        _checkpoints(_of_another), codes("chain_broken ghost_device"),
    ),
    Attack(
        "base-omits", "leaves out a run that holds what still counts",
        partial(BasePages, _first), codes("history_withheld"),
    ),
    Attack(
        "base-leaves", "serves hashes in the place of changes that still count, from a checkpoint on",
        partial(BasePages, _leaves), codes("history_withheld"),
    ),
    Attack(
        "base-repeats", "serves a run twice, from a checkpoint on",
        partial(BasePages, _twice), codes("log_rewritten"),
    ),
    Attack(
        "base-adds", "serves a run of a device that nobody added, from a checkpoint on",
        partial(BasePages, _by_a_ghost), codes("ghost_device"),
    ),
    Attack(
        "base-flips", "changes one bit of a body, from a checkpoint on",
        partial(BasePages, _flipped), codes("chain_broken"),
    ),
    Attack(
        "base-endless", "says of each page that there is more, and brings nothing, from a checkpoint on",
        partial(BasePages, _endless), ends=_INVALID,
        why=_DROPPED,
    ),
)  # fmt: skip
