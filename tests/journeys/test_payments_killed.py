"""A burst of notifications, shuffled and repeated, at a server that is killed: access is as if in order."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest

from echolia.core.subscription import subscriptions
from echolia.payments.catalogue import open_tiers
from echolia.payments.stores.sandbox import Signer, signer_of
from echolia.payments.stores.sandbox_book import EVENTS, Bought, Event, bought
from echolia.settings import Settings
from tests.support.accounts import Account
from tests.support.process import ServerProcess

NOTIFICATIONS: Final = int(os.environ.get("ECHOLIA_NOTIFICATIONS", "600"))
KILLS: Final = 2
AT_A_TIME: Final = 16
PEOPLE: Final = 12
_EVENTS: Final[Sequence[Event]] = [
    "renew", "cancel", "resume", "fail", "fail-without-grace", "lapse", "refund", "reverse", "upgrade",
    "downgrade", "extend",
]  # fmt: skip
_PRODUCTS: Final = ["echolia.plus.monthly", "echolia.pro.yearly", "nobody.sells.this"]

pytestmark = pytest.mark.slow


class Person(NamedTuple):
    """Somebody with a token of the server and one of the store."""

    bearer: dict[str, str]
    store_token: str


async def test_access_is_what_the_reference_says(tmp_path: Path) -> None:
    dice, data = random.Random(11), tmp_path / "data"
    with ServerProcess(data, sandbox_store="1") as server:
        async with aiohttp.ClientSession() as client:
            people = [await registered(client, server.url, number) for number in range(PEOPLE)]
            lives, bodies = lived(dice, signer_of(data), people)
            bodies += dice.sample(bodies, len(bodies) // 4)
            dice.shuffle(bodies)
            serving = asyncio.Event()
            serving.set()
            killing = asyncio.create_task(killed(server, serving, dice, len(bodies)))
            queue, url = iter(bodies), server.url
            await asyncio.gather(*(delivering(client, url, serving, queue) for _ in range(AT_A_TIME)))
            await killing
            for person, life in zip(people, lives, strict=True):
                told = await asked(client, server.url, person)
                assert told == reference(life), told


async def registered(client: aiohttp.ClientSession, url: str, number: int) -> Person:
    """A new account, and the UUID by which the store knows it."""
    account = Account(f"buyer {number}")
    async with client.post(f"{url}/auth/register", json=account.registration()) as answer:
        token = (await answer.json())["tokens"]["access"]
    bearer = {"Authorization": f"Bearer {token}"}
    async with client.get(f"{url}/payments/subscription", headers=bearer) as answer:
        return Person(bearer, (await answer.json())["account_tokens"]["sandbox"])


def lived(dice: random.Random, signer: Signer, people: Sequence[Person]) -> tuple[list[Bought], list[bytes]]:
    """What became of each one's subscription, and the notifications of it, in order."""
    lives, bodies = [], []
    now_ms = int(time.time() * 1000)
    for number, person in enumerate(people):
        life = bought(f"purchase-{number}", _PRODUCTS[0], person.store_token, now_ms - 10**6)
        bodies.append(notification(signer, life, f"{number} begins"))
        for step in range(NOTIFICATIONS // PEOPLE - 1):
            event = dice.choice(_EVENTS)
            life = EVENTS[event][1](life, dice.choice(_PRODUCTS), now_ms - 10**6 + 1000 * (step + 1))
            bodies.append(notification(signer, life, f"{number} {step}"))
        lives.append(life)
    return lives, bodies


def notification(signer: Signer, life: Bought, name: str) -> bytes:
    """What the store says after a step: of the two last periods and of the renewal."""
    said = signer.notification(name, "ANYTHING", life.facts[-3:], life.renewal.signed_ms)
    return json.dumps({"signed": said}).encode()


async def delivering(client: aiohttp.ClientSession, url: str, serving: asyncio.Event, bodies: Any) -> None:
    """Deliver as a store does: until it is taken."""
    for body in bodies:
        while True:
            await serving.wait()
            try:
                async with client.post(f"{url}/payments/webhook/sandbox", data=body) as answer:
                    if answer.status == 204:
                        break
                    assert answer.status in (429, 503), await answer.text()
            except aiohttp.ClientError:
                continue  # it was killed


async def killed(server: ServerProcess, serving: asyncio.Event, dice: random.Random, bodies: int) -> None:
    """Kill it twice while the burst goes on, and start it again."""
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.2, 0.4) * bodies / 400)
        serving.clear()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        serving.set()


async def asked(client: aiohttp.ClientSession, url: str, person: Person) -> list[tuple[str, str, bool]]:
    """What the server says of somebody's subscriptions."""
    async with client.get(f"{url}/payments/subscription", headers=person.bearer) as answer:
        told = (await answer.json())["subscriptions"]
    return [(each["product"], each["status"], each["entitles"]) for each in told]


def reference(life: Bought) -> list[tuple[str, str, bool]]:
    """The same by the rules alone, from all that the store ever said."""
    now_ms = int(time.time() * 1000)
    sold = open_tiers(Settings()).by_product
    return [
        (each.product_id, each.status, each.product_id in sold and now_ms < each.access_until_ms)
        for each in subscriptions(life.facts, now_ms)
    ]
