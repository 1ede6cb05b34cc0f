"""Builders of devices and accounts: keys from seeds, signed logs, and the requests that sign them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from nacl.bindings import crypto_box_seal
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.ids import b64, device_id, unb64
from echolia.core.messages import (
    delete_account_message,
    device_log_message,
    key_box_message,
    login_message,
)
from tests.support.asgi import Answer, Asker


def _seed(*parts: str) -> bytes:
    return sha256("/".join(parts).encode()).digest()


class Keys:
    """A pair for signing and one for boxes, both from a seed."""

    def __init__(self, seed: str) -> None:
        self.signing = SigningKey(_seed("sign", seed))
        self.box_secret = PrivateKey(_seed("box", seed))
        self.sign = bytes(self.signing.verify_key)
        self.box = bytes(self.box_secret.public_key)
        self.id = device_id(self.sign, self.box)
        self.public = {"sign": self.sign, "box": self.box}

    def signed(self, message: bytes) -> bytes:
        """The signature over these bytes."""
        return self.signing.sign(message).signature


def entry_json(signed: SignedEntry) -> dict[str, Any]:
    """A log entry as requests carry it."""
    return {
        "entry": b64(signed.entry),
        "signatures": {name: b64(value) for name, value in signed.signatures.items()},
    }


@dataclass
class Account:
    """An account of one person: its recovery keys, its devices (the first made it), its log."""

    seed: str = "anna"
    devices: list[Keys] = field(default_factory=list)
    log: DeviceLog = field(init=False)
    entries: list[SignedEntry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recovery = Keys(f"{self.seed} recovery")
        self.devices = self.devices or [Keys(f"{self.seed} 0")]
        fields = {
            "suite": 1,
            "nonce": _seed("nonce", self.seed)[:16],
            "recovery": self.recovery.public,
            "device": self.first.public,
        }
        entry = entry_bytes("genesis", None, fields)
        self.entries = [self._sign(entry, {"recovery": self.recovery, b64(self.first.id): self.first})]
        self.log = DeviceLog.start(self.entries[0])

    @property
    def first(self) -> Keys:
        """The device that made the account."""
        return self.devices[0]

    @property
    def id(self) -> bytes:
        """The account's id."""
        return self.log.account

    def add_entry(self, device: Keys, by: Keys | None = None) -> SignedEntry:
        """The entry that adds a device, not yet appended."""
        by = by or self.first
        entry = entry_bytes("add", self.log, {"device": device.public, "by": by.id})
        return self._sign(entry, {b64(by.id): by, b64(device.id): device})

    def revoke_entry(
        self, device: Keys, by: Keys | None = None, last: int = 0, chain: bytes = bytes(32)
    ) -> SignedEntry:
        """The entry that revokes a device, not yet appended."""
        by = by or self.first
        fields = {"device": device.id, "last": last, "chain": chain, "by": by.id}
        return self._sign(entry_bytes("revoke", self.log, fields), {b64(by.id): by})

    def confirm_entry(self, device: Keys) -> SignedEntry:
        """The first device's entry that confirms another, not yet appended."""
        entry = entry_bytes("confirm", self.log, {"device": device.id, "by": self.first.id})
        return self._sign(entry, {b64(self.first.id): self.first})

    def rotate_entry(self, key: bytes) -> SignedEntry:
        """The first device's entry that begins the next generation, not yet appended."""
        fields = {"generation": self.log.generation + 1, "key": key, "recovery": self.recovery.public}
        entry = entry_bytes("rotate", self.log, {**fields, "by": self.first.id})
        return self._sign(entry, {b64(self.first.id): self.first})

    def recover_entry(self, device: Keys) -> SignedEntry:
        """Recovery's entry that adds a device, not yet appended."""
        entry = entry_bytes("add", self.log, {"device": device.public, "by": b""})
        return self._sign(entry, {"recovery": self.recovery, b64(device.id): device})

    def append(self, signed: SignedEntry) -> None:
        """Take an entry over into the account's own log."""
        self.log = self.log.append(signed)
        self.entries.append(signed)

    def key_box(
        self, recipient: str = "recovery", by: Keys | None = None, generation: int = 1
    ) -> dict[str, Any]:
        """A key box as requests carry it."""
        keys = self.recovery if recipient == "recovery" else self._device(recipient)
        box = bytes(crypto_box_seal(b"the account's secrets", keys.box))
        message = key_box_message(self.id, generation, keys.box, box)
        signature = b64((by or self.first).signed(message))
        return {"recipient": recipient, "generation": generation, "box": b64(box), "signature": signature}

    def _device(self, name: str) -> Keys:
        return next(device for device in self.devices if b64(device.id) == name)

    def _sign(self, entry: bytes, signers: Mapping[str, Keys]) -> SignedEntry:
        message = device_log_message(entry)
        return SignedEntry(entry, {name: keys.signed(message) for name, keys in signers.items()})

    # --- requests ---

    def registration(self) -> dict[str, Any]:
        """The body of `POST /auth/register`."""
        return {"genesis": entry_json(self.entries[0]), "key_boxes": [self.key_box()]}

    async def register(self, ask: Asker) -> dict[str, Any]:
        """Register and return the tokens."""
        answer = await ask("POST", "/auth/register", self.registration())
        assert answer.status == 201, answer.body
        tokens: dict[str, Any] = answer.json()["tokens"]
        return tokens

    async def sign_in(self, ask: Asker, device: Keys | None = None) -> Answer:
        """Sign a device in by a challenge."""
        device = device or self.first
        asked = await ask("POST", "/auth/challenge", {"device": b64(device.id)})
        challenge = unb64(asked.json()["challenge"])
        signature = device.signed(login_message(device.id, challenge))
        body = {"device": b64(device.id), "challenge": b64(challenge), "signature": b64(signature)}
        return await ask("POST", "/auth/token", body)

    async def pair(self, ask: Asker, token: str, device: Keys) -> Answer:
        """Add a device through a mailbox, without the conversation; `token` is the first device's."""
        opened = await ask("POST", "/auth/pair-device", {"token_hash": b64(bytes(32))}, token=token)
        signed = self.add_entry(device)
        body = {**entry_json(signed), "key_boxes": [], "message": b64(b"sealed")}
        path = f"/auth/pair-device/{opened.json()['mailbox']}/confirm"
        answer = await ask("POST", path, body, token=token)
        if answer.status == 204:
            self.devices.append(device)
            self.append(signed)
        return answer

    async def revoke(self, ask: Asker, token: str, device: Keys) -> Answer:
        """Revoke a device, by the first."""
        signed = self.revoke_entry(device)
        answer = await ask("DELETE", f"/auth/device/{b64(device.id)}", entry_json(signed), token=token)
        if answer.status == 204:
            self.append(signed)
        return answer

    async def delete(self, ask: Asker, token: str) -> Answer:
        """Delete the account, by the first device."""
        asked = await ask("POST", "/auth/challenge", {"device": b64(self.first.id)})
        challenge = unb64(asked.json()["challenge"])
        signature = self.first.signed(delete_account_message(self.id, challenge))
        body = {"confirm": b64(self.id), "challenge": b64(challenge), "signature": b64(signature)}
        return await ask("DELETE", "/auth/account", body, token=token)
