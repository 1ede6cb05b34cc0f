"""The server's ledger: what it says that it has of this account (`spec/ledger.md`); read strictly."""

from __future__ import annotations

from typing import Final

from echolia.client.session import Session
from echolia.client.standing import Fact
from echolia.core.errors import EcholiaError

_MOST_FACTS: Final = 1000
_MOST_CHARACTERS: Final = 500
_TEXTS: Final = ("place", "what", "why")


async def fetch(session: Session) -> tuple[Fact, ...]:
    """See `Device.ledger`; raises `server_invalid`."""
    facts = (await session.ask("GET", "/ledger")).get("facts")
    if not isinstance(facts, list) or not 0 < len(facts) <= _MOST_FACTS:
        raise EcholiaError("server_invalid", "expected a ledger")
    return tuple(_read(fields) for fields in facts)


def _read(fields: object) -> Fact:
    if not isinstance(fields, dict) or "value" not in fields:
        raise EcholiaError("server_invalid", "expected what is kept of this account")
    texts = [fields.get(name) for name in _TEXTS]
    place, what, why = (text if isinstance(text, str) else "" for text in texts)
    if not (place and what and why) or max(map(len, (place, what, why))) > _MOST_CHARACTERS:
        raise EcholiaError("server_invalid", "expected what is kept of this account")
    return Fact(place, what, fields["value"], why)
