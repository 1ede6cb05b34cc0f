"""Bytes that are not shown: `repr` gives their length, also where a crash report prints local variables."""

from __future__ import annotations

from typing import Any


class Secret(bytes):
    """Secret bytes. They compare, hash and encode as any bytes; only `repr` and `str` keep them back.

    This is against accidents. Python cannot wipe them, and code in the same process reads them at will.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Their length."""
        return f"<{len(self)} secret bytes>"

    __str__ = __repr__


def hidden(value: Any) -> Any:
    """A decoded value in which all bytes are secret, at any depth."""
    if isinstance(value, bytes):
        return Secret(value)
    if isinstance(value, dict):
        return {key: hidden(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hidden(each) for each in value]
    return value


def hide(holder: object, *names: str) -> None:
    """Make these fields of a frozen dataclass secret, whatever bytes it was made with."""
    for name in names:
        value = getattr(holder, name)
        if type(value) is not Secret:  # most are: keys are handed from one holder to the next
            object.__setattr__(holder, name, hidden(value))
