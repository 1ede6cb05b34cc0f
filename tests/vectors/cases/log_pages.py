"""Vectors of pulled pages: what a device takes from them, and every lie of a server that it must notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from tests.vectors import reference as ref
from tests.vectors.cases.served_log import Log, heads, log_of, position
from tests.vectors.reference import Run, u
from tests.vectors.world import (
    ACCOUNT,
    EPOCH,
    LAPTOP,
    PHONE,
    STRANGER,
    TABLET,
    TAGS,
    Vector,
    after,
    change,
    devices,
    flipped,
    run,
    seed,
)

ONE, OTHER = run(LAPTOP, "one", "two"), run(PHONE, "four", "five")
THREE = after(ONE, "three")
MIXED = run(PHONE, changes=[change("a"), change("tag", stream=TAGS), change("b")])
LOG = log_of(ONE, OTHER, THREE)
HEADER = 174


class Lie(NamedTuple):
    """A page that must be refused after the pages before it."""

    note: str
    page: bytes
    error: str
    before: tuple[bytes, ...] = ()


def _given(
    page: bytes, before: tuple[bytes, ...] = (), cutoff: tuple[int, bytes] | None = None
) -> dict[str, Any]:
    revoked: Mapping[bytes, tuple[int, bytes]] = {} if cutoff is None else {PHONE.id: cutoff}
    members = devices(LAPTOP, PHONE, TABLET, revoked=revoked)
    return {"account": ACCOUNT, "devices": members, "before": list(before), "page": page}


def _taken(log: Log, start: int = 0, counting: dict[int, list[int]] | None = None) -> dict[str, Any]:
    """What the log's runs from `start` on add; `counting` says of which changes a run's bodies are taken."""
    newest = log.stored[-1] if log.stored else None
    served = [
        {
            "seq": each.seq,
            "device": each.run.name,
            "first": each.run.first,
            "count": len(each.run.changes),
            "changes": (counting or {}).get(n, list(range(each.run.first, each.run.last + 1))),
        }
        for n, each in enumerate(log.stored[start:], start)
    ]
    known = heads(*(each.run for each in log.stored))
    received_ms = newest.received_ms if newest else 0
    return {**position(log.head), "received_ms": received_ms, "heads": known, "runs": served}


def cases() -> Iterator[Vector]:
    """Pages that hold, pages that are none, pages that lie."""
    yield from _holding()
    for case, (note, body) in _malformed().items():
        errors = {"error": "malformed_binary", "device_error": "server_invalid"}
        if "version" in case:
            errors = {"error": "unsupported_version", "device_error": "unsupported_version"}
        yield Vector("page", f"malformed-{case}", note, _given(body), errors)
    for group in (_log_lies(), _run_lies(), _form_lies()):
        for case, lie in group.items():
            yield Vector(
                "page", f"refused-{case}", lie.note, _given(lie.page, lie.before), {"device_error": lie.error}
            )


def _holding() -> Iterator[Vector]:
    empty, first = Log(), LOG.page(0, 1)
    yield Vector("page", "empty", "An account without changes.", _given(empty.page()), _taken(empty))
    yield Vector("page", "whole", "Three whole runs of two devices.", _given(LOG.page()), _taken(LOG))
    note = "The second page of a log."
    yield Vector("page", "continues", note, _given(LOG.page(1), (first,)), _taken(LOG, 1))
    latest = log_of(ONE).then(OTHER, 2**48 - 1)
    yield Vector("page", "latest-time", "The last time there can be.", _given(latest.page()), _taken(latest))
    note = "Nothing new."
    yield Vector("page", "nothing-new", note, _given(LOG.page(3), (LOG.page(),)), _taken(LOG, 3))
    own, other, third = LOG.stored
    page = ref.page(LOG.head, [own.item(1, ref.elided(ONE)), other.item(), third.item(1, ref.elided(THREE))])
    note = "Elided runs leave their chain hash, by which the signature verifies."
    yield Vector("page", "elided", note, _given(page), _taken(LOG, 0, {0: [], 2: []}))
    log = log_of(MIXED)
    page = ref.page(log.head, [log.stored[0].item(2, ref.partial(MIXED, (True, False, True)))])
    note = "A run of which one stream was asked for: of the others the leaves."
    yield Vector("page", "partial", note, _given(page), _taken(log, 0, {0: [1, 3]}))
    page = ref.page(log.head, [log.stored[0].item(2, ref.partial(MIXED, (False,) * 3))])
    yield Vector("page", "partial-of-leaves", "Leaves alone.", _given(page), _taken(log, 0, {0: []}))
    yield from _holding_with_seen()
    yield from _revoked()


def _holding_with_seen() -> Iterator[Vector]:
    log = log_of(ONE, OTHER)
    log = log.then(after(ONE, "three", seen=log.head))
    note = "A writer had seen what this page brings."
    yield Vector("page", "seen-in-the-page", note, _given(log.page()), _taken(log))
    older = log_of(ONE).then(replace(OTHER, seen=(EPOCH, 2, log_of(ONE).head[2])))
    pages = (older.page(0, 1),)
    note = "A writer had seen what an earlier page brought."
    yield Vector("page", "seen-before", note, _given(older.page(1), pages), _taken(older, 1))
    foreign = log_of(run(LAPTOP, "one", seen=(EPOCH + 1, 50, seed("elsewhere"))))
    note = "What a writer saw in another epoch cannot be judged here."
    yield Vector("page", "seen-other-epoch", note, _given(foreign.page()), _taken(foreign))


def _revoked() -> Iterator[Vector]:
    note = "Changes after a revoked device's cut-off are left out, everything else goes on."
    given = _given(LOG.page(), cutoff=(1, OTHER.chains[0]))
    yield Vector("page", "revoked-cut-off", note, given, _taken(LOG, 0, {1: [1]}))
    given = _given(LOG.page(), cutoff=(2, OTHER.chains[1]))
    yield Vector("page", "revoked-all-counts", "The cut-off is the device's last change.", given, _taken(LOG))
    given = _given(LOG.page(), cutoff=(0, ref.chain_start(ACCOUNT, PHONE.id)))
    yield Vector(
        "page", "revoked-nothing-counts", "None of its changes counts.", given, _taken(LOG, 0, {1: []})
    )
    given = _given(LOG.page(), cutoff=(1, seed("another history")))
    note = "The device's history is not the one that its revocation names."
    yield Vector("page", "refused-revoked-other-history", note, given, {"device_error": "chain_broken"})


def _malformed() -> dict[str, tuple[str, bytes]]:
    good = LOG.page()
    head = ref.page(LOG.head, [])[:-4]
    short = ref.page(LOG.head, [ref.item(1, 1, 0, bytes(HEADER - 1))])
    far = (EPOCH, 2**53, bytes(32))
    return {
        "empty": ("No page.", b""),
        "cut-in-head": ("Cut in the page's head.", good[:40]),
        "cut-before-items": ("Cut before the first item.", good[:54]),
        "cut-in-item-head": ("Cut in an item's head.", good[:64]),
        "cut-in-item": ("Cut in an item.", good[:200]),
        "cut-in-last-item": ("Cut in the last item.", good[:-1]),
        "additional-byte": ("A byte after the last item.", good + b"\0"),
        "count-huge": ("As many items as 32 bits can say.", head + u(32, 2**32 - 1) + good[54:]),
        "more-2": ("`more` is 0 or 1.", ref.page(LOG.head, [], more=2)),
        "version-0": ("Version 0 never was.", ref.page(LOG.head, [], version=0)),
        "version-2": ("A later version.", ref.page(LOG.head, [], version=2)),
        "head-out-of-range": ("Positions stay below 2^53.", ref.page(far, [])),
        "received-out-of-range": (
            "No number is 2^53 or beyond.",
            ref.page(LOG.head, [ref.item(1, 2**53, 0, ONE.frame)]),
        ),
        "form-3": ("A form nobody knows.", ref.page(LOG.head, [ref.item(1, 1, 3, ONE.frame)])),
        "item-too-short": ("An item shorter than a run header.", short),
    }


def _log_lies() -> dict[str, Lie]:
    one, two, three = (each.item() for each in LOG.stored)
    first, shorter = LOG.page(0, 1), log_of(ONE, OTHER)
    head, changed = LOG.head, (EPOCH, LOG.head[1], seed("a lie"))
    ghost = log_of(run(STRANGER, "boo"))
    late = log_of(ONE).then(OTHER, LOG.stored[1].received_ms + 1)
    empty = (EPOCH, 0, seed("no log starts so"))
    swapped = [two, one, three]
    still = log_of(ONE).then(OTHER, LOG.stored[0].received_ms)
    endless = log_of(ONE).then(OTHER, 2**48)
    return {
        "order-changed": Lie("Two runs changed places.", ref.page(head, swapped), "log_rewritten"),
        "run-omitted": Lie("A run is missing.", ref.page(head, [one, three]), "log_rewritten"),
        "run-repeated": Lie("A run comes twice.", ref.page(head, [one, one, two, three]), "log_rewritten"),
        "first-omitted": Lie("The first run is missing.", ref.page(head, [two, three]), "log_rewritten"),
        "head-hash": Lie(
            "The head's hash is another.", ref.page(changed, [one, two, three]), "log_rewritten"
        ),
        "empty-head-hash": Lie("The empty log's hash is another.", ref.page(empty, []), "log_rewritten"),
        "time-too-late": Lie("Times stay below 2^48.", endless.page(), "server_invalid"),
        "time-stands-still": Lie("Times do not increase.", still.page(), "log_rewritten"),
        "time-changed": Lie(
            "A run was received at another time than the head says.",
            ref.page(head, [one, late.stored[1].item(), three]),
            "log_rewritten",
        ),
        "rolled-back": Lie("The head lies behind.", shorter.page(2), "log_rolled_back", (LOG.page(),)),
        "emptied": Lie("The log is empty again.", Log().page(), "log_rolled_back", (LOG.page(),)),
        "rewritten-behind": Lie(
            "The same position has another hash.", ref.page(changed, []), "log_rewritten", (LOG.page(),)
        ),
        "page-again": Lie("The first page again.", first, "log_rewritten", (first,)),
        "other-epoch": Lie("Another epoch.", Log(epoch=EPOCH + 1).page(), "must_rebase", (first,)),
        "more-but-nothing": Lie(
            "More is promised, nothing comes.", ref.page(head, [], more=1), "server_invalid"
        ),
        "more-withheld": Lie(
            "The head is further, yet no more is promised.", ref.page(head, [one]), "server_invalid"
        ),
        "ghost-device": Lie("A device that the account never added.", ghost.page(), "ghost_device"),
    }


def _served(*runs: Run) -> bytes:
    return log_of(*runs).page()


def _run_lies() -> dict[str, Lie]:
    clone = run(LAPTOP, "one, by a clone", "two")
    unsigned = replace(THREE, signature=flipped(THREE.signed))
    swapped = replace(ONE, changes=ONE.changes[::-1], signature=ONE.signed)
    dropped = replace(ONE, changes=ONE.changes[:1], signature=ONE.signed)
    fork = replace(THREE, seen=(EPOCH, 4, seed("another log")))
    future = replace(THREE, seen=(EPOCH, 5, seed("the future")))
    inside = replace(THREE, seen=(EPOCH, 3, LOG.stored[1].log))
    foreign = Run(ACCOUNT, PHONE, ONE.changes, device=LAPTOP.id)
    first = log_of(ONE).page()
    other = run(LAPTOP, "other", "changes")
    return {
        "signature": Lie("A signature does not verify.", _served(ONE, OTHER, unsigned), "chain_broken"),
        "changes-swapped": Lie("Two changes of a run changed places.", _served(swapped), "chain_broken"),
        "change-dropped": Lie("A run lost its last change.", _served(dropped), "chain_broken"),
        "signed-by-other": Lie("Another device signed.", _served(foreign), "chain_broken"),
        "run-skipped": Lie("A device's earlier run is hidden.", _served(OTHER, THREE), "chain_broken"),
        "fork": Lie(
            "A device's history has two branches.", _served(ONE, after(clone, "three")), "chain_broken"
        ),
        "fork-later": Lie(
            "The other branch, after the first was verified.",
            log_of(ONE).then(after(other, "three")).page(1),
            "chain_broken",
            (first,),
        ),
        "counter-again": Lie("Counters begin again.", _served(ONE, clone), "chain_broken"),
        "seen-other-history": Lie(
            "Its writer was served another log.", _served(ONE, OTHER, fork), "history_forked"
        ),
        "seen-the-future": Lie(
            "Its writer saw what the log does not have yet.", _served(ONE, OTHER, future), "history_forked"
        ),
        "seen-inside-a-run": Lie(
            "Its writer saw a position that no run ends at.", _served(ONE, OTHER, inside), "history_forked"
        ),
        "run-malformed": Lie(
            "A run breaks a rule of runs.",
            _served(run(LAPTOP, changes=[change("one", generation=0)])),
            "server_invalid",
        ),
        "ciphertext-swapped": Lie(
            "The body of another change.",
            ref.page(log_of(ONE).head, [log_of(ONE).stored[0].item(0, _with_other_body())]),
            "chain_broken",
        ),
    }


def _with_other_body() -> bytes:
    return ONE.frame.replace(ONE.changes[0].body, ONE.changes[1].body)


def _form_lies() -> dict[str, Lie]:
    log = log_of(MIXED)
    stored, whole = log.stored[0], ref.partial(MIXED, (True, False, True))
    first = len(MIXED.changes[0].raw)
    leaf_at = HEADER + 1 + first + 1

    def served(form: int, content: bytes) -> bytes:
        return ref.page(log.head, [stored.item(form, content)])

    return {
        "elided-chain": Lie(
            "The chain hash is another.", served(1, MIXED.header + seed("chain")), "chain_broken"
        ),
        "elided-cut": Lie("The chain hash is cut.", served(1, ref.elided(MIXED)[:-1]), "server_invalid"),
        "elided-longer": Lie(
            "A byte after the hash.", served(1, ref.elided(MIXED) + b"\0"), "server_invalid"
        ),
        "elided-whole": Lie("A whole run under the elided form.", served(1, MIXED.frame), "server_invalid"),
        "partial-leaf": Lie("A leaf is another.", served(2, flipped(whole, leaf_at)), "chain_broken"),
        "partial-body": Lie("A body is another.", served(2, flipped(whole, leaf_at - 2)), "chain_broken"),
        "partial-cut-in-leaf": Lie("Cut in a leaf.", served(2, whole[: leaf_at + 3]), "server_invalid"),
        "partial-cut-in-change": Lie("Cut in a change.", served(2, whole[:-1]), "server_invalid"),
        "partial-cut-between": Lie(
            "Cut between parts.", served(2, whole[: HEADER + 1 + first]), "server_invalid"
        ),
        "partial-longer": Lie("A byte after the last part.", served(2, whole + b"\0"), "server_invalid"),
        "partial-unknown-part": Lie(
            "A part that is neither leaf nor change.",
            served(2, whole[:HEADER] + b"\2" + whole[HEADER + 1 :]),
            "server_invalid",
        ),
    }
