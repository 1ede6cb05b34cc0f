"""Attacks by form: times, sizes, endless answers, silence, other versions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from echolia.client.transport import Answer
from echolia.core.errors import EcholiaError
from echolia.core.push import Page
from echolia.core.runs import RUN_HEADER_BYTES
from echolia.hostile.attack import Attack, codes
from echolia.hostile.exchange import Exchange, refusal
from echolia.hostile.forging import in_first_run
from echolia.hostile.lie import ChangePage, Fields, Instead, Lie, Pages
from echolia.hostile.records import Logged
from echolia.hostile.second_log import Later, SecondLog, everything

_HUGE_BYTES: Final = 20 << 20
_DEEP: Final = 1_000_000
_LATEST_MS: Final = 2**48 - 1
_TEN_YEARS_MS: Final = 10 * 365 * 86_400_000
_INVALID: Final = codes("server_invalid")
_UNSPOKEN: Final = codes("unsupported_version")
_AWAY: Final = codes("server_unreachable")
_DROPPED: Final = "the answer is dropped, and an honest one is taken later"


def _times(change: Callable[[int, int], int]) -> ChangePage:
    """Change the times of arrival of a page's runs, given the place in the page."""

    def changed(page: Page, exchange: Exchange) -> Page:
        items = [
            item._replace(received_ms=change(at, item.received_ms)) for at, item in enumerate(page.items)
        ]
        return page._replace(items=items)

    return changed


def _in_ten_years(later: Sequence[Later]) -> list[Logged]:
    return [each.run._replace(received_ms=each.run.received_ms + _TEN_YEARS_MS) for each in later]


def _at_the_end_of_time(later: Sequence[Later]) -> list[Logged]:
    first = _LATEST_MS - 10_000
    return [each.run._replace(received_ms=first + n) for n, each in enumerate(later)]


def _more(page: Page, exchange: Exchange) -> Page:
    return Page(True, page.head._replace(seq=page.head.seq + 1_000), [])


def _more_entries(fields: dict[str, Any], exchange: Exchange) -> None:
    fields.update(log=[], more=True)


def _byte(at: int, value: int) -> ChangePage:
    """Set one byte of the first run of a page."""

    def edit(frame: bytes, exchange: Exchange) -> bytes:
        return frame[:at] + bytes((value,)) + frame[at + 1 :]

    return in_first_run(edit)


class _Altered(Lie):
    """Changes the bytes of pages."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self._change = change

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        answer = await exchange.honest()
        if exchange.what != "POST /sync/pull" or answer.status != 200:
            return answer
        return Answer(200, self._change(answer.body))


def _huge(exchange: Exchange) -> Answer:
    return Answer(200, b"\1" + bytes(_HUGE_BYTES))


def _deep(exchange: Exchange) -> Answer:
    return Answer(200, b"[" * _DEEP)


def _to_all(told: Callable[[Exchange], Answer]) -> Callable[[], Lie]:
    return partial(Instead, "", told)


class _Silent(Lie):
    """Answers nothing."""

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        raise EcholiaError("server_unreachable")


class _NoEvents(Lie):
    """Tells a device that listens nothing."""

    async def _none(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        async for line in lines:
            if line.startswith(":"):
                yield line

    def lines(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """See `Lie.lines`."""
        return self._none(lines)


class _FalseEvents(Lie):
    """Says three times as often that the head moved, to where it never was."""

    async def _more(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        async for line in lines:
            yield line
            for told in ("", "event: head", 'data: {"epoch": 1, "seq": 1000000}') * 2:
                yield told

    def lines(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """See `Lie.lines`."""
        return self._more(lines)


ATTACKS: Final = (
    Attack(
        "time-ahead", "says that runs came ten years later than they did",
        partial(Pages, _times(lambda at, ms: ms + _TEN_YEARS_MS)), codes("history_forked log_rewritten"),
    ),
    Attack(
        "time-back", "says that runs came in 1970, each before the other",
        partial(Pages, _times(lambda at, ms: 1_000 - at)), codes("log_rewritten"),
    ),
    Attack(
        "time-shifted", "serves one device a log that adds up and is ten years ahead",
        lambda: SecondLog(_in_ten_years), codes("chain_broken history_forked log_rewritten log_rolled_back"),
        single=True,
    ),
    Attack(
        "time-last", "goes on with times of arrival just before the last there can be",
        lambda: SecondLog(_at_the_end_of_time, everything),
        codes("chain_broken log_rewritten log_rolled_back"), why="edits go on meanwhile",
    ),
    Attack(
        "time-beyond", "names times of arrival beyond the last there can be",
        partial(Pages, _times(lambda at, ms: _LATEST_MS + 1 + at)), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "endless-pages", "says of each page that there is more, and brings nothing",
        partial(Pages, _more), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "endless-devices", "says of each page of the device log that there is more, and brings nothing",
        partial(Fields, "GET /auth/devices", _more_entries), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "huge-page", "serves a page of 20 MiB that holds nothing",
        partial(Instead, "POST /sync/pull", _huge), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "deep-answers", "answers everything with a million brackets",
        _to_all(_deep), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "no-protocol", "answers everything with a web page",
        _to_all(lambda exchange: Answer(200, b"<html>")), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "cut-page", "serves pages without their last byte",
        partial(_Altered, lambda raw: raw[:-1]), ends=_INVALID, why=_DROPPED,
    ),
    Attack(
        "other-page-version", "serves pages of another version",
        partial(_Altered, lambda raw: b"\0" + raw[1:]), ends=_UNSPOKEN, why=_DROPPED,
    ),
    Attack(
        "other-run-version", "serves a run of another version",
        partial(Pages, _byte(0, 0)), ends=_UNSPOKEN, why=_DROPPED,
    ),
    Attack(
        "other-suite", "serves a run of another suite",
        partial(Pages, _byte(1, 0)), ends=_UNSPOKEN, why=_DROPPED,
    ),
    Attack(
        "other-class", "serves a change of a class that there is not",
        partial(Pages, _byte(RUN_HEADER_BYTES, 3)), ends=_UNSPOKEN, why=_DROPPED,
    ),
    Attack("silence", "answers nothing", _Silent, ends=_AWAY, why="it is being offline"),
    Attack(
        "wait-an-hour", "tells everybody to come back in an hour",
        _to_all(lambda exchange: replace(refusal(429, "rate_limited"), retry_after_s=3_600)),
        ends=codes("rate_limited"), why="it is being offline",
    ),
    Attack(
        "reset", "says that there is no such account",
        _to_all(lambda exchange: refusal(401, "account_unknown")),
        ends=codes("server_reset"), why="that is an error, and nothing is deleted",
    ),
    Attack(
        "disabled", "says that there is nothing at any address",
        _to_all(lambda exchange: refusal(404, "not_found")),
        ends=codes("not_found"), why="that is an error, and nothing is deleted",
    ),
    Attack(
        "live-silence", "tells devices that listen nothing", _NoEvents,
        why="news come with the next sync",
    ),
    Attack(
        "live-storm", "tells devices that listen of news that there are not", _FalseEvents,
        why="they sync and find nothing",
    ),
)  # fmt: skip
