"""One text of each statement for both engines: placeholders are renamed, what is not shared is refused.

The common language is SQLite's without what PostgreSQL lacks: see `docs/decisions/0016-postgresql.md`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from echolia.storage.engine import StorageError
from echolia.storage.postgres.schema import translated_schema

_TOKEN: Final = re.compile(
    r"(?P<space>(?:\s+|--[^\n]*|/\*.*?\*/)+)"
    r"|(?P<text>'(?:[^']|'')*')"
    r"|(?P<placeholder>\?\d*)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign><>|<=|>=|\|\||=(?!=)|[-+*/%<>(),.])",
    re.DOTALL,
)
_SCHEMA: Final = frozenset({"CREATE", "ALTER", "DROP"})
_WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE"})
_READS: Final = frozenset({"SELECT", "VALUES", "WITH"})


class Translated(NamedTuple):
    """PostgreSQL's text of a statement, and what it does: only read, or change the schema."""

    sql: str
    reads: bool
    alters: bool


@lru_cache(maxsize=1024)
def translated(sql: str) -> Translated:
    """The statement for PostgreSQL.

    Raises: StorageError (`dialect`) for what the engines do not share, as far as it can be seen in the text.
    """
    tokens = _tokens(sql)
    words = {token.upper() for kind, token in tokens if kind == "word"}
    first = tokens[0][1].upper() if tokens else ""
    if first in _SCHEMA:
        return Translated(
            translated_schema([token for kind, token in tokens if kind != "space"]), False, True
        )
    if first not in _WRITES | _READS:
        raise StorageError("dialect")
    return Translated(_numbered(tokens), not words & _WRITES, False)


def _tokens(sql: str) -> list[tuple[str, str]]:
    """Kinds and texts, without what stands around the statement and a last semicolon."""
    found: list[tuple[str, str]] = []
    at = 0
    sql = sql.strip().removesuffix(";")
    while at < len(sql):
        token = _TOKEN.match(sql, at)
        if token is None:
            raise StorageError("dialect")
        at, kind, text = token.end(), token.lastgroup or "", token[0]
        # A word right before a text makes something else of it: x'00' is a number's bits in PostgreSQL.
        if kind == "text" and found and found[-1][0] == "word":
            raise StorageError("dialect")
        if found or kind != "space":
            found.append((kind, " " if kind == "space" else text))
    return found


def _numbered(tokens: list[tuple[str, str]]) -> str:
    largest, parts = 0, []
    for kind, text in tokens:
        if kind == "placeholder":
            number = int(text[1:] or largest + 1)
            largest = max(largest, number)
            parts.append(f"${number}")
        else:
            parts.append(text)
    return "".join(parts)
