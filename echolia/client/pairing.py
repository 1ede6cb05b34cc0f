"""The side of pairing that is in the account: show a code, wait, take six digits (`spec/pairing.md`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from hmac import compare_digest
from types import TracebackType
from typing import Final, Self

from echolia.client import key_boxes, ledger
from echolia.client.database import Database
from echolia.client.device_entries import entry_json, fetch_device_log
from echolia.client.mailbox import Mailbox
from echolia.client.replica import Replica
from echolia.client.session import Session, bytes_of
from echolia.client.witnesses import own_ack
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, device_id
from echolia.core.messages import device_log_message
from echolia.core.signing import verify
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal
from echolia.e2ee.secret import Secret

TRIES: Final = 3


class Pairing:
    """One pairing, valid for 120 s; get it from `device.pair()` and use it as an async context manager."""

    def __init__(
        self, replica: Replica, session: Session, server: str, prepare: Callable[[], Awaitable[None]]
    ) -> None:
        """`prepare` is what this device does for a new one before it shows the code."""
        self._replica, self._session, self._server = replica, session, server
        self._prepare = prepare
        self._tries = TRIES
        self._code: Code | None = None
        self._met: tuple[Agreement, Reveal, DeviceLog] | None = None
        self._done = False

    @property
    def code(self) -> str:
        """What to show, once the block is entered; never send it through the server."""
        return self._opened().encode()

    async def guest(self) -> None:
        """Wait until the other device took the code and shows its digits; raises `pairing_failed`."""
        code, mailbox = self._opened(), self._mailbox()
        own = Ephemeral.generate(self._replica.environment.dice)
        commitment = (await mailbox.take(0)).get("commit")
        # Both in one unit of work: it is this log that the guest's digits are made from.
        log, entries = await self._replica.run(_shown, self._replica.database)
        if log.generation != self._replica.identity.secrets.generation:
            raise EcholiaError("pairing_failed", "the account's keys have just changed; start again")
        shown = [[signed.entry, dict(signed.signatures)] for signed in entries]
        await mailbox.put(0, {"eph": own.public, "account": log.account, "log": shown})
        reveal = Reveal.read((await mailbox.take(1)).get("reveal"), commitment)
        agreement = Agreement.reach(
            own, reveal.eph, code.mailbox, log.account, reveal, own.public, log.head
        )  # fmt: skip
        self._met = agreement, reveal, log

    async def confirm(self, digits: str) -> str:
        """Check the six digits and add the device; gives its id (hexadecimal).

        Raises `pairing_check_failed` (try again; the third ends the pairing) or `pairing_failed`.
        """
        if self._met is None or self._tries <= 0:
            raise EcholiaError("pairing_failed")
        agreement, reveal, log = self._met
        typed = "".join(digits.split())
        if not compare_digest(typed.encode(), agreement.digits().encode()):
            self._tries -= 1
            if self._tries <= 0:
                await self._mailbox().close()
            raise EcholiaError("pairing_check_failed", f"{self._tries} tries left")
        await self._add(agreement, reveal, log)
        self._done = True
        await fetch_device_log(self._replica, self._session)
        return device_id(reveal.sign, reveal.box).hex()

    async def __aenter__(self) -> Self:
        await self._prepare()
        dice = self._replica.environment.dice
        await fetch_device_log(self._replica, self._session)
        secret = Secret(dice(32))
        token = Code(self._server, bytes(16), secret).token()
        opened = await self._session.ask(
            "POST", "/auth/pair-device", {"token_hash": b64(sha256(token).digest())}
        )  # fmt: skip
        self._code = Code(self._server, bytes_of(opened, "mailbox", 16), secret)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._done and self._tries > 0:
            await self._mailbox().close()

    async def _add(self, agreement: Agreement, reveal: Reveal, log: DeviceLog) -> None:
        mailbox, identity = self._mailbox(), self._replica.identity
        public = {"sign": reveal.sign, "box": reveal.box}
        entry = entry_bytes("add", log, {"device": public, "by": identity.device})
        message = device_log_message(entry)
        await mailbox.put(1, {"entry": entry, "mac": agreement.mac()})
        signature = (await mailbox.take(2)).get("signature")
        if not isinstance(signature, bytes) or not verify(reveal.sign, message, signature):
            raise EcholiaError("pairing_failed", "the other device did not sign")
        guest = device_id(reveal.sign, reveal.box)
        signatures = {b64(identity.device): identity.keys.sign(message), b64(guest): signature}
        secrets = agreement.seal_secrets(identity.secrets, entry, self._replica.environment.dice)
        verified = await self._replica.run(ledger.position, self._replica.database, identity.account)
        ack = own_ack(identity, verified, log)
        contents = {"entry": entry, "signatures": signatures, "secrets": secrets, "ack": ack}
        last = mailbox.sealed(2, contents)
        signed = entry_json(SignedEntry(entry, signatures))
        boxes = [key_boxes.sealed(identity.secrets, identity.keys, b64(guest), reveal.box)]
        await mailbox.confirm({**signed, "key_boxes": boxes, "message": b64(last)})

    def _mailbox(self) -> Mailbox:
        return Mailbox(self._session, self._opened(), "owner", self._replica.environment)

    def _opened(self) -> Code:
        if self._code is None:
            raise EcholiaError("pairing_failed", "it has not begun")
        return self._code


def _shown(database: Database) -> tuple[DeviceLog, list[SignedEntry]]:
    return ledger.device_log(database), ledger.device_entries(database)
