"""Vectors of pushes and acknowledgements: what the server answers, and the page it then serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.cases.served_log import START_MS, Log, log_of, position, rest
from tests.vectors.reference import Identity, Run, u
from tests.vectors.world import (
    ACCOUNT,
    EPOCH,
    LAPTOP,
    PHONE,
    STRANGER,
    TABLET,
    Vector,
    after,
    change,
    devices,
    flipped,
    run,
    seed,
)

NOW_MS = START_MS + 60_000
ONE = run(LAPTOP, "one")
TWO = after(ONE, "two", "three")
BOTH = run(LAPTOP, "one", "two", "three")
OTHER = run(PHONE, "four", "five")


def cases() -> Iterator[Vector]:
    """Runs taken, runs refused, pushes that are none, acknowledgements."""
    yield from _taken()
    yield from _refused()
    yield from _framing()
    yield from _acks()


def _given(
    log: Log, body: bytes, now_ms: int = NOW_MS, revoked: Mapping[bytes, tuple[int, bytes]] | None = None
) -> dict[str, Any]:
    return {
        "account": ACCOUNT,
        "epoch": EPOCH,
        "devices": devices(LAPTOP, PHONE, TABLET, revoked=revoked),
        "before": [{"received_ms": each.received_ms, "frame": each.run.frame} for each in log.stored],
        "now_ms": now_ms,
        "push": body,
    }


def _told(run_: Run, status: str, **more: Any) -> dict[str, Any]:
    place = {"device": run_.name, "first": run_.first, "count": len(run_.changes), "duplicates": 0}
    return {**place, "status": status, **more}


def _stored(log: Log, run_: Run, duplicates: int = 0) -> dict[str, Any]:
    newest = log.stored[-1]
    place = {"seq": newest.seq, "received_ms": newest.received_ms, "log": newest.log}
    return _told(run_, "stored", duplicates=duplicates, **place)


def _answer(log: Log, *told: dict[str, Any]) -> dict[str, Any]:
    return {**position(log.head), "runs": list(told), "page": log.page()}


def _taken() -> Iterator[Vector]:
    empty, first = Log(), log_of(ONE)
    stored = empty.then(ONE, NOW_MS)
    note = "The first run of an account."
    yield Vector(
        "push", "first-run", note, _given(empty, ref.push([ONE.frame])), _answer(stored, _stored(stored, ONE))
    )
    two = stored.then(OTHER, NOW_MS + 1)
    answer = _answer(two, _stored(stored, ONE), _stored(two, OTHER))
    note = "Two devices' runs; the second is received a millisecond later, since times strictly increase."
    yield Vector("push", "two-devices", note, _given(empty, ref.push([ONE.frame, OTHER.frame])), answer)
    more = first.then(TWO, NOW_MS)
    note = "A run that continues."
    yield Vector(
        "push", "continues", note, _given(first, ref.push([TWO.frame])), _answer(more, _stored(more, TWO))
    )
    late = first.then(TWO, START_MS + 1)
    answer = _answer(late, _stored(late, TWO))
    note = "The server's clock stepped back: the time received still increases."
    yield Vector("push", "clock-stepped-back", note, _given(first, ref.push([TWO.frame]), now_ms=5), answer)
    again = _answer(first, _told(ONE, "duplicate", duplicates=1))
    yield Vector("push", "duplicate", "The same run again.", _given(first, ref.push([ONE.frame])), again)
    full = log_of(BOTH)
    inside = _answer(full, _told(ONE, "duplicate", duplicates=1))
    note = "The beginning of a longer run, signed as a run of its own."
    yield Vector("push", "duplicate-beginning", note, _given(full, ref.push([ONE.frame])), inside)
    end = _answer(full, _told(TWO, "duplicate", duplicates=2))
    yield Vector(
        "push", "duplicate-end", "The end of a longer run.", _given(full, ref.push([TWO.frame])), end
    )
    overlap = first.then(rest(BOTH, 1), NOW_MS)
    answer = _answer(overlap, _stored(overlap, BOTH, duplicates=1))
    note = "The outbox in other portions: what is new is stored under an adjusted header."
    yield Vector("push", "overlap", note, _given(first, ref.push([BOTH.frame])), answer)
    yield from _seen()


def _seen() -> Iterator[Vector]:
    log = log_of(ONE, OTHER)
    note = "Its writer had verified the log to a position that the log has."
    for case, seen in {
        "head": log.head,
        "middle": (EPOCH, 1, log.stored[0].log),
        "start": (EPOCH, 0, ref.log_start(ACCOUNT, EPOCH)),
        "other-epoch": (EPOCH + 1, 77, seed("another server's log")),
    }.items():
        more = after(ONE, "two", seen=seen)
        then = log.then(more, NOW_MS)
        yield Vector(
            "push",
            f"seen-{case}",
            note,
            _given(log, ref.push([more.frame])),
            _answer(then, _stored(then, more)),
        )
    for case, (note, seen) in {
        "hash": ("The log has another hash there.", (EPOCH, 1, seed("a lie"))),
        "ahead": ("The log is shorter.", (EPOCH, 4, seed("a later hash"))),
        "inside-a-run": ("A position inside a run has no hash.", (EPOCH, 2, log.stored[1].log)),
        "start-hash": ("The log starts otherwise.", (EPOCH, 0, bytes(32))),
    }.items():
        more = after(ONE, "two", seen=seen)
        told = _told(more, "refused", code="seen_unknown")
        yield Vector(
            "push", f"refused-seen-{case}", note, _given(log, ref.push([more.frame])), _answer(log, told)
        )


def _refused() -> Iterator[Vector]:
    log = log_of(ONE)
    fork = run(LAPTOP, "one, by a clone", "two")
    gap, later = after(TWO, "late"), after(after(TWO, "late"), "later")
    strange = run(STRANGER, "x")
    first_wrong = run(PHONE, changes=[change("four"), change("five", generation=0)])
    then = log.then(OTHER, NOW_MS)
    refusals: dict[str, tuple[str, Sequence[Run], Log, list[dict[str, Any]]]] = {
        "gap": ("Changes are missing.", [gap], log, [_told(gap, "refused", code="run_gap", expected=2)]),
        "gap-then-skipped": (
            "After a refusal the device's later runs are not looked at; another device's are.",
            [gap, later, OTHER],
            then,
            [
                _told(gap, "refused", code="run_gap", expected=2),
                _told(later, "refused", code="run_skipped"),
                _stored(then, OTHER),
            ],
        ),
        "fork": ("Another history.", [fork], log, [_told(fork, "refused", code="device_fork", at=1)]),
        "unknown-device": ("A stranger.", [strange], log, [_told(strange, "refused", code="device_unknown")]),
        "invalid-change": (
            "A change breaks a rule.",
            [first_wrong],
            log,
            [_told(first_wrong, "refused", code="run_invalid", at=2)],
        ),
    }
    for case, (note, runs_, ends, told) in refusals.items():
        body = ref.push([each.frame for each in runs_])
        yield Vector("push", f"refused-{case}", note, _given(log, body), _answer(ends, *told))
    cutoff = {PHONE.id: (0, ref.chain_start(ACCOUNT, PHONE.id))}
    told = [_told(OTHER, "refused", code="device_revoked")]
    given = _given(log, ref.push([OTHER.frame]), revoked=cutoff)
    yield Vector("push", "refused-revoked-device", "A revoked device writes.", given, _answer(log, *told))
    told = [{"status": "refused", "code": "run_invalid", "at": 0}]
    yield Vector("push", "refused-empty-frame", "No run.", _given(log, ref.push([b""])), _answer(log, *told))


def _framing() -> Iterator[Vector]:
    good = ref.push([ONE.frame, OTHER.frame])
    bodies = {
        "empty": ("No body.", b""),
        "cut-in-head": ("Cut after the version.", good[:1]),
        "cut-before-length": ("Cut before the first length.", good[:3]),
        "cut-in-length": ("Cut in the first length.", good[:5]),
        "cut-in-frame": ("Cut in the first frame.", good[:100]),
        "cut-between-frames": ("Cut after the first frame.", good[: 7 + len(ONE.frame)]),
        "cut-in-last-frame": ("Cut in the last frame.", good[:-1]),
        "additional-byte": ("A byte after the last frame.", good + b"\0"),
        "no-runs": ("A push of nothing.", u(8, 1) + u(16, 0)),
        "65-runs": ("More runs than a push may have.", ref.push([b""] * 65)),
        "length-huge": ("A frame as long as 32 bits can say.", u(8, 1) + u(16, 1) + u(32, 2**32 - 1)),
    }
    for case, (note, body) in bodies.items():
        yield Vector("push", f"malformed-{case}", note, _given(Log(), body), {"error": "malformed_binary"})
    for version in (0, 2):
        given = _given(Log(), ref.push([ONE.frame], version))
        error = {"error": "unsupported_version"}
        yield Vector("push", f"malformed-version-{version}", f"Version {version} of a push.", given, error)


def _ack(log: Log, verified: ref.Seen, signer: Identity = LAPTOP, **wrong: Any) -> dict[str, Any]:
    epoch, seq, hash_ = verified
    n, head = 3, seed("device log head")
    place = u(64, epoch) + u(64, seq) + hash_
    message = b"echolia/1/ack" + ACCOUNT + LAPTOP.id + place + u(32, n) + head
    ack = {
        **position(verified),
        "devices": {"n": n, "head": head},
        "signature": ref.sign(signer.sign_seed, message),
    }
    given = _given(log, b"")
    del given["push"], given["now_ms"]
    return {**given, "device": LAPTOP.id, "ack": {**ack, **wrong}}


def _acks() -> Iterator[Vector]:
    log = log_of(ONE, OTHER)
    good = {
        "head": ("Verified to the head.", log.head),
        "middle": ("Verified to an earlier position.", (EPOCH, 1, log.stored[0].log)),
        "start": ("Nothing to verify yet.", Log().head),
    }
    for case, (note, verified) in good.items():
        yield Vector("ack", case, note, _ack(log, verified), {"acknowledged": verified[1]})
    flipped_ = flipped(_ack(log, log.head)["ack"]["signature"])
    bad = {
        "ahead": ("seen_unknown", "The log is shorter.", _ack(log, (EPOCH, 9, seed("later")))),
        "hash": ("seen_unknown", "The log has another hash there.", _ack(log, (EPOCH, 3, seed("a lie")))),
        "inside-a-run": ("seen_unknown", "No hash inside a run.", _ack(log, (EPOCH, 2, log.stored[1].log))),
        "other-epoch": ("must_rebase", "Another epoch.", _ack(log, (EPOCH + 1, 3, log.head[2]))),
        "other-device": ("signature_invalid", "Another device signed.", _ack(log, log.head, PHONE)),
        "flipped": ("signature_invalid", "It does not verify.", _ack(log, log.head, signature=flipped_)),
        "moved": ("signature_invalid", "Signed for another position.", _ack(log, log.head, seq=1)),
        "other-device-log": (
            "signature_invalid",
            "Signed for another device log.",
            _ack(log, log.head, devices={"n": 4, "head": seed("device log head")}),
        ),
    }
    for case, (error, note, given) in bad.items():
        yield Vector("ack", f"refused-{case}", note, given, {"error": error})
