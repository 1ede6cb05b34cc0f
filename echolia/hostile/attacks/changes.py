"""Attacks on single changes: bodies swapped, cut and padded, headers edited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from echolia.core import runs
from echolia.core.padding import padme
from echolia.core.push import WHOLE, Page
from echolia.core.runs import RUN_HEADER_BYTES, Change, RunHeader
from echolia.hostile.attack import Attack, codes
from echolia.hostile.exchange import Exchange
from echolia.hostile.forging import in_a_change, in_first_run, joined, parts, raw
from echolia.hostile.lie import ChangePage, Pages, with_item


class _Place(NamedTuple):
    """A change and whose it is."""

    account: bytes
    device: bytes
    change: Change


# Whether the second one's body is to be put in the place of the first one's.
_Wanted: TypeAlias = Callable[[_Place, _Place], bool]


def _swapped(wanted: _Wanted) -> ChangePage:
    """Put another change's genuine body in the place of one that a page brings."""

    def change(page: Page, exchange: Exchange) -> Page:
        others = list(_places(exchange))
        for at, item in enumerate(page.items):
            if item.form != WHOLE:
                continue
            header, changes = parts(bytes(item.content))
            for n, each in enumerate(changes):
                here = _Place(exchange.asker.account, header.device, each)
                body = next((o.change.body for o in others if wanted(here, o)), each.body)
                if body != each.body:
                    written = [*map(raw, changes[:n]), raw(each, body=body), *map(raw, changes[n + 1 :])]
                    return with_item(page, at, content=joined(header, written))
        return page

    return change


def _places(exchange: Exchange) -> Iterator[_Place]:
    for book in exchange.records.books.values():
        for run in book.runs:
            for change in parts(run.frame)[1]:
                yield _Place(book.account, run.header.device, change)


def _of_another_object(here: _Place, there: _Place) -> bool:
    return here[:2] == there[:2] and here.change.object != there.change.object


def _of_another_device(here: _Place, there: _Place) -> bool:
    return here.account == there.account and here.device != there.device


def _of_another_account(here: _Place, there: _Place) -> bool:
    return here.account != there.account


def _of_another_version(here: _Place, there: _Place) -> bool:
    same = here.account == there.account and here.change.object == there.change.object
    return same and here.change.body != there.change.body


def _cut(change: Change) -> bytes:
    """The longest body that is shorter, if the form allows one."""
    length = len(change.body)
    shorter = next((n for n in range(length - 1, 255, -1) if padme(n) == n), length - 1)
    return raw(change, body=change.body[:shorter])


def _padded(change: Change) -> bytes:
    return raw(change, body=change.body.ljust(padme(len(change.body) + 1), b"\0"))


def _flipped(change: Change) -> bytes:
    return raw(change, body=change.body[:-1] + bytes((change.body[-1] ^ 1,)))


def _header(**fields: Callable[[RunHeader, Exchange], object]) -> ChangePage:
    """Edit fields of a run's header."""

    def edit(frame: bytes, exchange: Exchange) -> bytes:
        header = runs.read_header(frame)
        edited = {name: field(header, exchange) for name, field in fields.items()}
        return header._replace(**edited).pack() + frame[RUN_HEADER_BYTES:]  # type: ignore[arg-type]

    return in_first_run(edit)


def _by_another(frame: bytes, exchange: Exchange) -> bytes:
    """The run as if another device had written it, which its context then must not name."""
    header, changes = parts(frame)
    members = {run.header.device for run in exchange.records.book(exchange.asker.account).runs}
    other = min(members - {header.device, exchange.asker.device}, default=exchange.asker.device)
    contexts = ({d: n for d, n in each.context.items() if d != other} for each in changes)
    written = [raw(each, context=context) for each, context in zip(changes, contexts, strict=True)]
    return joined(header._replace(device=other), written)


def _other(name: bytes) -> bytes:
    return bytes((name[0] ^ 1,)) + name[1:]


_EDITS: Final[dict[str, tuple[str, ChangePage]]] = {
    "swap-objects": (
        "puts the body of another object of the same device in a change",
        _swapped(_of_another_object),
    ),
    "swap-devices": ("puts the body of another device's change in a change", _swapped(_of_another_device)),
    "swap-accounts": ("puts the body of another account's change in a change", _swapped(_of_another_account)),
    "swap-versions": (
        "puts the body of another version of the same object in a change",
        _swapped(_of_another_version),
    ),
    "cut-body": ("serves a body without its end", in_a_change(_cut)),
    "pad-body": ("makes a body longer", in_a_change(_padded)),
    "flip-body": ("changes one bit of a body", in_a_change(_flipped)),
    "edit-object": (
        "gives a change to another object",
        in_a_change(lambda change: raw(change, object=_other(change.object))),
    ),
    "edit-stream": (
        "gives a change to another collection",
        in_a_change(lambda change: raw(change, stream=_other(change.stream))),
    ),
    "edit-generation": (
        "says that another key sealed a change",
        in_a_change(lambda change: raw(change, generation=change.generation + 1)),
    ),
    "edit-class": (
        "makes a `delta` of a `state`, or the other way round",
        in_a_change(lambda change: raw(change, kind=runs.STATE + runs.DELTA - change.kind)),
    ),
    "edit-context": (
        "says that a change's writer had applied more",
        in_a_change(lambda change: raw(change, context={**change.context, bytes(16): 1})),
    ),
    "edit-counter": (
        "says that a device has written more before",
        _header(first=lambda header, _: header.first + 1),
    ),
    "edit-prev": (
        "says that a device has written something else before",
        _header(prev=lambda header, _: _other(header.prev)),
    ),
    "edit-seen": (
        "says that a run's writer had seen another log",
        _header(seen=lambda header, _: header.seen._replace(seq=header.seen.seq + 1)),
    ),
    "edit-writer": ("says that another device of the account wrote a run", in_first_run(_by_another)),
    "edit-signature": ("serves a run without its signature", _header(signature=lambda *_: bytes(64))),
}

# A body of the shortest length cannot be cut to another one that the form allows.
ATTACKS: Final = tuple(
    Attack(
        name, server, partial(Pages, edit), codes("chain_broken"),
        codes("server_invalid" if name == "cut-body" else ""),
    )
    for name, (server, edit) in _EDITS.items()
)  # fmt: skip
