"""Whoever has a pairing's traffic and the server's disk learns nothing by them; nor later by the code."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.transport import Answer, Request
from echolia.core import canonical
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.core.ids import unb64
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal
from tests.support.devices import InProcess, World
from tests.support.server import Clock, served

KEY_BYTES = 32


@dataclass
class Tapped(InProcess):
    """A way to the server on which all is heard, from another address with each request."""

    heard: list[tuple[Request, Answer]] = field(default_factory=list)
    addresses: tuple[str, ...] = ("127.0.0.1",)

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        self.ask_server = replace(self.ask_server, peer=self.addresses[len(self.asked) % len(self.addresses)])
        answer = await super().ask(request)
        self.heard.append((request, answer))
        return answer


@dataclass
class Overheard:
    """A pairing from outside the two devices: what passed, the server's files, and what it was about."""

    code: Code
    digits: str
    heard: list[tuple[Request, Answer]]
    disk: bytes
    secrets: dict[str, bytes]

    def messages(self) -> dict[tuple[str, int], bytes]:
        """The sealed messages, by side and number."""
        found = {}
        for request, answer in self.heard:
            path, _, query = request.path.partition("?")
            if path.endswith("/messages") and answer.status == 200 and query:
                other = "guest" if "side=owner" in query else "owner"
                n = int(query.partition("&n=")[2].partition("&")[0])
                found[other, n] = unb64(json.loads(answer.body)["message"])
        return found

    def everything(self) -> bytes:
        """All that was seen, with what base64 in JSON stands for beside it."""
        parts = [self.disk]
        for request, answer in self.heard:
            parts += [request.path.encode(), request.authorization.encode(), request.body, answer.body]
            parts += [*_strings(request.body), *_strings(answer.body)]
        return b"|".join(parts)


def _strings(body: bytes) -> Iterator[bytes]:
    """The bytes that strings of a JSON body stand for."""
    try:
        waiting: list[Any] = [json.loads(body)]
    except ValueError:
        return
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            waiting += one if isinstance(one, list) else [*one, *one.values()]
        elif isinstance(one, str):
            try:
                yield unb64(one)
            except EcholiaError:
                continue


def windows(content: bytes) -> Iterator[bytes]:
    """Every key that lies in it, wherever it begins."""
    seen = set()
    for at in range(len(content) - KEY_BYTES + 1):
        window = content[at : at + KEY_BYTES]
        if window not in seen and len(set(window)) > 8:  # zeros and repetitions are no keys
            seen.add(window)
            yield window


@pytest.fixture
async def overheard(tmp_path: Path) -> AsyncIterator[Overheard]:
    """A laptop and a phone that paired while somebody listened, each on a network of its own and moving."""
    async with served(tmp_path / "server", clock := Clock()) as ask, AsyncExitStack() as stack:
        world = World(ask, clock, tmp_path, stack)
        laptops = Tapped(ask, addresses=("203.0.113.7", "198.51.100.20"))
        phones = Tapped(ask, heard=laptops.heard, addresses=("2001:db8::5", "192.0.2.77", "2001:db8:1::9"))
        world.transports |= {"laptop": laptops, "phone": phones}
        laptop = await world.first()
        await laptop.collection("entries").create({"title": "before"})
        await laptop.sync()
        laptops.heard.clear()
        async with laptop.pair() as pairing:
            async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
                _, digits = await asyncio.gather(pairing.guest(), joining.digits())
                _, phone = await asyncio.gather(pairing.confirm(digits), joining.finish())
            code = Code.decode(pairing.code)
        await phone.sync()
        await phone.aclose()
        vaults = {"laptop": laptop._opened.vault, "phone": phone._opened.vault}
        secrets = {f"{name} sign": vault.keys.sign_secret for name, vault in vaults.items()}
        secrets |= {f"{name} box": vault.keys.box_secret for name, vault in vaults.items()}
        shared = vaults["phone"].secrets
        secrets |= {"index": shared.index, "account key": shared.keys[1], "code": code.secret}
        files = await asyncio.to_thread(_files, tmp_path / "server")
        yield Overheard(code, digits, laptops.heard, files, secrets)


def _files(folder: Path) -> bytes:
    return b"|".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_two_networks_that_change_meanwhile_make_no_difference(overheard: Overheard) -> None:
    assert len(overheard.messages()) == 6
    confirmed = [answer.status for request, answer in overheard.heard if request.path.endswith("/confirm")]
    assert confirmed == [204]


async def test_no_secret_is_on_the_way_or_on_the_disk(overheard: Overheard) -> None:
    seen = overheard.everything()
    for name, secret in overheard.secrets.items():
        spelled = (
            secret,
            secret.hex().encode(),
            base64.b64encode(secret)[:-2],
            base64.urlsafe_b64encode(secret)[:-2],
        )
        assert [form for form in spelled if form in seen] == [], name
    assert not [part for part in _strings_of(overheard) if part == overheard.digits.encode()]
    assert overheard.code.mailbox in seen  # it was looked at: what is meant to be there is found


def _strings_of(overheard: Overheard) -> Iterator[bytes]:
    for request, answer in overheard.heard:
        for body in (request.body, answer.body):
            yield from body.replace(b'"', b" ").replace(b",", b" ").split()


@pytest.mark.slow
async def test_nothing_that_was_seen_opens_a_message(overheard: Overheard) -> None:
    """Every 32 bytes that lie anywhere in it, tried as the code's secret and as a message's own key."""
    raw = overheard.messages()["guest", 0]
    assert overheard.code.open("guest", 0, raw)["commit"]
    tried = 0
    for key in windows(overheard.everything()):
        tried += 1
        with pytest.raises(EcholiaError):
            replace(overheard.code, secret=key).open("guest", 0, raw)
    assert tried > 20_000


@pytest.mark.slow
async def test_the_code_alone_opens_messages_and_no_secrets(overheard: Overheard) -> None:
    """A code that somebody photographed, after the pairing: the account's secrets lie under another key."""
    opened = {
        place: overheard.code.open(place[0], place[1], raw)  # type: ignore[arg-type]
        for place, raw in overheard.messages().items()
    }
    shown, reveal = (
        opened["owner", 0],
        Reveal.read(opened["guest", 1]["reveal"], opened["guest", 0]["commit"]),
    )
    log = DeviceLog.replay([SignedEntry(entry, signatures) for entry, signatures in shown["log"]])
    meeting = (overheard.code.mailbox, shown["account"], reveal, shown["eph"], log.head)
    last = opened["owner", 2]
    met = Agreement.reach(Ephemeral(bytes(range(32))), reveal.eph, *meeting)
    inside = b"|".join(canonical.encode(each) for each in opened.values())
    for secret in set(overheard.secrets.values()) - {overheard.code.secret}:
        assert secret not in inside
    tried = 0
    for dh in windows(inside + overheard.everything()):
        tried += 1
        guess = Agreement(dh, met.transcript)
        assert guess.mac() != opened["owner", 1]["mac"]
        with pytest.raises(EcholiaError):
            guess.open_secrets(last["secrets"], last["entry"])
    assert tried > 20_000
