"""The YAML block at the top of a Markdown file: kept as it is written, and read for what it says."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

import yaml

BYTE_ORDER_MARK: Final = "\ufeff"
MOST_FRONT_CHARACTERS: Final = 64 * 1024
MOST_DEPTH: Final = 32
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(?:(.*?)\r?\n)??(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LARGEST_MS: Final = 2**53 - 1


class FrontMatter(NamedTuple):
    """A text parted into its front matter, as written, and the rest; `front + body` is the text.

    `fields` is what the YAML says; None when it could not be read.
    """

    front: str
    body: str
    fields: dict[str, Any] | None


def split(text: str) -> FrontMatter:
    """Part a text. Without front matter, `front` is empty or just the byte order mark."""
    mark = len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0
    without = FrontMatter(text[:mark], text[mark:], {})
    # Looking no further than this keeps a long text that opens with a rule from being scanned whole.
    found = _FRONT.match(text, 0, min(len(text), MOST_FRONT_CHARACTERS))
    if found is None or (found.end() == MOST_FRONT_CHARACTERS < len(text)):
        return without
    fields = _fields(found.group(1) or "")
    if fields is not None and not isinstance(fields, dict):
        return without  # two rules around a paragraph, not a block of fields
    named = None if fields is None else {str(key).lower(): value for key, value in fields.items()}
    return FrontMatter(text[: found.end()], text[found.end() :], named)


def _fields(block: str) -> Any:
    try:
        if _dangerous(block):
            return None
        loaded = yaml.load(block, Loader=_LOADER)  # noqa: S506 - one of the two safe loaders
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None  # PyYAML lets dates and numbers it cannot build escape as ValueError and the like
    return {} if loaded is None else loaded


def _dangerous(block: str) -> bool:
    """Whether the block nests deeper than anybody writes, or uses aliases.

    Building the tree of the one recurses on the C stack and would crash the process; the other, merged into
    itself, grows without end. Reading the events does neither.
    """
    depth = 0
    for event in yaml.parse(block, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_DEPTH or isinstance(event, yaml.AliasEvent):
            return True
    return False


def title(fields: dict[str, Any]) -> str:
    """The title it gives, empty if none."""
    value = fields.get("title")
    return str(value) if isinstance(value, str | int | float | date) else ""


def tags(fields: dict[str, Any]) -> tuple[str, ...]:
    """The tags it gives, a list or words parted by commas, each once, in order."""
    value = fields.get("tags")
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    plain = (str(word).strip().lstrip("#") for word in words if isinstance(word, str | int | float | date))
    return tuple(dict.fromkeys(word for word in plain if word))


def created_ms(fields: dict[str, Any]) -> int | None:
    """The date it gives (Unix, ms), None if none. Without a time zone it is read as UTC, so that every
    device reads the same."""
    value = fields.get("date", fields.get("created"))
    if isinstance(value, str):
        return milliseconds(value)
    if isinstance(value, datetime):
        return _unix_ms(value)
    return _unix_ms(datetime(value.year, value.month, value.day)) if isinstance(value, date) else None  # noqa: DTZ001


def milliseconds(text: str) -> int | None:
    """An ISO 8601 date or time as Unix ms, None if it is not one."""
    try:
        return _unix_ms(datetime.fromisoformat(text.strip()))
    except ValueError:
        return None


def _unix_ms(moment: datetime) -> int | None:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        value = int(aware.timestamp() * 1000)
    except (OverflowError, ValueError):
        return None
    return value if abs(value) <= _LARGEST_MS else None
