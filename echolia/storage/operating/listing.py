"""What the directory knows of where accounts' databases are: by pages, and by the beginning of an id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from echolia.core.errors import EcholiaError
from echolia.storage.engine import Database, Statement
from echolia.storage.registry import Place, place_of

LEAST_HEX: Final = 6
_ID_HEX: Final = 32
_PAGE: Final = """
SELECT account, home, moving_to, leaving, version, failed, blocked FROM databases
WHERE (?1 IS NULL OR account > ?1) AND (?2 IS NULL OR home = ?2)
    AND (?3 = 0 OR failed IS NOT NULL) AND (?4 = 0 OR blocked = 1)
ORDER BY account LIMIT ?5
"""
_BEGINNING: Final = """
SELECT account FROM databases WHERE account BETWEEN ?1 AND ?2
UNION SELECT account FROM accounts WHERE account BETWEEN ?1 AND ?2 AND deleting = 0 LIMIT 2
"""
_KNOWN: Final = "SELECT 1 FROM accounts WHERE account = ? AND deleting = 0"
_WITHOUT: Final = "SELECT account FROM accounts WHERE deleting = 0 EXCEPT SELECT account FROM databases"


class Filter(NamedTuple):
    """Which databases are listed: those at one place, those whose migration failed, those blocked."""

    home: str | None = None
    failed: bool = False
    blocked: bool = False


EVERY: Final = Filter()


async def listed(
    directory: Database, after: bytes | None, most: int, only: Filter = EVERY
) -> list[tuple[bytes, Place]]:
    """The places of accounts whose ids come after one, in their order."""
    params = (after, only.home, int(only.failed), int(only.blocked), most)
    (found,) = await directory.batch([Statement(_PAGE, params)], tx=False)
    rows: list[Any] = found.rows
    return [(account, place_of(tuple(place))) for account, *place in rows]


def id_of(text: str) -> bytes:
    """A whole id in hexadecimal. Raises: `invalid_request`."""
    if not re.fullmatch(f"[0-9a-f]{{{_ID_HEX}}}", text.lower()):
        raise EcholiaError("invalid_request", f"a whole id is {_ID_HEX} hexadecimal digits")
    return bytes.fromhex(text)


async def account_of(directory: Database, text: str) -> bytes:
    """The account whose id in hexadecimal begins so, at least six digits of it.

    Raises: `invalid_request`, `account_unknown`, `account_ambiguous`.
    """
    if not re.fullmatch(f"[0-9a-f]{{{LEAST_HEX},{_ID_HEX}}}", text.lower()):
        raise EcholiaError("invalid_request", f"an account is {LEAST_HEX} to {_ID_HEX} hexadecimal digits")
    ends = tuple(bytes.fromhex(text.ljust(_ID_HEX, digit)) for digit in "0f")
    (found,) = await directory.batch([Statement(_BEGINNING, ends)], tx=False)
    if not found.rows:
        raise EcholiaError("account_unknown")
    if len(found.rows) > 1:
        raise EcholiaError("account_ambiguous")
    return next(_ids(found.rows))


async def is_known(directory: Database, account: bytes) -> bool:
    """Whether there is such an account, which is not being deleted."""
    (found,) = await directory.batch([Statement(_KNOWN, (account,))], tx=False)
    return bool(found.rows)


async def without_place(directory: Database) -> list[bytes]:
    """Accounts of which it is not known where their database is."""
    (found,) = await directory.batch([Statement(_WITHOUT)], tx=False)
    return list(_ids(found.rows))


def _ids(rows: list[Any]) -> Iterator[bytes]:
    return (account for (account,) in rows)
