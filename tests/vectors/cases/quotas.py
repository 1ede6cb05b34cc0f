"""Vectors of quotas: what a push would add, and whether that still fits (`spec/sync.md#quota`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.cases.served_log import START_MS, Log, log_of, rest
from tests.vectors.reference import Run
from tests.vectors.world import ACCOUNT, EPOCH, LAPTOP, OTHER_NOTE, PHONE, Vector, after, change, devices, run

NOW_MS = START_MS + 30_000
ONE = run(LAPTOP, "one")
TWO = after(ONE, "two", "three")
BOTH = run(LAPTOP, "one", "two", "three")
OTHER = run(PHONE, changes=[change("four", object=OTHER_NOTE)])
HELD = len(ONE.frame)
WHATS = ("bytes", "objects", "changes_per_minute")


def _given(
    log: Log, runs: Sequence[Run], quota: dict[str, int], reserve: bool = False, now_ms: int = NOW_MS
) -> dict[str, Any]:
    return {
        "account": ACCOUNT,
        "epoch": EPOCH,
        "devices": devices(LAPTOP, PHONE),
        "before": [{"received_ms": each.received_ms, "frame": each.run.frame} for each in log.stored],
        "now_ms": now_ms,
        "quota": quota,
        "reserve": reserve,
        "push": ref.push([each.frame for each in runs]),
    }


def _status(quota: dict[str, int], *used: int) -> dict[str, Any]:
    told = {what: {"used": each, "limit": quota.get(what)} for what, each in zip(WHATS, used, strict=True)}
    for what in WHATS[:2]:
        told[what]["reserve"] = quota.get(f"reserve_{what}", 0)
    return {"quota": told}


def _refused(
    code: str, what: str, used: int, needed: int, limit: int, reserve: int | None = 0
) -> dict[str, Any]:
    told = {"error": code, "what": what, "used": used, "limit": limit, "needed": needed}
    return told if reserve is None else {**told, "reserve": reserve}


def cases() -> Iterator[Vector]:
    """Bytes, objects, changes a minute, what costs nothing, what never fits, the reserve."""
    for case, note, given, expect in (*_bytes(), *_objects(), *_changes(), *_reserve()):
        yield Vector("quota", case, note, given, expect)


def _bytes() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    log, new = log_of(ONE), len(TWO.frame)
    full = {"bytes": HELD + new}
    yield "bytes-to-the-last", "It fits exactly.", _given(log, [TWO], full), _status(full, HELD + new, 3, 3)
    less = {"bytes": HELD + new - 1}
    refused = _refused("quota_exceeded", "bytes", HELD, new, less["bytes"])
    yield "refused-bytes", "One byte more than fits.", _given(log, [TWO], less), refused
    both = _refused("quota_exceeded", "bytes", HELD, new + len(OTHER.frame), full["bytes"])
    note = "The first of two runs would fit, but a push is taken whole or not at all."
    yield "refused-whole", note, _given(log, [TWO, OTHER], full), both
    none = {"bytes": HELD}
    note = "What is there already takes no room, so a lost answer can always be asked for again."
    yield "duplicate-on-a-full-account", note, _given(log, [ONE], none), _status(none, HELD, 1, 1)
    added = len(rest(BOTH, 1).frame)
    fits = {"bytes": HELD + added}
    note = "Of a run that overlaps the head only the frame of what is new counts."
    yield "bytes-of-the-rest", note, _given(log, [BOTH], fits), _status(fits, HELD + added, 3, 3)
    small = {"bytes": new - 1}
    note = "More than the account may ever store: less at a time may fit."
    never = _refused("body_too_large", "bytes", 0, new + HELD, new - 1)
    yield "refused-never-fits", note, _given(Log(), [ONE, TWO], small), never


def _objects() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    log, one, size = log_of(ONE), {"objects": 1}, HELD + len(TWO.frame)
    note = "Three changes of one object are one object."
    yield "objects-that-are-there", note, _given(log, [TWO], one), _status(one, size, 1, 3)
    refused = _refused("quota_exceeded", "objects", 1, 1, 1)
    yield "refused-objects", "A second object.", _given(log, [OTHER], one), refused


def _changes() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    log, size, three, two = log_of(ONE), HELD + len(TWO.frame), *({WHATS[2]: n} for n in (3, 2))
    yield (
        "changes-a-minute",
        "Three changes in half a minute.",
        _given(log, [TWO], three),
        _status(three, size, 3, 3),
    )
    refused = _refused("rate_limited", WHATS[2], 1, 2, 2, None)
    yield "refused-changes-a-minute", "One too many.", _given(log, [TWO], two), refused
    note = "The minute that began with the first change is over."
    later = _given(log, [TWO], two, now_ms=START_MS + 60_000)
    yield "changes-of-the-next-minute", note, later, _status(two, size, 3, 2)


def _reserve() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    log, new = log_of(ONE), len(TWO.frame)
    quota = {"bytes": HELD, "reserve_bytes": new}
    note = "A push that frees room may have the reserve."
    yield "reserve", note, _given(log, [TWO], quota, reserve=True), _status(quota, HELD + new, 3, 3)
    never = _refused("body_too_large", "bytes", HELD, new, HELD, new)
    yield "refused-reserve-not-asked-for", "It did not ask.", _given(log, [TWO], quota), never
    less = {**quota, "bytes": HELD + 1, "reserve_bytes": new - 2}
    over = _refused("quota_exceeded", "bytes", HELD, new, HELD + 1, new - 2)
    yield "refused-reserve", "The reserve is too small.", _given(log, [TWO], less, reserve=True), over
