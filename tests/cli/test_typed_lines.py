"""Lines typed while something else is awaited come whole, in order, and end."""

from __future__ import annotations

import os

from echolia.client.cli.typed_lines import TypedLines


async def test_lines_come_whole_whatever_the_pieces() -> None:
    reader, writer = os.pipe()
    lines = TypedLines(reader)
    os.write(writer, b"12")
    os.write(writer, b"34\r\n\xff56\nlast")
    assert await lines.next() == "1234"
    assert await lines.next() == "\ufffd56"
    os.close(writer)
    assert [await lines.next() for _ in range(3)] == ["last", None, None]
    os.close(reader)
