"""What may become of each kind of canary: exactly which places may hold what devices sealed or named.

A kind or place that is not here must never be met. `text`, `secret` and `unkept` are in no row: nobody keeps
or repeats a readable word, a credential, or bytes of a request that was refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tests.journeys.canary.places import Find

_PLAIN: Final = frozenset({"plain"})
_BASE64: Final = frozenset(f"{name}-{offset}" for name in ("base64", "base64url") for offset in range(3))
_TOLD: Final = _PLAIN | _BASE64

# Kind → place → the forms in which it may be met there.
MAY: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    # A frame is stored and served unaltered: sealed bodies, pseudonyms of objects and streams, hashes.
    "body": {
        "file users/*.db": _PLAIN,
        "column users.runs.frame": _PLAIN,
        "answer pull": _TOLD,  # to a device of the same account: as a page, or as JSON
        "written users/*.db": _PLAIN,
        "sent TCP": _TOLD,
    },
    # A mailbox carries sealed messages from one side to the other.
    "message": {
        "file directory.db": _PLAIN,
        "column directory.mailbox_messages.message": _PLAIN,
        "answer GET messages": _BASE64,
        "written directory.db": _PLAIN,
        "sent TCP": _BASE64,
    },
    "box": {
        "file directory.db": _PLAIN,
        "column directory.key_boxes.box": _PLAIN,
        "answer key-boxes": _BASE64,
        "answer recovery": _BASE64,
        "written directory.db": _PLAIN,
        "sent TCP": _BASE64,
    },
    # A challenge is given for any id, so that nobody learns which exist; a push's answer names runs' devices.
    "device": {
        "file directory.db": _PLAIN,
        "column directory.challenges.device": _PLAIN,
        "answer push": _BASE64,
        "written directory.db": _PLAIN,
        "sent TCP": _BASE64,
    },
    "hash": {
        "file directory.db": _PLAIN,
        "column directory.mailboxes.token_hash": _PLAIN,
        "written directory.db": _PLAIN,
    },
    "ack": {
        "file users/*.db": _PLAIN,
        "column users.acks.body": _PLAIN,
        "answer status": _BASE64,
        "written users/*.db": _PLAIN,
        "sent TCP": _BASE64,
    },
    # Log entries are public to the account's devices; they hold keys, ids and hashes.
    "entry": {
        "file directory.db": _PLAIN,
        "column directory.device_log.entry": _PLAIN,
        "answer devices": _BASE64,
        "answer recovery": _BASE64,
        "written directory.db": _PLAIN,
        "sent TCP": _BASE64,
    },
}


def leaks(found: Iterable[Find]) -> list[Find]:
    """Those that nobody may meet where they were met."""
    return sorted(find for find in found if find.form not in MAY.get(find.kind, {}).get(find.place, ()))


def unmet(found: Iterable[Find], traced: bool) -> list[tuple[str, str]]:
    """Kinds and places of the list in which nothing was met: the list is too wide, or nothing was driven.

    `traced` says that a tracer looked on (its places are "written …" and "sent …"), and nobody else.
    """
    met = {(find.kind, find.place) for find in found}
    listed = {(kind, place) for kind, places in MAY.items() for place in places}
    return sorted(pair for pair in listed - met if pair[1].startswith(("written ", "sent ")) == traced)
