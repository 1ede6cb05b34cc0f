"""A passphrase on its way to a key: held in a buffer that can be overwritten, stretched by Argon2id.

libsodium is handed immutable copies, and what was typed has passed through others: those stay in memory until
Python uses it again. What is held here for longer than one call can be overwritten, and is.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from nacl.pwhash import argon2id

from echolia.core.errors import EcholiaError

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
LEAST_CHARACTERS: Final = 8
MOST_CHARACTERS: Final = 1024
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Work:
    """What one guess at a passphrase costs: `ops` passes over `mem` bytes."""

    ops: int
    mem: int

    def within_limits(self) -> bool:
        """Whether a vault may ask for it (`spec/home.md#what-a-passphrase-costs-to-guess`)."""
        return all(
            type(asked) is int and least <= asked <= most
            for asked, least, most in (
                (self.ops, FLOOR.ops, CEILING.ops),
                (self.mem, FLOOR.mem, CEILING.mem),
            )
        )


FLOOR: Final = Work(2, 64 * _MIB)
CEILING: Final = Work(16, 1024 * _MIB)
WORK: Final = Work(3, 128 * _MIB)


class Passphrase:
    """What a person types; a context manager that overwrites it at its end. Never in `repr`."""

    __slots__ = ("_characters", "_text")

    def __init__(self, typed: str | bytes | bytearray) -> None:
        """Take a copy of `typed`; raises `passphrase_invalid` for what is not text."""
        try:
            if isinstance(typed, str) or not typed.isascii():
                text = typed if isinstance(typed, str) else typed.decode()
                text = unicodedata.normalize("NFKC", text)
                self._characters, self._text = len(text), bytearray(text.encode())
            else:
                self._characters, self._text = len(typed), bytearray(typed)
        except UnicodeError:
            raise EcholiaError("passphrase_invalid") from None

    def check_new(self) -> None:
        """Return if it may be chosen; raises `passphrase_invalid`."""
        if not LEAST_CHARACTERS <= self._characters <= MOST_CHARACTERS:
            raise EcholiaError("passphrase_invalid")

    def key(self, salt: bytes, work: Work) -> bytearray:
        """The 32 bytes that it stands for, under 16 bytes of salt; takes as long as `work` says."""
        return bytearray(argon2id.kdf(KEY_BYTES, bytes(self._text), salt, work.ops, work.mem))

    def wipe(self) -> None:
        """Overwrite it."""
        wipe(self._text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()


def wipe(buffer: bytearray) -> None:
    """Overwrite a buffer with zeros."""
    buffer[:] = bytes(len(buffer))
