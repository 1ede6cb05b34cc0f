"""Somebody between two devices that pair, who has seen the code: the laptop's server, and the phone's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from echolia.client.environment import Environment
from echolia.client.mailbox import Mailbox
from echolia.client.session import MemoryTokens, Session
from echolia.client.transport import Answer, Request
from echolia.core.ids import b64, unb64
from echolia.e2ee.keys import KeyPairs
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal
from tests.support.devices import InProcess


@dataclass
class Middle:
    """To the phone it is a server (a `Transport`) and the laptop behind it; to the laptop it is the phone.

    It wants both to show the same digits while it holds a key with each. `log` and `account` are what the
    laptop's server knows anyway.
    """

    code: Code
    real: InProcess
    environment: Environment
    account: bytes
    log: list[Any]
    log_head: bytes
    taken: dict[int, dict[str, Any]] = field(default_factory=dict)
    towards_phone: Ephemeral = field(init=False)
    towards_laptop: Ephemeral = field(init=False)
    keys: KeyPairs = field(init=False)

    def __post_init__(self) -> None:
        dice = self.environment.dice
        self.towards_phone, self.towards_laptop = Ephemeral.generate(dice), Ephemeral.generate(dice)
        self.keys = KeyPairs(dice(32), dice(32))
        session = Session(self.real, self.keys, MemoryTokens(), self.environment)
        self.mailbox = Mailbox(session, self.code, "guest", self.environment)

    # --- the server that the phone asks ---

    async def ask(self, request: Request) -> Answer:
        """Take the phone's messages, and give it a laptop's first one; nothing after that."""
        if request.method == "POST":
            sent = json.loads(request.body)
            contents = self.code.open("guest", sent["n"], unb64(sent["message"]))
            self.taken[sent["n"]] = contents
            return Answer(204, b"")
        if "n=0" not in request.path:
            return Answer(404, b'{"code": "mailbox_unknown", "title": ""}')
        shown = {"eph": self.towards_phone.public, "account": self.account, "log": self.log}
        sealed = self.code.seal("owner", 0, shown, self.environment.dice)
        return Answer(200, json.dumps({"message": b64(sealed)}).encode())

    async def lines(self, request: Request) -> AsyncIterator[str]:
        """See `Transport.lines`: there are none."""
        return
        yield

    async def close(self) -> None:
        """See `Transport.close`."""

    # --- what it knows of each side ---

    def phones_digits(self) -> str:
        """What the phone shows, once it has revealed its keys."""
        reveal = Reveal.read(self.taken[1]["reveal"], self.taken[0]["commit"])
        return self._reach(self.towards_phone, reveal.eph, reveal, self.towards_phone.public).digits()

    def own_reveal(self, nonce: bytes) -> Reveal:
        """Its keys as the phone's, with this nonce (16 bytes)."""
        eph = self.towards_laptop.public
        return Reveal.make(self.keys.sign_public, self.keys.box_public, eph, lambda _: nonce)

    def laptops(self, reveal: Reveal, laptops_eph: bytes) -> Agreement:
        """What the laptop comes to by this reveal."""
        return self._reach(self.towards_laptop, laptops_eph, reveal, laptops_eph)

    def _reach(self, own: Ephemeral, other: bytes, reveal: Reveal, owner_eph: bytes) -> Agreement:
        code, account = self.code, self.account
        return Agreement.reach(own, other, code.mailbox, account, reveal, owner_eph, self.log_head)
