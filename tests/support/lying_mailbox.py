"""Servers that lie in a pairing: with the code or without it, at once or from what they wrote down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from echolia.client.transport import Answer, Request
from echolia.core import canonical
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.core.ids import b64, unb64
from echolia.e2ee.keys import KeyPairs
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal, Side
from tests.support.devices import InProcess, World

DICE = Random(11).randbytes


def taken(request: Request) -> tuple[Side, int] | None:
    """Whose message of which number is asked for, or None."""
    path, _, query = request.path.partition("?")
    if request.method != "GET" or not path.endswith("/messages"):
        return None
    asked = dict(each.split("=") for each in query.split("&"))
    return ("guest" if asked["side"] == "owner" else "owner"), int(asked["n"])


def told(message: bytes) -> Answer:
    """A mailbox's answer."""
    return Answer(200, json.dumps({"message": b64(message)}).encode())


@dataclass
class Lying(InProcess):
    """A server that has an answer of its own to whoever waits for a message, and does not wait for one."""

    lie: Callable[[Side, int], bytes] | None = None

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        place = taken(request)
        if self.lie is not None and place is not None:
            return told(self.lie(*place))
        return await super().ask(request)


def lied_to(world: World, lie: Callable[[Side, int], bytes], *names: str) -> list[Lying]:
    """Let these devices' server lie once that is asked for."""
    made = [Lying(world.ask, lie=lie) for _ in names]
    world.transports.update(zip(names, made, strict=True))
    return made


@dataclass
class Middle:
    """A server that knows the code and plays the guest to the owner and the owner to the guest."""

    code: Code
    keys: KeyPairs = field(default_factory=lambda: KeyPairs(DICE(32), DICE(32)))
    to_owner: Ephemeral = field(default_factory=lambda: Ephemeral.generate(DICE))
    to_guest: Ephemeral = field(default_factory=lambda: Ephemeral.generate(DICE))
    seen: dict[tuple[Side, int], dict[str, Any]] = field(default_factory=dict)
    served: list[tuple[Side, int]] = field(default_factory=list)

    @property
    def reveal(self) -> Reveal:
        """Its own keys, as the owner is shown them."""
        return Reveal.make(self.keys.sign_public, self.keys.box_public, self.to_owner.public, bytes)

    def meddle(self, request: Request, answer: Answer) -> Answer:
        """Read every message, and put its own keys in place of each side's."""
        place = taken(request)
        if place is None or answer.status != 200:
            return answer
        contents = self.code.open(*place, unb64(json.loads(answer.body)["message"]))
        self.seen[place] = contents
        self.served.append(place)
        return told(self.code.seal(*place, {**contents, **self.lies(place)}, DICE))

    def lies(self, place: tuple[Side, int]) -> dict[str, Any]:
        """What it changes in a message."""
        return {
            ("guest", 0): {"commit": self.reveal.commitment()},
            ("owner", 0): {"eph": self.to_guest.public},
            ("guest", 1): {"reveal": self.reveal.raw},
        }.get(place, {})

    def digits(self) -> tuple[str, str]:
        """What the owner expects to be typed, and what the guest shows: it knows both by now."""
        owner, guest = self.seen["owner", 0], self.seen["guest", 1]["reveal"]
        log = DeviceLog.replay([SignedEntry(entry, signatures) for entry, signatures in owner["log"]])
        shown = canonical.decode(guest)
        reveal = Reveal(shown["sign"], shown["box"], shown["eph"], guest)
        place = (self.code.mailbox, log.account)
        expected = Agreement.reach(
            self.to_owner, owner["eph"], *place, self.reveal, owner["eph"], log.head
        )  # fmt: skip
        here = self.to_guest.public
        return expected.digits(), Agreement.reach(
            self.to_guest, reveal.eph, *place, reveal, here, log.head
        ).digits()  # fmt: skip


@dataclass
class Recorder:
    """A server that writes down every message of a mailbox, by side and number."""

    kept: dict[tuple[Side, int], bytes] = field(default_factory=dict)

    def meddle(self, request: Request, answer: Answer) -> Answer:
        """Keep what is served."""
        place = taken(request)
        if place is not None and answer.status == 200:
            self.kept[place] = unb64(json.loads(answer.body)["message"])
        return answer

    def replay(self, side: Side, n: int) -> bytes:
        """Serve what was kept, whatever is there."""
        return self.kept[side, n]


class Deaf(Lying):
    """A lying server that takes whatever is put into a mailbox, also one that is gone."""

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        if request.method == "POST" and request.path.endswith("/messages"):
            return Answer(204, b"")
        return await super().ask(request)
