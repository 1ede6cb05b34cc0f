"""Pages of the log: asked for, and read as far as their form goes."""

from __future__ import annotations

from typing import Final

from echolia.client.session import Session
from echolia.core.errors import EcholiaError
from echolia.core.positions import LogPosition
from echolia.core.push import PAGE_TYPE, Page, read_page

_PAGE_BYTES: Final = 2 << 20


async def pull_page(session: Session, at: LogPosition, *, elide_own: bool) -> bytes:
    """The page that follows a position (epoch 0: the first one of whatever epoch it is)."""
    cursor = {"epoch": at.epoch, "seq": at.seq} if at.epoch else None
    wanted = {"cursor": cursor, "max_bytes": _PAGE_BYTES, "elide_own": elide_own}
    return await session.pull("/sync/pull", wanted, PAGE_TYPE)


async def pull_base(session: Session, seq: int, before: int | None) -> bytes:
    """What the checkpoint at `seq` starts from, newest first, before a position."""
    wanted = {"base": seq, "before": before, "max_bytes": _PAGE_BYTES}
    return await session.pull("/sync/pull", wanted, PAGE_TYPE)


def read_served(raw: bytes) -> Page:
    """A page from its bytes, contents unchecked; raises `server_invalid` or `unsupported_version`."""
    if raw[:1] == b"<":  # as a version it would be the sixtieth; a network's welcome page begins so
        raise EcholiaError("server_invalid", "a web page came instead")
    try:
        return read_page(raw)
    except EcholiaError as error:
        if error.code == "unsupported_version":
            raise
        raise EcholiaError("server_invalid", f"page: {error.code}") from None
