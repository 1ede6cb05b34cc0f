"""The values of both engines are the same Python types: integers of 64 bits, texts, bytes, floats, None."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format
from psycopg.types.numeric import FloatBinaryDumper, Int8BinaryDumper, NumericBinaryLoader
from psycopg.types.string import BytesBinaryDumper, StrBinaryDumper


class _Truth(Loader):
    """What is true or false is 1 or 0, as in SQLite."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return bytes(data)[0]


class _Sum(NumericBinaryLoader):
    """A sum of 64-bit integers, which PostgreSQL gives more room, is an integer again."""

    def load(self, data: Buffer) -> int | float:  # type: ignore[override]  # SQLite knows no decimals
        number = super().load(data)
        return int(number) if number == number.to_integral_value() else float(number)


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    # A parameter's type does not depend on its size, or each size would be prepared anew.
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(bool, Int8BinaryDumper)
    adapters.register_dumper(float, FloatBinaryDumper)
    adapters.register_dumper(str, StrBinaryDumper)
    adapters.register_dumper(bytes, BytesBinaryDumper)
    adapters.register_loader("bool", _Truth)
    adapters.register_loader("numeric", _Sum)
    return adapters


ADAPTERS: Final = _adapters()
