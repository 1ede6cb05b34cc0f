"""Vectors of runs that both ends refuse: one rule broken in each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.vectors import reference as ref
from tests.vectors.cases.runs_taken import CONTEXT, given
from tests.vectors.reference import Run, u
from tests.vectors.world import (
    ACCOUNT,
    LAPTOP,
    OTHER_ACCOUNT,
    PHONE,
    STRANGER,
    TABLET,
    Vector,
    after,
    change,
    filler,
    flipped,
    run,
)

HEADER = 174
FIXED = 38  # class, generation, object, stream, number of context entries


class Refused(NamedTuple):
    """A run to be refused: where, and by which code at either end (device: None, the same)."""

    note: str
    run: Run
    error: str = "run_invalid"
    at: int | None = None
    device: str | None = "server_invalid"
    frame: bytes | None = None
    before: tuple[Run, ...] = ()


def _expect(case: Refused) -> dict[str, Any]:
    at = {} if case.at is None else {"at": case.at}
    device = {} if case.device is None else {"device_error": case.device}
    return {"error": case.error, **at, **device}


def cases() -> Iterator[Vector]:
    """All of them."""
    for group in (_cut(), _header(), _changes(), _contexts(), _lengths(), _signatures(), _moved(), _forked()):
        for name, case in group.items():
            fields = given(case.run, case.before, case.frame)
            yield Vector("run", f"refused-{name}", case.note, fields, _expect(case))


def _cut() -> dict[str, Refused]:
    whole = run(LAPTOP, changes=[change("one", context=CONTEXT), change("two")])
    first = len(whole.changes[0].raw)
    places = {
        "nothing": (0, 0),
        "in-versions": (1, 0),
        "in-run-header": (100, 0),
        "in-signature": (HEADER - 1, 0),
        "after-run-header": (HEADER, 1),
        "in-fixed-part": (HEADER + 20, 1),
        "before-context": (HEADER + FIXED, 1),
        "in-context": (HEADER + FIXED + 30, 1),
        "before-body-length": (HEADER + FIXED + 48, 1),
        "in-body-length": (HEADER + FIXED + 50, 1),
        "before-body": (HEADER + FIXED + 52, 1),
        "in-body": (HEADER + first - 1, 1),
        "between-changes": (HEADER + first, 2),
        "in-last-body": (len(whole.frame) - 1, 2),
    }
    note = "The frame ends too early."
    found = {
        f"cut-{name}": Refused(note, whole, at=at, frame=whole.frame[:length])
        for name, (length, at) in places.items()
    }
    found["additional-byte"] = Refused(
        "A byte after the last change.", whole, at=2, frame=whole.frame + b"\0"
    )
    more = run(LAPTOP, "one", "two", count=1)
    found["additional-change"] = Refused("One change more than count says.", more, at=1)
    fewer = run(LAPTOP, "one", count=2)
    found["missing-change"] = Refused("One change fewer than count says.", fewer, at=2)
    return found


def _header() -> dict[str, Refused]:
    far = 2**53
    version: dict[str, Any] = {"error": "unsupported_version", "device": "unsupported_version"}
    return {
        "version-0": Refused("Version 0 never was.", run(LAPTOP, "one", version=0), **version),
        "version-2": Refused("A later version.", run(LAPTOP, "one", version=2), **version),
        "suite-0": Refused("Suite 0 never was.", run(LAPTOP, "one", suite=0), **version),
        "suite-2": Refused("A later suite.", run(LAPTOP, "one", suite=2), **version),
        "count-0": Refused("A run without changes.", run(LAPTOP), at=0),
        "count-1001": Refused("More changes than a run may have.", run(LAPTOP, "one", count=1001), at=0),
        "count-huge": Refused("As many as 32 bits hold.", run(LAPTOP, "one", count=2**32 - 1), at=0),
        "first-0": Refused("Counters start at 1.", run(LAPTOP, "one", first=0), at=0),
        "first-too-large": Refused("Counters stay below 2^53.", run(LAPTOP, "one", first=far), at=0),
        "first-64-bits": Refused("The greatest integer.", run(LAPTOP, "one", first=2**64 - 1), at=0),
        "seen-epoch-too-large": Refused(
            "Epochs stay below 2^53.", run(LAPTOP, "one", seen=(far, 1, bytes(32))), at=0
        ),
        "seen-seq-too-large": Refused(
            "Positions stay below 2^53.", run(LAPTOP, "one", seen=(1, far, bytes(32))), at=0
        ),
    }


def _second(**wrong: Any) -> Run:
    return run(LAPTOP, changes=[change("one"), change("two", **wrong)])


def _changes() -> dict[str, Refused]:
    version: dict[str, Any] = {"error": "unsupported_version", "device": "unsupported_version"}
    return {
        "class-0": Refused("Class 0 never was.", _second(kind=0), **version),
        "class-3": Refused("A later class.", _second(kind=3), **version),
        "generation-0": Refused("Generations start at 1.", _second(generation=0), at=2),
    }


def _contexts() -> dict[str, Refused]:
    low, high = CONTEXT
    wrong = {
        "unsorted": ([high, low], "The context is not sorted by device id."),
        "duplicate": ([low, low], "The context names a device twice."),
        "self": (sorted([low, (LAPTOP.id, 1)]), "The context names the writer."),
        "counter-0": ([(low[0], 0)], "Counters start at 1."),
        "counter-too-large": ([(low[0], 2**53)], "Counters stay below 2^53."),
    }
    return {
        f"context-{name}": Refused(note, _second(context=context), at=2)
        for name, (context, note) in wrong.items()
    }


def _lengths() -> dict[str, Refused]:
    lengths = {
        "empty": (0, "There is no body."),
        "below-floor": (240, "No body is shorter than 256 bytes."),
        "not-padme": (257, "257 is no PADMÉ length."),
        "odd-padme": (1000, "1000 is a multiple of 8, but its low five bits must be zero."),
    }
    found = {
        f"body-{name}": Refused(note, _second(body=filler("x", length)), at=2)
        for name, (length, note) in lengths.items()
    }
    beyond = _second(body_length=1_081_344)
    found["body-beyond-1-mib"] = Refused("A PADMÉ length, but beyond 1 MiB.", beyond, at=2)
    most = _second(body_length=2**32 - 1)
    found["body-length-huge"] = Refused("As long as 32 bits can say.", most, at=2)
    return found


def _signatures() -> dict[str, Refused]:
    one = run(LAPTOP, "one", "two")
    order = 2**252 + 27742317777372353535851937790883648493
    raised = one.signed[:32] + (int.from_bytes(one.signed[32:], "little") + order).to_bytes(32, "little")
    wrong = {
        "flipped": (run(LAPTOP, "one", signature=flipped(one.signed)), "The signature does not verify."),
        "zero": (run(LAPTOP, "one", signature=bytes(64)), "The signature is zero."),
        "malleated": (run(LAPTOP, "one", "two", signature=raised), "S is not in its least form."),
        "other-device": (run(LAPTOP, "one", signer=PHONE), "Another device of the account signed."),
        "other-account": (run(LAPTOP, "one", signed_account=OTHER_ACCOUNT), "Signed for another account."),
    }
    found = {
        f"signature-{name}": Refused(note, wrong_run, "signature_invalid", device="chain_broken")
        for name, (wrong_run, note) in wrong.items()
    }
    stranger = run(STRANGER, "one")
    note = "A device that the account never added, signing well."
    found["device-unknown"] = Refused(note, stranger, "device_unknown", device="ghost_device")
    return found


def _moved() -> dict[str, Refused]:
    one, two = run(LAPTOP, "one"), run(LAPTOP, "one", "two")
    second = after(one, "two")
    swapped = run(LAPTOP, changes=[two.changes[1], two.changes[0]], signature=two.signed)
    body_at = HEADER + FIXED + 4
    seen_at = HEADER - 64 - 48
    seen = one.frame[:seen_at] + u(64, 5) + one.frame[seen_at + 8 :]
    cut_of: dict[str, Any] = {"error": "signature_invalid", "device": "chain_broken"}
    return {
        "body-changed": Refused(
            "A body is not the one signed.", one, frame=flipped(one.frame, body_at), **cut_of
        ),
        "header-changed": Refused(
            "An object is not the one signed.", one, frame=flipped(one.frame, HEADER + 5), **cut_of
        ),
        "changes-swapped": Refused("Two changes changed places.", swapped, **cut_of),
        "change-dropped": Refused(
            "The last change was cut off.", run(LAPTOP, "one", signature=two.signed), **cut_of
        ),
        "seen-changed": Refused("The writer had not seen that.", one, frame=seen, **cut_of),
        "moved-to-other-device": Refused(
            "The laptop's run under the tablet's name.",
            run(LAPTOP, "one", device=TABLET.id, signature=one.signed),
            **cut_of,
        ),
        "moved-to-other-counter": Refused(
            "The second change as the first.", run(LAPTOP, "two", signature=second.signed), **cut_of
        ),
        "moved-to-other-account": Refused(
            "A run of one account brought into another, whose device has the same keys.",
            run(LAPTOP, "one", account=OTHER_ACCOUNT, prev=one.start, signature=one.signed),
            **cut_of,
        ),
        "prev-changed": Refused(
            "The chain before the run is not the one signed.",
            run(LAPTOP, "one", prev=bytes(32), signature=one.signed),
            **cut_of,
        ),
    }


def _forked() -> dict[str, Refused]:
    one = run(LAPTOP, "one")
    other_chain = run(LAPTOP, "one", prev=ref.chain_start(ACCOUNT, PHONE.id))
    return {
        "prev-of-other-chain": Refused(
            "Signed well, but the chain starts as another device's.",
            other_chain,
            "device_fork",
            1,
            "chain_broken",
        ),
        "prev-of-other-history": Refused(
            "Signed well, but it continues a history that nobody has.",
            after(run(LAPTOP, "another one"), "two"),
            "device_fork",
            2,
            "chain_broken",
            before=(one,),
        ),
        "same-counter-twice": Refused(
            "Signed well, but another change of that counter is there: a clone or a backup wrote it.",
            run(LAPTOP, "another one"),
            "device_fork",
            1,
            "chain_broken",
            before=(one,),
        ),
    }
