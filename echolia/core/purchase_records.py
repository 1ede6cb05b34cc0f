"""Facts of purchases as maps of plain values, and back: how they are kept and how vectors write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from echolia.core.purchases import (
    AppleRenewal,
    AppleTransaction,
    Fact,
    GoogleLineItem,
    GoogleSnapshot,
    GoogleVoided,
    key_of,
    members_of,
)

_KINDS: Final[Mapping[str, type[Fact]]] = {
    "transaction": AppleTransaction,
    "renewal": AppleRenewal,
    "snapshot": GoogleSnapshot,
    "voided": GoogleVoided,
}


def record_of(fact: Fact) -> dict[str, Any]:
    """The fact's members beside its `fact`, the name of its kind."""
    return {"fact": key_of(fact).kind, **members_of(fact)}


def fact_of(record: Mapping[str, Any]) -> Fact:
    """The fact that a record is of; members of which it says nothing are as none.

    Raises ValueError for what is no record, without repeating it.
    """
    members = dict(record)
    try:
        kind = _KINDS[members.pop("fact")]
        if kind is GoogleSnapshot:
            members["line_items"] = tuple(GoogleLineItem(**item) for item in members["line_items"])
        return kind(**members)
    except (KeyError, TypeError):
        raise ValueError("no fact") from None
