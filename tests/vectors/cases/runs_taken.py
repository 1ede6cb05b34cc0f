"""Vectors of changes and runs that are right: every byte, hash and signature of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.reference import Change, Run
from tests.vectors.world import (
    ACCOUNT,
    EPOCH,
    LAPTOP,
    OTHER_NOTE,
    PHONE,
    TABLET,
    TAGS,
    Vector,
    after,
    change,
    devices,
    filler,
    run,
    seed,
)

CONTEXT = sorted([(PHONE.id, 7), (TABLET.id, 2**53 - 1)])
CROWD = sorted((seed(f"crowd {n}")[:16], n + 1) for n in range(255))


def seen_json(seen: ref.Seen) -> dict[str, Any]:
    """A position as vectors give it."""
    return dict(zip(("epoch", "seq", "log"), seen, strict=True))


def given(run_: Run, before: tuple[Run, ...] = (), frame: bytes | None = None) -> dict[str, Any]:
    """A run vector's input: the account, its devices, the runs taken before, and the frame."""
    return {
        "account": run_.account,
        "devices": devices(LAPTOP, PHONE, TABLET),
        "before": [each.frame for each in before],
        "frame": run_.frame if frame is None else frame,
    }


def read(run_: Run) -> dict[str, Any]:
    """What must be found in a run."""
    return {
        "suite": run_.suite,
        "device": run_.name,
        "first": run_.first,
        "count": len(run_.changes),
        "prev": run_.start,
        "seen": seen_json(run_.seen),
        "signature": run_.signed,
        "message": run_.message,
        "changes": [
            {
                "counter": counter,
                "class": each.kind,
                "generation": each.generation,
                "object": each.object,
                "stream": each.stream,
                "context": each.context,
                "header": each.header,
                "body_length": len(each.body),
                "leaf": each.leaf,
                "chain": chained,
            }
            for counter, each, chained in zip(
                range(run_.first, run_.last + 1), run_.changes, run_.chains, strict=True
            )
        ],
    }


def cases() -> Iterator[Vector]:
    """Chain starts, single changes, runs."""
    for name, device in (("laptop", LAPTOP), ("phone", PHONE)):
        place = {"account": ACCOUNT, "device": device.id}
        chain = {"chain": ref.chain_start(ACCOUNT, device.id)}
        yield Vector("chain", f"start-{name}", "A device's chain before its first change.", place, chain)
    for case, (note, each) in _changes().items():
        fields = {
            "class": each.kind,
            "generation": each.generation,
            "object": each.object,
            "stream": each.stream,
            "context": each.context,
            "body": each.body,
        }
        yield Vector("change", case, note, fields, {"header": each.header, "leaf": each.leaf})
    for case, (note, run_, before) in _runs().items():
        yield Vector("run", case, note, given(run_, before), read(run_))


def _changes() -> dict[str, tuple[str, Change]]:
    return {
        "state": ("A state without context.", change("a")),
        "delta": ("A delta.", change("b", kind=2)),
        "context": ("What the writer had applied of two other devices.", change("c", context=CONTEXT)),
        "context-of-255": ("As many devices as a context can name.", change("d", context=CROWD)),
        "last-generation": ("The greatest generation.", change("e", generation=2**32 - 1)),
        "longer-body": ("The second PADMÉ length.", change("f", body=filler("f", 272))),
        "zero-ids": ("Ids of zero bytes are ids.", Change(body=bytes(256))),
    }


def _runs() -> dict[str, tuple[str, Run, tuple[Run, ...]]]:
    one = run(LAPTOP, "one")
    three = run(LAPTOP, "one", "two", "three")
    mixed = run(
        LAPTOP,
        changes=[
            change("state"),
            change("delta", kind=2, context=CONTEXT),
            change("tag", stream=TAGS, object=OTHER_NOTE, body=filler("tag", 288)),
        ],
    )
    seen = (EPOCH + 1, 2**53 - 1, seed("a log hash"))
    return {
        "one-change": ("The smallest run.", one, ()),
        "three-changes": ("Changes chain.", three, ()),
        "mixed-changes": ("Both classes, a context, two streams, two lengths.", mixed, ()),
        "continues": ("A run after another of the same device.", after(three, "four", "five"), (three,)),
        "last-covers-all": (
            "The signature of a later run covers every earlier change, whatever runs they came in.",
            after(after(one, "two"), "three"),
            (one, after(one, "two")),
        ),
        "seen": (
            "The writer had verified a log (of another epoch) up to a position.",
            run(LAPTOP, "one", seen=seen),
            (),
        ),
        "context-of-255": ("The longest context.", run(LAPTOP, changes=[change("d", context=CROWD)]), ()),
        "other-device": ("Another device's chain starts elsewhere.", run(PHONE, "one"), ()),
        "twenty-changes": ("A longer run.", run(TABLET, *map(str, range(20))), ()),
    }
