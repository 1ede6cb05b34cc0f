"""A JSON object of a store, read strictly: what has another type than it should is `Malformed`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

_LONGEST_TEXT: Final = 2048
_GREATEST: Final = 2**53
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Malformed(Exception):
    """It is not what the store's documents say. It carries nothing of what was there."""


class Fields:
    """The fields of one object; a field that is null is one that is not there."""

    def __init__(self, document: object) -> None:
        if not isinstance(document, Mapping):
            raise Malformed
        self._document = document

    def has(self, name: str) -> bool:
        """Whether it is there."""
        return self._document.get(name) is not None

    def text(self, name: str) -> str:
        """A text of 1 to 2,048 characters."""
        found = self.text_or_none(name)
        if not found:
            raise Malformed
        return found

    def text_or_none(self, name: str) -> str | None:
        """A text of at most 2,048 characters; None where it is not there or empty."""
        found = self._document.get(name)
        if found is not None and (not isinstance(found, str) or len(found) > _LONGEST_TEXT):
            raise Malformed
        return found or None

    def long_text_or_none(self, name: str) -> str | None:
        """A text of whatever length: something signed."""
        found = self._document.get(name)
        if found is not None and not isinstance(found, str):
            raise Malformed
        return found or None

    def whole(self, name: str) -> int:
        """A whole number from 0."""
        found = self.whole_or_none(name)
        if found is None:
            raise Malformed
        return found

    def whole_or_none(self, name: str) -> int | None:
        """The same, or None."""
        found = self._document.get(name)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _GREATEST:
            raise Malformed
        return found

    def moment_of_number(self, name: str) -> int:
        """Unix milliseconds, written as a text, as Google writes numbers of 64 bits, or as a number."""
        found = self._document.get(name)
        if not isinstance(found, str):
            return self.whole(name)
        if not _NUMBER.fullmatch(found):
            raise Malformed
        return int(found)

    def moment_or_none(self, name: str) -> int | None:
        """Unix milliseconds of a time in RFC 3339; None where it is not there."""
        found = self.text_or_none(name)
        return None if found is None else _moment(found)

    def flag(self, name: str) -> bool:
        """True or false; false where it is not there."""
        found = self._document.get(name, False)
        if found is not None and not isinstance(found, bool):
            raise Malformed
        return bool(found)

    def uuid_or_none(self, name: str) -> str | None:
        """A UUID in lower case with hyphens."""
        found = self.text_or_none(name)
        try:
            return None if found is None else str(UUID(found))
        except ValueError:
            pass
        raise Malformed

    def object_or_none(self, name: str) -> Fields | None:
        """An object."""
        found = self._document.get(name)
        return None if found is None else Fields(found)

    def objects(self, name: str) -> list[Fields]:
        """A list of objects; empty where it is not there."""
        found = self._document.get(name)
        if found is None:
            return []
        if not isinstance(found, list):
            raise Malformed
        return [Fields(one) for one in found]


def _moment(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
        milliseconds = (found - _EPOCH) // timedelta(milliseconds=1) if found.tzinfo else -1
    except (ValueError, OverflowError):
        milliseconds = -1
    if milliseconds < 0:
        raise Malformed
    return milliseconds
