"""Somebody with an account whose sealed parts are canaries: all that devices send, but traceable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from echolia.core import runs
from echolia.core.checkpoints import checkpoint_message
from echolia.core.ids import b64, unb64
from echolia.core.messages import ack_message, delete_account_message, key_box_message, login_message
from echolia.core.positions import NOTHING_SEEN, LogPosition
from echolia.core.push import PUSH_TYPE, read_page, write_push
from tests.journeys.canary.asking import Asking
from tests.journeys.canary.flock import ACK, BODY, BOX, ENTRY, HASH, MESSAGE, Flock
from tests.journeys.canary.wire import Wire
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Answer
from tests.support.live_changes import checkpoint_of
from tests.support.runs import Writer


@dataclass
class Person:
    """An account on the server that `wire` asks; its keys come from `name`."""

    wire: Wire
    name: str
    account: Account = field(init=False)
    writer: Writer = field(init=False)
    asking: Asking = field(init=False)
    access: str = ""
    refresh: str = ""

    def __post_init__(self) -> None:
        self.account = Account(self.name)
        self.writer = writer_of(self.account, self.account.first)
        self.asking = Asking(self)

    @property
    def flock(self) -> Flock:
        """Where its canaries come from."""
        return self.wire.flock

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """A request of its first device."""
        return self.wire(method, path, body, token=self.access)

    def box(self, device: Keys | None = None, generation: int = 1) -> dict[str, Any]:
        """A key box for a device, or for recovery, that holds a canary and is well signed."""
        sealed, keys = self.flock.raw("key box", BOX, 96), device or self.account.recovery
        message = key_box_message(self.account.id, generation, keys.box, sealed)
        signature = b64(self.account.first.signed(message))
        recipient = "recovery" if device is None else b64(device.id)
        said = {"recipient": recipient, "generation": generation}
        return {**said, "box": b64(sealed), "signature": signature}

    def registration(self) -> dict[str, Any]:
        """The body of `POST /auth/register`."""
        return {"genesis": entry_json(self.account.entries[0]), "key_boxes": [self.box()]}

    def take(self, tokens: dict[str, Any]) -> None:
        """Go on with these tokens."""
        self.access, self.refresh = tokens["access"], tokens["refresh"]

    def register(self) -> Person:
        """Make the account."""
        answer = self.wire("POST", "/auth/register", self.registration())
        assert answer.status == 201, answer.body
        self.take(answer.json()["tokens"])
        return self

    def challenge(self, device: Keys) -> bytes:
        """A fresh challenge for a device."""
        return unb64(self.wire("POST", "/auth/challenge", {"device": b64(device.id)}).json()["challenge"])

    def sign_in(self, device: Keys) -> Answer:
        """Tokens for a device, by its signature."""
        challenge = self.challenge(device)
        signature = device.signed(login_message(device.id, challenge))
        body = {"device": b64(device.id), "challenge": b64(challenge), "signature": b64(signature)}
        return self.wire("POST", "/auth/token", body)

    def open_mailbox(self) -> Answer:
        """A mailbox whose token's hash is a canary, so that no guest has the token."""
        return self.ask("POST", "/auth/pair-device", {"token_hash": self.flock.coded("hash", HASH, 32)})

    def confirmation(self, device: Keys) -> dict[str, Any]:
        """The body that adds a device to the account."""
        signed = entry_json(self.account.add_entry(device))
        return {**signed, "key_boxes": [], "message": self.flock.coded("owner's last", MESSAGE, 64)}

    def add(self, device: Keys) -> Answer:
        """Add a device through a mailbox, without the conversation."""
        mailbox = self.open_mailbox().json()["mailbox"]
        signed = self.account.add_entry(device)
        answer = self.ask("POST", f"/auth/pair-device/{mailbox}/confirm", self.confirmation(device))
        if answer.status == 204:
            self.account.devices.append(device)
            self.account.append(signed)
        return answer

    def revocation(self, device: Keys) -> dict[str, Any]:
        """The body that revokes a device; its cut-off names a canary as the chain's hash."""
        chain = self.flock.raw("chain in a revocation", ENTRY, 32)
        return entry_json(self.account.revoke_entry(device, last=1, chain=chain))

    def revoke(self, device: Keys) -> Answer:
        """Revoke a device."""
        chain = self.flock.raw("chain in a revocation", ENTRY, 32)
        signed = self.account.revoke_entry(device, last=1, chain=chain)
        answer = self.ask("DELETE", f"/auth/device/{b64(device.id)}", entry_json(signed))
        if answer.status == 204:
            self.account.append(signed)
        return answer

    def deletion(self) -> dict[str, Any]:
        """The body that deletes the account."""
        challenge = self.challenge(self.account.first)
        signature = self.account.first.signed(delete_account_message(self.account.id, challenge))
        return {"confirm": b64(self.account.id), "challenge": b64(challenge), "signature": b64(signature)}

    def acknowledgement(self) -> dict[str, Any]:
        """A well signed acknowledgement of the log's head, with a canary for the device log's."""
        status = self.ask("GET", "/sync/status").json()
        position = LogPosition(status["epoch"], status["head"]["seq"], unb64(status["head"]["log"]))
        head, first = self.flock.raw("device log head", ACK, 32), self.account.first
        signature = first.signed(ack_message(self.account.id, first.id, position, 1, head))
        return {
            "epoch": position.epoch, "seq": position.seq, "log": b64(position.log),
            "devices": {"n": 1, "head": b64(head)}, "signature": b64(signature),
        }  # fmt: skip

    def checkpoint(self, **changed: Any) -> dict[str, Any]:
        """The body that puts a well signed checkpoint of the log's head; `changed` makes it say something
        else.
        """
        items = read_page(self.wire("POST", "/sync/pull", {"max_bytes": 8 << 20}, token=self.access).body)
        log, first = self.account.log, self.account.first
        cutoffs = {each.device: each.revoked.last for each in log.devices.values() if each.revoked}
        point = checkpoint_of(self.account.id, items.items, items.head, (log.length, log.head), cutoffs)
        raw = point._replace(**changed).encode()
        signature = first.signed(checkpoint_message(self.account.id, first.id, raw))
        return {"checkpoint": b64(raw), "signature": b64(signature)}

    def addition(self, device: Keys) -> dict[str, Any]:
        """The body that adds a device without a mailbox; its key box is a canary, for recovery."""
        return {**entry_json(self.account.add_entry(device)), "key_boxes": [self.box()]}

    # --- runs ---

    def write(self, count: int = 1, body_bytes: int = 256) -> None:
        """Some more changes: object, stream and body are canaries."""
        for _ in range(count):
            header = runs.change_header(
                runs.STATE,
                1,
                self.flock.raw("object", BODY, 16),
                self.flock.raw("stream", BODY, 16),
                {},
                body_bytes,
            )
            self.writer.changes.append(header + self.flock.raw("sealed body", BODY, body_bytes))

    def seen(self) -> LogPosition:
        """A position of an epoch that the server cannot judge, whose hash is a canary."""
        return LogPosition(1, 1, self.flock.raw("seen", BODY, 32))

    def push(self, *frames: bytes) -> Answer:
        """Push frames in the binary form."""
        return self.push_bytes(write_push(frames))

    def push_bytes(self, body: bytes, media_type: str = PUSH_TYPE, query: str = "") -> Answer:
        """Push any bytes."""
        headers = {"Content-Type": media_type}
        return self.wire("POST", f"/sync/push{query}", body=body, headers=headers, token=self.access)

    def push_new(self, count: int = 1) -> Answer:
        """Write some changes and push them."""
        first = len(self.writer.changes) + 1
        self.write(count)
        return self.push(self.writer.run(first, seen=self.seen()))

    def json_run(self) -> dict[str, Any]:
        """The whole history as one run in JSON."""
        header = runs.read_header(self.writer.run())
        frame = self.writer.run()
        changes = runs.read_changes(frame, header, runs.change_ends(frame, header))
        return {
            "version": 1, "suite": 1, "device": b64(header.device), "first": header.first,
            "prev": b64(header.prev), "seen": {"epoch": 0, "seq": 0, "log": b64(NOTHING_SEEN.log)},
            "signature": b64(header.signature),
            "changes": [{"header": b64(change.header), "body": b64(change.body)} for change in changes],
        }  # fmt: skip


def writer_of(account: Account, device: Keys) -> Writer:
    """A writer of runs with the keys of this device."""
    writer = Writer(account.id)
    writer.secret, writer.public, writer.device = bytes(device.signing), device.sign, device.id
    return writer
