"""Attacks by another history: a log that is shorter, parted, or other than what the devices wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from echolia.client.transport import Answer
from echolia.core.push import Page
from echolia.hostile.attack import Attack, codes
from echolia.hostile.exchange import Exchange
from echolia.hostile.lie import Lie, Pages
from echolia.hostile.records import Logged
from echolia.hostile.second_log import Later, SecondLog, all_but_last, everything
from echolia.hostile.withholding import OldBeginning, Withheld

# Which it is depends on what both sides wrote before they met.
_PARTED: Final = codes("chain_broken history_forked log_rewritten log_rolled_back")


def _kept(later: Sequence[Later]) -> list[Logged]:
    return [each.run for each in later if not each.honest]


def _all(later: Sequence[Later]) -> list[Logged]:
    return [each.run for each in later]


def _first_honest(later: Sequence[Later], after: int = -1) -> int | None:
    return next((n for n, each in enumerate(later) if each.honest and n > after), None)


def _without_a_device(later: Sequence[Later]) -> list[Logged]:
    first = _first_honest(later)
    left_out = b"" if first is None else later[first].run.header.device
    return [each.run for each in later if each.run.header.device != left_out]


def _without_a_run(later: Sequence[Later]) -> list[Logged]:
    left_out = _first_honest(later)
    return [each.run for n, each in enumerate(later) if n != left_out]


def _reordered(later: Sequence[Later]) -> list[Logged]:
    """The first honest run comes behind the second one."""
    first = _first_honest(later)
    if first is None:
        return _all(later)
    second = _first_honest(later, first)
    order = [n for n in range(len(later)) if n != first]
    if second is not None:
        order.insert(order.index(second) + 1, first)
    return [later[n].run for n in order]


def _twice(later: Sequence[Later]) -> list[Logged]:
    return [run for each in later for run in ([each.run] * 2 if each.honest else [each.run])]


class Replay(Lie):
    """Answers these requests with the first answer that the device ever got to one."""

    def __init__(self, *what: str) -> None:
        self._what = what

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        before = exchange.records.answers.get((exchange.asker.device, exchange.what))
        if exchange.what not in self._what or not before:
            return await exchange.honest()
        return before[0]


def _gap(page: Page, exchange: Exchange) -> Page:
    return page._replace(items=page.items[1:])


def _shuffled(page: Page, exchange: Exchange) -> Page:
    return page._replace(items=page.items[::-1])


def _repeated(page: Page, exchange: Exchange) -> Page:
    return page._replace(items=[*page.items[:1], *page.items])


def _other_head(page: Page, exchange: Exchange) -> Page:
    return page._replace(head=page.head._replace(log=bytes(32)))


def _other_epoch(page: Page, exchange: Exchange) -> Page:
    return page._replace(head=page.head._replace(epoch=page.head.epoch + 1))


def _emptied(page: Page, exchange: Exchange) -> Page:
    return Page(False, page.head._replace(seq=0), [])


ATTACKS: Final = (
    Attack(
        "rollback", "serves everybody the log as it was two runs ago, and goes on from there",
        lambda: SecondLog(_kept, all_but_last), codes("log_rolled_back log_rewritten"),
    ),
    Attack(
        "rollback-under-new-epoch", "does the same under another epoch, as if it was restored",
        lambda: SecondLog(_kept, all_but_last, epoch=1),
        why="what the log lost, the devices still hold and bring back",
    ),
    Attack("emptied", "says that the log is empty", lambda: Pages(_emptied), codes("log_rolled_back")),
    Attack(
        "fork", "shows one device a log of its own, from the others' last run on",
        lambda: SecondLog(_kept, everything), _PARTED, single=True,
        why="while it lasts, the two sides look offline to each other",
    ),
    Attack(
        "fork-joined", "shows one device the others' runs behind its own, the others theirs alone",
        lambda: SecondLog(_all, everything), _PARTED, single=True,
    ),
    Attack(
        "omit-device", "leaves out what one device writes, and serves the rest without a gap",
        lambda: SecondLog(_without_a_device), _PARTED, single=True,
    ),
    Attack(
        "omit-run", "leaves out one run, and serves the rest without a gap",
        lambda: SecondLog(_without_a_run), _PARTED, single=True,
    ),
    Attack(
        "omit-newest", "shows one device nothing that comes after now, and hides that others acknowledged it",
        Withheld, single=True, why="it looks like being offline, and all arrives afterwards",
    ),
    Attack(
        "omit-acknowledged", "shows one device nothing that comes after now, though others acknowledged it",
        lambda: Withheld(shows_acks=True), codes("log_rolled_back"), single=True,
    ),
    Attack(
        "old-beginning", "shows a new device a beginning of the log, and no acknowledgement beyond it",
        OldBeginning, codes("log_rolled_back"),
    ),
    Attack(
        "reorder", "serves one device two runs in the other order, in a log that adds up",
        lambda: SecondLog(_reordered), _PARTED, single=True,
    ),
    Attack(
        "replay-runs", "serves one device each run twice, in a log that adds up",
        lambda: SecondLog(_twice), _PARTED, single=True, why="no change is applied twice",
    ),
    Attack(
        "replay-pages", "answers each pull with the first page ever",
        lambda: Replay("POST /sync/pull"), codes("log_rolled_back log_rewritten"),
    ),
    Attack(
        "replay-answers", "answers status and device log as it did the first time",
        lambda: Replay("GET /sync/status", "GET /auth/devices"), codes("log_rolled_back"),
    ),
    Attack(
        "gap", "leaves out the first run of each page",
        lambda: Pages(_gap), codes("log_rewritten"), codes("server_invalid"),
    ),
    Attack("shuffle", "serves each page's runs backwards", lambda: Pages(_shuffled), codes("log_rewritten")),
    Attack("repeat", "serves each page's first run twice", lambda: Pages(_repeated), codes("log_rewritten")),
    Attack(
        "other-head", "names another hash for the log's head",
        lambda: Pages(_other_head), codes("log_rewritten"),
    ),
    Attack(
        "other-epoch", "says of each page that it is of another epoch",
        lambda: Pages(_other_epoch), codes("log_rewritten"),
    ),
)  # fmt: skip
