"""A server that sells, the sandbox store, a scripted Google, people, and whoever does the jobs."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from echolia.app import running
from echolia.core.ids import b64, unb64
from echolia.core.messages import restore_message
from echolia.core.purchases import Fact, GoogleSnapshot
from echolia.data_folder import payment_keys
from echolia.payments.catalogue import open_tiers
from echolia.payments.service.assembled import Payments, open_payments
from echolia.payments.service.entitlements import REMEMBERED_MS, PaidTiers, environments_of
from echolia.payments.stores.port import StoreName, StorePort
from echolia.payments.stores.sandbox import BOOK, SandboxStore, signer_of
from echolia.payments.stores.sandbox_book import EVENTS, Book, Bought, Event, bought
from echolia.storage.engine import Database, Statement
from echolia.web.context import Caller
from echolia.working import Workshop
from tests.payments.scripted_google import ScriptedGoogle
from tests.support.accounts import Account
from tests.support.asgi import Answer, Asker
from tests.support.engines import opened_directory
from tests.support.server import Clock, settings_for

PLUS = "echolia.plus.monthly"
PRO = "echolia.pro.monthly"
TOKEN_S = 600


@dataclass
class Buyer:
    """A registered account that asks about its purchases."""

    account: Account
    asker: Asker
    clock: Clock
    signed_in_s: float

    async def ask(self, method: str, target: str, body: Any = None) -> Answer:
        """One request, with a token that still holds."""
        if self.clock() > self.signed_in_s + TOKEN_S:
            self.asker.token = (await self.account.sign_in(self.asker)).json()["access"]
            self.signed_in_s = self.clock()
        return await self.asker(method, target, body)

    async def subscription(self) -> dict[str, Any]:
        """What it has."""
        answer = await self.ask("GET", "/payments/subscription")
        assert answer.status == 200, answer.body
        told: dict[str, Any] = answer.json()
        return told

    async def tier(self) -> str:
        """Its tier, as both who tells and who enforces say."""
        told = (await self.subscription())["tier"]
        quota = (await self.ask("GET", "/llm/quota")).json()["tier"]
        assert told == quota, (told, quota)
        return str(told)

    async def token(self, store: StoreName = "sandbox") -> str:
        """Its UUID in a store."""
        return str((await self.subscription())["account_tokens"][store])

    async def verify(self, receipt: str, store: StoreName = "sandbox") -> Answer:
        """Hand over a receipt."""
        return await self.ask("POST", "/payments/verify-receipt", {"store": store, "receipt": receipt})

    async def proof(self, receipt: str, store: StoreName = "sandbox") -> dict[str, str]:
        """The body of a restore, freshly signed."""
        first = self.account.first
        asked = await self.ask("POST", "/auth/challenge", {"device": b64(first.id)})
        challenge = unb64(asked.json()["challenge"])
        signature = first.signed(restore_message(self.account.id, store, receipt, challenge))
        return {
            "store": store,
            "receipt": receipt,
            "challenge": b64(challenge),
            "signature": b64(signature),
        }

    async def restore(self, receipt: str, store: StoreName = "sandbox") -> Answer:
        """Restore a purchase."""
        return await self.ask("POST", "/payments/restore", await self.proof(receipt, store))


class NoProofs:
    """Nobody restores anything through the one who does the jobs."""

    async def spend(self, caller: Caller, challenge: bytes, message: bytes, signature: bytes) -> None:
        """See `web.context.Proofs.spend`."""
        raise AssertionError


@dataclass
class Shop:
    """All of it; `directory` is the server's, seen from another process, whose `workshop` does the jobs."""

    data: Path
    clock: Clock
    ask: Asker
    google: ScriptedGoogle
    directory: Database
    payments: Payments
    workshop: Workshop
    numbers: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        self.book = Book(self.data / BOOK)
        self.signer = signer_of(self.data)

    @property
    def now_ms(self) -> int:
        """The time."""
        return int(self.clock() * 1000)

    async def buyer(self, name: str) -> Buyer:
        """Somebody new."""
        account = Account(name)
        ask = Asker(self.ask.app)
        ask.token = (await account.register(ask))["access"]
        return Buyer(account, ask, self.clock, self.clock())

    def buy(self, token: str | None = None, product: str = PLUS) -> Bought:
        """Somebody buys in the sandbox store."""
        self.numbers[0] += 1
        subscription = bought(f"purchase-{self.numbers[0]}", product, token, self.now_ms)
        self.book.put(subscription)
        return subscription

    def happens(self, was: Bought, event: Event, product: str = PRO) -> Bought:
        """Something happens to it."""
        subscription = EVENTS[event][1](was, product, self.now_ms)
        self.book.put(subscription)
        return subscription

    def receipt(self, subscription: Bought) -> str:
        """What its buyer was given."""
        return self.signer.receipt(subscription)

    def notification(self, kind: str, facts: Sequence[Fact], name: str = "") -> bytes:
        """What the store's server sends."""
        named = name or secrets.token_hex(8)
        return json.dumps({"signed": self.signer.notification(named, kind, facts, self.now_ms)}).encode()

    async def deliver(self, body: bytes, store: StoreName = "sandbox", **headers: str) -> Answer:
        """The store calls the webhook."""
        signed = {"authorization": "Signed by Google"} if store == "google" else {}
        return await Asker(self.ask.app)(
            "POST", f"/payments/webhook/{store}", body=body, headers={**signed, **headers}
        )

    async def tell(self, subscription: Bought, kind: str = "DID_RENEW") -> None:
        """The store tells all it knows of a subscription."""
        answer = await self.deliver(self.notification(kind, subscription.facts))
        assert answer.status == 204, answer.body

    async def google_says(self, kind: str, *tokens: str) -> None:
        """Google notifies, and what follows is done."""
        self.numbers[0] += 1
        answer = await self.deliver(self.google.notification(self.numbers[0], kind, *tokens), "google")
        assert answer.status == 204, answer.body
        await self.work()

    async def work(self) -> int:
        """Another process does what is due; the server's own knows of it ten seconds later."""
        count = await self.workshop.run_due()
        self.clock.pass_s(REMEMBERED_MS / 1000)
        return count

    async def waiting(self) -> list[tuple[Any, ...]]:
        """Kinds, times to wait and failures of the jobs that are to be done once."""
        sql = (
            "SELECT kind, due_ms, code FROM jobs WHERE kind IN ('fetch', 'acknowledge', 'link') ORDER BY kind"
        )
        return [(kind, due_ms - self.now_ms, code) for kind, due_ms, code in await self.rows(sql)]

    async def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Rows of the directory."""
        (found,) = await self.directory.batch([Statement(sql, params)], tx=False)
        return list(found.rows)


@asynccontextmanager
async def shop(
    data: Path, clock: Clock | None = None, google: Mapping[str, GoogleSnapshot] | None = None, **changed: Any
) -> AsyncIterator[Shop]:
    """A server with the sandbox store, whose purchases count, and a scripted Google that sold before."""
    clock = clock or Clock()
    settings = settings_for(data, **{"sandbox_store": True, **changed})

    def clock_ms() -> int:
        return int(clock() * 1000)

    scripted = ScriptedGoogle(clock)
    scripted.tokens |= google or {}
    stores: dict[StoreName, StorePort] = {
        "sandbox": SandboxStore(Book(data / BOOK), signer_of(data)),
        "google": scripted,
    }
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(running(settings, clock, stores=stores))
        directory = await stack.enter_async_context(opened_directory(data))
        catalogue, counting = open_tiers(settings), environments_of(settings)
        tiers = PaidTiers(directory, payment_keys(settings), catalogue, counting, clock_ms)
        payments = open_payments(tiers, stores, NoProofs(), clock_ms)
        dice = _dice()
        workshop = Workshop(directory, payments.reconcilers.handlers(), clock_ms, dice)
        await workshop.run_due()  # what a new server begins with
        yield Shop(data, clock, Asker(gate), scripted, directory, payments, workshop)


def _dice() -> Any:
    count = [0]

    def dice(size: int) -> bytes:
        count[0] += 1
        return sha256(b"jobs %d" % count[0]).digest()[:size]

    return dice
