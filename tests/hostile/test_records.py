"""What an operator has on file is what the server holds, from wherever it is that its log begins by now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from echolia.client.transport import Answer, Request
from echolia.core.checkpoints import ChainHead, Checkpoint
from echolia.core.ids import b64
from echolia.core.positions import LogPosition, log_base, log_start
from echolia.hostile.branch import Branch
from echolia.hostile.lie import write_page
from echolia.hostile.records import Book, Logged
from tests.support.runs import Writer

ACCOUNT, EPOCH = b"a" * 16, 7


class Server:
    """A server that holds a log of which it forgot what lies before `base`."""

    def __init__(self, logged: Sequence[Logged], base: LogPosition, point: LogPosition) -> None:
        self.log, self.base = Branch(base, logged), base
        head = ChainHead(1, bytes(32))
        self.point = Checkpoint(point, 0, 1, bytes(32), {bytes(16): head}, 0, bytes(32))

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        if request.path == "/sync/pull":
            seq = json.loads(request.body)["cursor"]["seq"]
            if seq < self.base.seq:
                return Answer(409, b'{"code": "must_rebase"}')
            return Answer(200, write_page(self.log.page(seq, 400, b"")))
        head = self.log.head
        told: dict[str, dict[str, Any]] = {
            "/sync/status": {"epoch": EPOCH, "base": self.base.seq, "head": {"seq": head.seq}, "acks": []},
            "/sync/checkpoint": {"checkpoints": [{"checkpoint": b64(self.point.encode())}]},
        }
        return Answer(200, json.dumps(told.get(request.path, {"log": []})).encode())


def logged(count: int) -> list[Logged]:
    """Runs of one device."""
    writer = Writer(ACCOUNT)
    writer.write(count)
    return [Logged.of(writer.run(n, n), n) for n in range(1, count + 1)]


async def test_a_log_is_read_whole_and_then_what_is_new() -> None:
    runs, start = logged(5), log_start(ACCOUNT, EPOCH)
    book = Book(ACCOUNT)
    await book.read(Server(runs[:3], start, start._replace(seq=1)).ask, "token")
    assert (book.runs, book.base) == (runs[:3], start)
    await book.read(Server(runs, start, start._replace(seq=1)).ask, "token")
    assert book.runs == runs


@pytest.mark.parametrize("former_epoch", [EPOCH, EPOCH - 1])
async def test_a_log_that_was_compacted_is_read_from_its_base(former_epoch: int) -> None:
    runs = logged(5)
    point = Branch(log_start(ACCOUNT, former_epoch), runs[:2]).head
    base = point if former_epoch == EPOCH else log_base(ACCOUNT, EPOCH, point)
    book = Book(ACCOUNT)
    await book.read(Server(runs[2:], base, point).ask, "token")
    assert (book.runs, book.base) == (runs[2:], base)


async def test_what_was_on_file_before_a_compaction_stays_there() -> None:
    runs, start = logged(5), log_start(ACCOUNT, EPOCH)
    point = Branch(start, runs[:2]).head
    book = Book(ACCOUNT)
    await book.read(Server(runs[:3], start, point).ask, "token")
    await book.read(Server(runs[2:], point, point).ask, "token")
    assert (book.runs, book.base) == (runs, start)
