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
    """PostgreSQL's text of a statement, and what it does: only read, or change the schema.

    `order` has the numbers of the `given` parameters that the text wants, in its own order.
    """

    sql: str
    order: tuple[int, ...]
    given: int
    reads: bool
    alters: bool


@lru_cache(maxsize=1024)
def translated(sql: str, nulls: frozenset[int] = frozenset()) -> Translated:
    """The statement for PostgreSQL.

    `nulls` are the numbers (from 1) of parameters that are NULL, which stand in the text itself: bound, they
    would need a type, and `?1 IS NULL` tells none. Raises: StorageError (`dialect`) for what the engines do
    not share, as far as it can be seen in the text.
    """
    tokens = _tokens(sql)
    words = {token.upper() for kind, token in tokens if kind == "word"}
    first = tokens[0][1].upper() if tokens else ""
    if first in _SCHEMA:
        schema = translated_schema([token for kind, token in tokens if kind != "space"])
        return Translated(schema, (), 0, False, True)
    if first not in _WRITES | _READS:
        raise StorageError("dialect")
    text, order, given = _numbered(tokens, nulls)
    return Translated(text, order, given, not words & _WRITES, False)


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


def _numbered(tokens: list[tuple[str, str]], nulls: frozenset[int]) -> tuple[str, tuple[int, ...], int]:
    """The text, the parameters that it wants, and how many SQLite would want."""
    largest = 0
    order: dict[int, int] = {}
    parts = []
    for kind, text in tokens:
        if kind != "placeholder":
            parts.append(text)
            continue
        number = int(text[1:] or largest + 1)
        largest = max(largest, number)
        parts.append("NULL" if number in nulls else f"${order.setdefault(number, len(order) + 1)}")
    return "".join(parts), tuple(order), largest
