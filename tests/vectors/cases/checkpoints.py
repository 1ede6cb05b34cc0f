"""Vectors of checkpoints: what is live, what is signed, what is left of a log, what a device starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.cases.served_log import Log, heads, log_of, position
from tests.vectors.history import DEVICE_LOG, Point, base_items, live, log_base, root
from tests.vectors.reference import Run
from tests.vectors.world import (
    ACCOUNT,
    EPOCH,
    LAPTOP,
    OTHER_NOTE,
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

DELTA = 2
ONE = run(LAPTOP, changes=[change("a"), change("b", object=OTHER_NOTE)])
SEES = ((LAPTOP.id, 1),)
TWO = run(PHONE, changes=[change("c", context=SEES), change("d", kind=DELTA, context=SEES)])
THREE = after(ONE, changes=[change("e", object=OTHER_NOTE), change("f", object=seed("third")[:16])])
LOG = log_of(ONE, TWO, THREE)
MEMBERS = (LAPTOP, PHONE, TABLET)


def cases() -> Iterator[Vector]:
    """Every case of this page of the specification."""
    yield from _live()
    yield from _points()
    yield from _bases()
    yield from _compactions()
    yield from _starts()


# --- what is live ---


def _live() -> Iterator[Vector]:
    def case(name: str, note: str, log: Log, cut: int | None = None) -> Vector:
        upto = log.head[1]
        revoked = {} if cut is None else {PHONE.id: (cut, seed("chain at a cut-off"))}
        cutoffs = {} if cut is None else {PHONE.id: cut}
        given = {
            "account": ACCOUNT,
            "devices": devices(*MEMBERS, revoked=revoked),
            "page": log.page(),
            "seq": upto,
        }
        there = live(log, upto, cutoffs)
        counting = [{"device": each.device, "counter": each.counter} for each in there]
        expect = {"live": counting, "count": len(there), "root": root(log, upto, cutoffs)}
        return Vector("live", name, note, given, expect)

    yield case("one", "A single change is live.", log_of(run(LAPTOP, "a")))
    yield case("superseded", "A state of the other device, of an own one, and a delta.", LOG)
    yield case("own-past", "A device's own earlier changes are in its past.", log_of(run(LAPTOP, "a", "b")))
    yield case("concurrent", "Neither has seen the other.", log_of(run(LAPTOP, "a"), run(PHONE, "b")))
    delta = run(LAPTOP, changes=[change("a"), change("b", kind=DELTA)])
    yield case("delta", "A delta supersedes nothing.", log_of(delta))
    other = run(LAPTOP, changes=[change("a"), change("b", object=OTHER_NOTE)])
    yield case("other-object", "A state supersedes only what is of its object.", log_of(other))
    early = run(PHONE, changes=[change("a", context=((LAPTOP.id, 1),))])
    note = "What comes later in the log is not superseded, though a context names it."
    yield case("named-too-early", note, log_of(early, run(LAPTOP, "b")))
    skipping = log_of(
        run(LAPTOP, "a"),
        run(PHONE, changes=[change("b", context=((LAPTOP.id, 1),))]),
        run(TABLET, changes=[change("c", context=((PHONE.id, 1),))]),
    )
    note = "A change that is superseded itself supersedes still."
    yield case("through-one-that-is-gone", note, skipping)
    yield case("behind-a-cut-off", "What lies behind a cut-off neither counts nor supersedes.", LOG, cut=0)
    yield case("at-a-cut-off", "The change at the cut-off counts.", LOG, cut=1)


# --- a checkpoint's bytes ---


def _points() -> Iterator[Vector]:
    point = Point(LOG, LAPTOP)
    given: dict[str, Any] = {"checkpoint": point.raw}
    fields = point.fields
    said = {**position(point.position), "received_ms": fields["received_ms"], "devices": fields["devices"]}
    expect = {**said, "heads": heads(ONE, TWO, THREE), "count": fields["count"], "live": fields["live"]}
    yield Vector("checkpoint", "three-runs", "What a device says of a log.", given, expect)
    signed = {"kind": "checkpoint", "sign_seed": LAPTOP.sign_seed, "account": ACCOUNT, "device": LAPTOP.id}
    message = b"echolia/1/checkpoint" + ACCOUNT + LAPTOP.id + point.raw
    yield Vector(
        "message",
        "checkpoint",
        "What a device signs, and its signature.",
        {**signed, **given},
        {"message": message, "signature": point.signature},
    )
    wrong: Mapping[str, tuple[str, Mapping[str, Any]]] = {
        "epoch-0": ("Epochs begin at 1.", {"epoch": 0}),
        "seq-0": ("There is nothing to say of an empty log.", {"seq": 0}),
        "seq-too-large": ("Positions are below 2^53.", {"seq": 2**53}),
        "short-log": ("The log's hash lacks a byte.", {"log": bytes(31)}),
        "late": ("Times are below 2^48.", {"received_ms": 2**48}),
        "text": ("A number is a text.", {"count": "3"}),
        "true": ("A number is true.", {"count": True}),
        "more-live-than-there-are": ("More changes than positions.", {"count": LOG.head[1] + 1}),
        "short-root": ("The root lacks a byte.", {"live": bytes(31)}),
        "no-heads": ("A log that is not empty has heads.", {"heads": {}}),
        "head-0": ("Counters begin at 1.", {"heads": {LAPTOP.id: [0, bytes(32)]}}),
        "short-device": ("A device id lacks a byte.", {"heads": {LAPTOP.id[1:]: [1, bytes(32)]}}),
        "head-without-chain": ("A head is two things.", {"heads": {LAPTOP.id: [1]}}),
        "no-entries": ("A device log is never empty.", {"devices": {"n": 0, "head": bytes(32)}}),
        "devices-without-head": ("A part is missing.", {"devices": {"n": 1}}),
        "another-key": ("A key that is not known.", {"note": 1}),
    }
    both = {"error": "checkpoint_invalid", "device_error": "server_invalid"}
    for case, (note, changed) in wrong.items():
        raw = ref.cbor({**fields, **changed})
        yield Vector("checkpoint", f"refused-{case}", note, {"checkpoint": raw}, both)
    lacking = ref.cbor({key: value for key, value in fields.items() if key != "received_ms"})
    malformed = {
        "missing-key": ("A key is missing.", lacking),
        "list": ("Not a map.", ref.cbor([fields])),
        "trailing": ("A byte after the map.", point.raw + b"\0"),
        "cut": ("The last byte is missing.", point.raw[:-1]),
        "empty": ("No bytes.", b""),
    }
    for case, (note, raw) in malformed.items():
        yield Vector("checkpoint", f"malformed-{case}", note, {"checkpoint": raw}, both)
    version = {"checkpoint": ref.cbor({**fields, "v": 2})}
    errors = {"error": "unsupported_version", "device_error": "unsupported_version"}
    yield Vector("checkpoint", "refused-version", "A version that is not known.", version, errors)


def _bases() -> Iterator[Vector]:
    for name, epoch in (("next", EPOCH + 1), ("first", 1)):
        _, seq, log = LOG.head
        given = {"account": ACCOUNT, "epoch": epoch, "base": position(LOG.head)}
        expect = {"epoch": epoch, "seq": seq, "log": log_base(epoch, seq, log)}
        yield Vector("log-base", name, "The log of another epoch goes on from a checkpoint.", given, expect)


# --- what a server keeps ---


def _compactions() -> Iterator[Vector]:
    def case(name: str, note: str, point: Point, expect: Mapping[str, Any]) -> Vector:
        given = {
            "account": ACCOUNT,
            "epoch": EPOCH,
            "devices": devices(*MEMBERS),
            "device_log": DEVICE_LOG,
            "before": [{"frame": each.run.frame, "received_ms": each.received_ms} for each in LOG.stored],
            "device": point.author.id,
            "checkpoint": point.raw,
            "signature": point.signature,
        }
        return Vector("compaction", name, note, given, expect)

    # Of the laptop's first run nothing is live, of its second one all; of the phone's both.
    kept = {1: (False, False)}
    page = ref.page(LOG.head, base_items(LOG, LOG.head[1], kept))
    yield case("forgotten", "A run without any live change is gone.", Point(LOG, LAPTOP), {"page": page})
    two = log_of(ONE, TWO)
    page = ref.page(LOG.head, base_items(LOG, two.head[1], {1: (False, True)}))
    note = "A run with some live changes has leaves in place of the others."
    yield case("shortened", note, Point(two, PHONE), {"page": page})
    lies: Mapping[str, tuple[str, Point, str]] = {
        "signer": ("Another device signed it.", Point(LOG, LAPTOP, signer=PHONE), "signature_invalid"),
        "count": ("It counts one less.", _lying(count=3), "checkpoint_invalid"),
        "root": ("The root is another.", _lying(live=seed("root")), "checkpoint_invalid"),
        "heads": ("A device is missing in the heads.", _lying(heads=_heads(THREE)), "checkpoint_invalid"),
        "time": ("The last run came at another time.", _lying(received_ms=1), "checkpoint_invalid"),
        "log": ("The log never had that hash.", _lying(log=seed("log")), "seen_unknown"),
        "inside-a-run": ("No run ends there.", _lying(seq=5), "seen_unknown"),
        "beyond": ("The log is shorter.", _lying(seq=7), "seen_unknown"),
        "epoch": ("It is of another epoch.", _lying(epoch=EPOCH + 1), "must_rebase"),
        "devices": (
            "Its author held another device log.",
            _lying(devices={**DEVICE_LOG, "n": 2}),
            "device_log_conflict",
        ),
    }
    for name, (note, point, error) in lies.items():
        yield case(f"refused-{name}", note, point, {"error": error})


def _lying(**wrong: Any) -> Point:
    return Point(LOG, LAPTOP, wrong=wrong)


def _heads(*runs: Run) -> dict[bytes, list[Any]]:
    return {each.name: [each.last, each.chains[-1]] for each in runs}


# --- what a device starts from ---


Lie = tuple[str, list[bytes], Point, str]
WHOLE = base_items(LOG, LOG.head[1], {})


def _starts() -> Iterator[Vector]:
    short = base_items(LOG, LOG.head[1], {1: (False, False)})
    holding = {
        "whole": ("A server that has not compacted.", [WHOLE]),
        "compacted": ("A server that has.", [short]),
        "two-pages": ("One page after the other.", [WHOLE[:1], WHOLE[1:]]),
    }
    for name, (note, pages) in holding.items():
        yield _start(name, note, pages, Point(LOG, LAPTOP), _started())
    for name, (note, items, point, error) in {**_wrong_pages(), **_wrong_points()}.items():
        yield _start(f"refused-{name}", note, [items], point, {"device_error": error})


def _wrong_pages() -> dict[str, Lie]:
    """An honest checkpoint, and runs that do not fit it."""
    third, second, first = WHOLE
    leaf = base_items(LOG, LOG.head[1], {1: (False, False), 5: (True, False)})
    broken = [third, second, LOG.stored[0].item(0, flipped(ONE.frame))]
    point = Point(LOG, LAPTOP)
    return {
        "withheld": ("A live change is left out.", [third, first], point, "history_withheld"),
        "withheld-of-a-run": ("A leaf stands for a live change.", leaf, point, "history_withheld"),
        "nothing": ("Everything is left out.", [], point, "history_withheld"),
        "oldest-first": ("The oldest comes first.", [first, second, third], point, "log_rewritten"),
        "twice": ("A run comes twice.", [third, third, second], point, "log_rewritten"),
        "broken-run": ("A byte of a body is another.", broken, point, "chain_broken"),
    }


def _wrong_points() -> dict[str, Lie]:
    """Honest runs, and a checkpoint that they do not fit."""
    longer = {**DEVICE_LOG, "n": DEVICE_LOG["n"] + 1}
    other = {**DEVICE_LOG, "head": seed("another")}
    other_chain = {**_heads(TWO), LAPTOP.id: [THREE.last, seed("chain")]}
    wrong: Mapping[str, tuple[str, Point, str]] = {
        "count": ("It counts one less.", _lying(count=3), "history_withheld"),
        "root": ("The root is another.", _lying(live=seed("root")), "history_withheld"),
        "beyond": ("A run lies beyond it.", Point(log_of(ONE, TWO), LAPTOP), "log_rewritten"),
        "beyond-its-head": (
            "A run goes beyond its device's head.",
            _lying(heads=_heads(ONE, TWO)),
            "log_rewritten",
        ),
        "other-chain": ("The chain at a head is another.", _lying(heads=other_chain), "chain_broken"),
        "signature": ("The author did not sign it.", Point(LOG, LAPTOP, signer=PHONE), "chain_broken"),
        "stranger": ("A stranger wrote it.", Point(LOG, STRANGER), "ghost_device"),
        "longer-device-log": ("Its author held a longer one.", _lying(devices=longer), "log_rolled_back"),
        "other-device-log": ("Its author held another one.", _lying(devices=other), "history_forked"),
        "form": ("It is no checkpoint.", _lying(count="3"), "server_invalid"),
    }
    return {name: (note, WHOLE, point, error) for name, (note, point, error) in wrong.items()}


def _start(name: str, note: str, pages: list[list[bytes]], point: Point, expect: Mapping[str, Any]) -> Vector:
    last = len(pages) - 1
    given = {
        "account": ACCOUNT,
        "devices": devices(*MEMBERS),
        "device_log": DEVICE_LOG,
        "device": point.author.id,
        "checkpoint": point.raw,
        "signature": point.signature,
        "pages": [ref.page(LOG.head, items, int(n < last)) for n, items in enumerate(pages)],
    }
    return Vector("base-page", name, note, given, expect)


def _started() -> dict[str, Any]:
    there = [{"device": each.device, "counter": each.counter} for each in live(LOG, LOG.head[1])]
    received_ms = LOG.stored[-1].received_ms
    return {
        **position(LOG.head),
        "received_ms": received_ms,
        "heads": heads(ONE, TWO, THREE),
        "live": there,
    }
