"""SQLite's statements that make tables, said for PostgreSQL; whatever is not listed here is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from echolia.storage.engine import StorageError

_TYPES: Final = {"BLOB": "BYTEA", "INTEGER": "BIGINT", "TEXT": "TEXT", "REAL": "DOUBLE PRECISION"}
_FUNCTIONS: Final = frozenset(
    {"LENGTH", "COALESCE", "ABS", "LOWER", "UPPER", "SUBSTR", "IN", "AND", "OR", "NOT"}
)
# Words that mean something else there, or nothing.
_OTHERWISE: Final = frozenset({"GLOB", "LIKE", "MATCH", "REGEXP", "COLLATE", "ISNULL", "NOTNULL", "CAST"})
_ACTIONS: Final = ("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION")


def translated_schema(tokens: Sequence[str]) -> str:
    """PostgreSQL's statement for the tokens of SQLite's.

    Tables are STRICT, so that both engines keep the same types, and `INTEGER PRIMARY KEY` counts by itself
    as it does in SQLite. Raises: StorageError (`dialect`).
    """
    reader = _Reader(tokens)
    sql = _statement(reader)
    reader.end()
    return sql


class _Reader:
    """The tokens that are still to be read."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._words = tokens
        self._at = 0

    def takes(self, words: str) -> bool:
        """Whether these words come next; then they are read."""
        wanted = words.split()
        found = [token.upper() for token in self._words[self._at : self._at + len(wanted)]]
        if found == wanted:
            self._at += len(wanted)
            return True
        return False

    def demand(self, words: str) -> None:
        """Read these words."""
        if not self.takes(words):
            raise StorageError("dialect")

    def next(self) -> str:
        """Read whatever comes."""
        if self._at >= len(self._words):
            raise StorageError("dialect")
        self._at += 1
        return self._words[self._at - 1]

    def name(self) -> str:
        """Read a name."""
        name = self.next()
        if not name.isidentifier():
            raise StorageError("dialect")
        return name

    def expression(self, closed_by: str) -> str:
        """Read an expression to what closes it, or to the end where that is nothing."""
        parts: list[str] = []
        depth = 0
        while self._at < len(self._words):
            if depth == 0 and self._words[self._at] == closed_by:
                break
            word = self.next()
            depth += (word == "(") - (word == ")")
            if word == "(" and parts and parts[-1].isidentifier() and parts[-1].upper() not in _FUNCTIONS:
                raise StorageError("dialect")
            if word.upper() in _OTHERWISE or word.startswith("?"):
                raise StorageError("dialect")
            parts.append(word)
        if depth or not parts:
            raise StorageError("dialect")
        return " ".join(parts)

    def end(self) -> None:
        """Nothing is left."""
        if self._at != len(self._words):
            raise StorageError("dialect")


def _statement(reader: _Reader) -> str:
    if reader.takes("CREATE TABLE"):
        return _table(reader)
    if reader.takes("CREATE UNIQUE INDEX"):
        return f"CREATE UNIQUE INDEX {_index(reader)}"
    if reader.takes("CREATE INDEX"):
        return f"CREATE INDEX {_index(reader)}"
    if reader.takes("ALTER TABLE"):
        return f"ALTER TABLE {reader.name()} {_alteration(reader)}"
    for kind in ("TABLE", "INDEX"):
        if reader.takes(f"DROP {kind}"):
            return f"DROP {kind} {'IF EXISTS ' if reader.takes('IF EXISTS') else ''}{reader.name()}"
    raise StorageError("dialect")


def _table(reader: _Reader) -> str:
    there = "IF NOT EXISTS " if reader.takes("IF NOT EXISTS") else ""
    name = reader.name()
    reader.demand("(")
    parts = [_part(reader)]
    while reader.takes(","):
        parts.append(_part(reader))
    reader.demand(")")
    options = {_option(reader)}
    while reader.takes(","):
        options.add(_option(reader))
    if "STRICT" not in options:
        raise StorageError("dialect")
    return f"CREATE TABLE {there}{name} ({', '.join(parts)})"


