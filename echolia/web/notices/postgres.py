"""Notices by the LISTEN and NOTIFY of the PostgreSQL that holds the directory."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from echolia.storage.engine import StorageError
from echolia.storage.postgres.channel import MOST_LETTERS, Channel
from echolia.web.notices.carrier import Away, carried
from echolia.web.notices.form import SENDER_BYTES, TOLD_BYTES, Told, pack, unpack
from echolia.web.notices.port import MISSED, Hear, Notice, Tell

CHANNEL: Final = "echolia_notices"
# As many notices as fit one word of the channel.
TOGETHER: Final = MOST_LETTERS // 4 * 3 // TOLD_BYTES


class PostgresNotices:
    """Between processes whose directory is in one database; who may connect to it hears them too."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._self = secrets.token_bytes(SENDER_BYTES)

    def joined(self, hear: Hear) -> AbstractAsyncContextManager[Tell]:
        """See `Notices.joined`."""
        return carried(self, hear)

    async def deliver(self, notices: Sequence[Notice]) -> None:
        """See `Medium.deliver`: all in one transaction."""
        packed = [pack(Told(self._self, notice)) for notice in notices]
        parts = [b"".join(packed[at : at + TOGETHER]) for at in range(0, len(packed), TOGETHER)]
        try:
            await self._channel.tell([b64encode(part).decode() for part in parts])
        except StorageError as error:
            raise Away from error

    async def listen(self, hear: Hear) -> None:
        """See `Medium.listen`."""
        try:
            await self._channel.listen(lambda: hear(MISSED), lambda word: self._heard(word, hear))
        except StorageError as error:
            raise Away from error

    def _heard(self, word: str, hear: Hear) -> None:
        try:
            part = b64decode(word, validate=True)
        except ValueError:
            return
        if len(part) % TOLD_BYTES:
            return  # nobody of ours says that
        for at in range(0, len(part), TOLD_BYTES):
            told = unpack(part[at : at + TOLD_BYTES])
            if told.sender != self._self:
                hear(told.notice)

    async def close(self) -> None:
        """See `Medium.close`: the directory is not ours."""
