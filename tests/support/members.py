"""A member: an account on a server whose first device writes, pushes and acknowledges."""

from __future__ import annotations

from echolia.core.ids import b64, unb64
from echolia.core.messages import ack_message
from echolia.core.positions import LogPosition
from echolia.core.push import PUSH_TYPE, write_push
from tests.support.accounts import Account
from tests.support.asgi import Answer, Asker
from tests.support.runs import Writer


class Member:
    """An account whose first device writes."""

    def __init__(self, ask: Asker, name: str) -> None:
        self.ask = ask
        self.account = Account(name)
        self.writer = Writer(self.account.id)
        first = self.account.first
        self.writer.secret, self.writer.public = bytes(first.signing), first.sign
        self.writer.device = first.id
        self.token = ""

    async def register(self) -> Member:
        """Make the account."""
        self.token = (await self.account.register(self.ask))["access"]
        return self

    async def push(self, body_bytes: int = 256, count: int = 1, query: str = "") -> Answer:
        """Some more changes, with all that the server does not have yet."""
        self.writer.write(count, body_bytes)
        status = (await self.ask("GET", "/sync/status", token=self.token)).json()
        first = next((each["counter"] for each in status["devices"]), 0) + 1
        body, headers = write_push([self.writer.run(first)]), {"content-type": PUSH_TYPE}
        return await self.ask("POST", f"/sync/push{query}", body=body, headers=headers, token=self.token)

    async def acknowledge(self) -> Answer:
        """The log's head, acknowledged."""
        status = (await self.ask("GET", "/sync/status", token=self.token)).json()
        position = LogPosition(status["epoch"], status["head"]["seq"], unb64(status["head"]["log"]))
        first, head = self.account.first, self.account.log.head
        signature = first.signed(ack_message(self.account.id, first.id, position, 1, head))
        body = {
            "epoch": position.epoch,
            "seq": position.seq,
            "log": b64(position.log),
            "devices": {"n": 1, "head": b64(head)},
            "signature": b64(signature),
        }
        return await self.ask("POST", "/sync/ack", body, token=self.token)