def _option(reader: _Reader) -> str:
    for option in ("STRICT", "WITHOUT ROWID"):
        if reader.takes(option):
            return option
    raise StorageError("dialect")


def _part(reader: _Reader) -> str:
    """A column or a constraint of the table."""
    for key in ("PRIMARY KEY", "UNIQUE"):
        if reader.takes(key):
            return f"{key} {_names(reader)}"
    if reader.takes("CHECK"):
        return _check(reader)
    if reader.takes("FOREIGN KEY"):
        names = _names(reader)
        reader.demand("REFERENCES")
        return f"FOREIGN KEY {names} {_reference(reader)}"
    return _column(reader)


def _column(reader: _Reader) -> str:
    name, kind = reader.name(), _TYPES.get(reader.next().upper())
    if kind is None:
        raise StorageError("dialect")
    parts = [name, kind]
    while (constraint := _constraint(reader, kind)) is not None:
        parts.append(constraint)
    return " ".join(parts)


def _constraint(reader: _Reader, kind: str) -> str | None:
    if reader.takes("PRIMARY KEY"):
        counts = reader.takes("AUTOINCREMENT") or kind == "BIGINT"
        return f"{'GENERATED BY DEFAULT AS IDENTITY ' if counts else ''}PRIMARY KEY"
    for words in ("NOT NULL", "UNIQUE"):
        if reader.takes(words):
            return words
    if reader.takes("DEFAULT"):
        return f"DEFAULT {_literal(reader)}"
    if reader.takes("CHECK"):
        return _check(reader)
    if reader.takes("REFERENCES"):
        return _reference(reader)
    return None


def _literal(reader: _Reader) -> str:
    sign = "-" if reader.takes("-") else ""
    literal = reader.next()
    if not (literal[0].isdigit() or (not sign and (literal[0] == "'" or literal.upper() == "NULL"))):
        raise StorageError("dialect")
    return sign + literal


def _check(reader: _Reader) -> str:
    reader.demand("(")
    expression = reader.expression(")")
    reader.demand(")")
    return f"CHECK ({expression})"


def _reference(reader: _Reader) -> str:
    parts = [f"REFERENCES {reader.name()}"]
    if reader.takes("("):
        parts.append(f"({reader.name()})")
        reader.demand(")")
    for event in ("ON DELETE", "ON UPDATE"):
        if reader.takes(event):
            action = next((action for action in _ACTIONS if reader.takes(action)), None)
            if action is None:
                raise StorageError("dialect")
            parts.append(f"{event} {action}")
    if reader.takes("DEFERRABLE INITIALLY DEFERRED"):
        parts.append("DEFERRABLE INITIALLY DEFERRED")
    return " ".join(parts)


def _names(reader: _Reader) -> str:
    reader.demand("(")
    names = [reader.name()]
    while reader.takes(","):
        names.append(reader.name())
    reader.demand(")")
    return f"({', '.join(names)})"


def _index(reader: _Reader) -> str:
    there = "IF NOT EXISTS " if reader.takes("IF NOT EXISTS") else ""
    name = reader.name()
    reader.demand("ON")
    on = f"{there}{name} ON {reader.name()} {_names(reader)}"
    return f"{on} WHERE {reader.expression('')}" if reader.takes("WHERE") else on


def _alteration(reader: _Reader) -> str:
    if reader.takes("ADD COLUMN"):
        return f"ADD COLUMN {_column(reader)}"
    if reader.takes("DROP COLUMN"):
        return f"DROP COLUMN {reader.name()}"
    if reader.takes("RENAME COLUMN"):
        former = reader.name()
        reader.demand("TO")
        return f"RENAME COLUMN {former} TO {reader.name()}"
    reader.demand("RENAME TO")
    return f"RENAME TO {reader.name()}"
