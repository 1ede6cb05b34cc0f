"""Lives of subscriptions in fake stores, through a server that its settings send there, by its endpoints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from echolia.fake_stores.authority import Authority
from echolia.fake_stores.loopback import HANG_UP
from echolia.fake_stores.pubsub import Pushed, play_notification
from echolia.fake_stores.subscription import DAY_MS
from tests.support.accounts import Account
from tests.support.app_store import AppleWorld, apple_world
from tests.support.asgi import Answer, Asker
from tests.support.google_play import GoogleWorld, google_world
from tests.support.server import Clock, served

PLUS, PRO = "echolia.plus.monthly", "echolia.pro.monthly"
JSON = {"content-type": "application/json"}


@dataclass(slots=True)
class Lives:
    """A server, an account on it, and both stores; their clocks are one."""

    ask: Asker
    account: Account
    apple: AppleWorld
    google: GoogleWorld
    clock: Clock

    async def pass_days(self, days: float) -> None:
        """Time passes for all of them; the device signs in again."""
        self._pass_s(days * 86_400)
        self.ask.token = (await self.account.sign_in(self.ask)).json()["access"]
        self._pass_s(0.01)  # a job may have asked meanwhile: what is said from now on is newer

    def _pass_s(self, seconds: float) -> None:
        self.clock.pass_s(seconds)
        self.apple.clock.now_ms = self.google.clock.now_ms = int(self.clock() * 1000)

    async def has(self) -> tuple[str, list[str]]:
        """The account's tier, and the status of each subscription."""
        answer = await self.ask("GET", "/payments/subscription")
        found = answer.json()
        return found["tier"], [each["status"] for each in found["subscriptions"]]

    async def verify(self, store: str, receipt: str) -> Answer:
        """Hand a receipt over."""
        return await self.ask("POST", "/payments/verify-receipt", {"store": store, "receipt": receipt})

    async def apple_says(self, signed: str) -> Answer:
        """Apple's webhook."""
        body = json.dumps({"signedPayload": signed}).encode()
        return await self.ask("POST", "/payments/webhook/apple", body=body, headers=JSON, token="")

    async def google_says(self, pushed: Pushed) -> Answer:
        """Google's webhook."""
        headers = {name.decode(): value.decode() for name, value in pushed.headers.items()}
        return await self.ask("POST", "/payments/webhook/google", body=pushed.body, headers=headers, token="")

    async def comes_to(self, tier: str) -> None:
        """Jobs are done beside: ask until it is so. Time passes a little, as some wait for a later one."""
        async with asyncio.timeout(60):
            while (await self.has())[0] != tier:
                self._pass_s(0.01)


def written(folder: Path, apple: AppleWorld, google: GoogleWorld) -> Path:
    """The operator's file of stores, and the files that it names."""
    a, g = apple.access(), google.access()
    (folder / "key.p8").write_text(a.private_key)
    (folder / "root.cer").write_bytes(apple.authority.root_der)
    (folder / "account.json").write_text(g.service_account)
    sections: dict[str, dict[str, Any]] = {
        "apple": {
            "bundle_id": a.bundle_id, "app_apple_id": a.app_apple_id, "issuer_id": a.issuer_id,
            "key_id": a.key_id, "key_file": "key.p8", "root_files": ["root.cer"],
        },
        "apple.urls": {"production": a.urls["production"]},
        "google": {
            "package_name": g.package_name, "key_file": "account.json", "url": g.url,
            "push_subscription": g.push_subscription, "push_audience": g.push_audience,
            "push_email": g.push_email, "certs_url": g.certs_url,
        },
    }  # fmt: skip
    lines = [
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
        for name, section in sections.items()
    ]
    (folder / "stores.toml").write_text("\n".join(lines))
    return folder / "stores.toml"


@pytest.fixture
async def lives(tmp_path: Path) -> AsyncIterator[Lives]:
    """All of it."""
    with apple_world() as apple, google_world() as google:
        clock = Clock(apple.clock() / 1000)
        file = written(tmp_path, apple, google)
        async with served(tmp_path / "data", clock, stores=file, jobs_seconds=0.1) as ask:
            account = Account("anna")
            ask.token = (await account.register(ask))["access"]
            yield Lives(ask, account, apple, google, clock)


async def test_a_life_in_the_app_store(lives: Lives) -> None:
    store = lives.apple.store
    sold = store.sell(PLUS)
    assert (await lives.verify("apple", store.sign(sold.last))).status == 200
    assert await lives.has() == ("plus", ["active"])
    await lives.pass_days(29)
    sold.buy(sold.last["expiresDate"])
    assert (await lives.apple_says(store.notify("DID_RENEW", about=sold))).status == 204
    await lives.pass_days(0.01)
    sold.cancel()
    signed = store.notify("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_DISABLED", sold)
    assert (await lives.apple_says(signed)).status == 204
    assert (await lives.apple_says(signed)).status == 204  # again
    assert await lives.has() == ("plus", ["canceled"])
    await lives.pass_days(0.01)
    sold.refund(lives.apple.clock())
    assert (await lives.apple_says(store.notify("REFUND", about=sold))).status == 204
    assert await lives.has() == ("free", ["revoked"])


async def test_an_upgrade_that_is_refunded_does_not_bring_the_former_back(lives: Lives) -> None:
    store = lives.apple.store
    sold = store.sell(PLUS)
    await lives.verify("apple", store.sign(sold.last))
    await lives.pass_days(1)
    sold.last["isUpgraded"] = True
    former = dict(sold.last)
    sold.buy(lives.apple.clock(), PRO)
    await lives.apple_says(store.notify("DID_CHANGE_RENEWAL_PREF", "UPGRADE", sold))
    await lives.apple_says(store.notify("DID_CHANGE_RENEWAL_PREF", "UPGRADE", sold, transaction=former))
    assert await lives.has() == ("pro", ["active"])
    await lives.pass_days(0.01)
    sold.refund(lives.apple.clock())
    await lives.apple_says(store.notify("REFUND", about=sold))
    assert await lives.has() == ("free", ["revoked"])


async def test_a_card_that_is_refused(lives: Lives) -> None:
    store = lives.apple.store
    sold = store.sell(PLUS)
    await lives.verify("apple", store.sign(sold.last))
    await lives.pass_days(31)
    sold.fail_to_renew(lives.apple.clock() + DAY_MS)
    await lives.apple_says(store.notify("DID_FAIL_TO_RENEW", "GRACE_PERIOD", sold))
    assert await lives.has() == ("plus", ["grace"])
    await lives.pass_days(2)
    assert await lives.has() == ("free", ["billing_retry"])
    sold.buy(lives.apple.clock())
    await lives.apple_says(store.notify("DID_RENEW", "BILLING_RECOVERY", sold))
    assert await lives.has() == ("plus", ["active"])


async def test_forged_notifications_change_nothing(lives: Lives) -> None:
    store = lives.apple.store
    sold = store.sell(PLUS)
    await lives.verify("apple", store.sign(sold.last))
    revoked = {**sold.last, "revocationDate": lives.apple.clock(), "signedDate": lives.apple.clock() + 1}
    forged = Authority(lives.apple.responder.server.url).signer().sign(revoked)
    data = {
        "bundleId": store.app.bundle_id, "appAppleId": store.app.app_apple_id,
        "environment": "Production", "signedTransactionInfo": forged,
    }  # fmt: skip
    for signed in (forged, store.notify("REFUND", data=data)):
        answer = await lives.apple_says(signed)
        assert (answer.status, answer.code) == (400, "notification_invalid")
    assert await lives.has() == ("plus", ["active"])


async def test_a_receipt_that_is_forged_and_a_responder_that_is_down(lives: Lives) -> None:
    sold = lives.apple.store.sell(PLUS)
    forged = Authority(lives.apple.responder.server.url).signer().sign({**sold.last, "signedDate": 1})
    assert (await lives.verify("apple", forged)).code == "receipt_invalid"
    lives.apple.responder.mood = "down"
    answer = await lives.verify("apple", lives.apple.store.sign(sold.last))
    assert (answer.status, answer.code) == (503, "store_unavailable") and answer.headers["retry-after"]
    assert await lives.has() == ("free", [])


async def test_a_life_in_google_play(lives: Lives) -> None:
    play = lives.google.play
    token = (await lives.ask("GET", "/payments/subscription")).json()["account_tokens"]["google"]
    sold = play.sell("token-1", PLUS, account_token=token)
    assert (await lives.verify("google", "token-1")).status == 200
    assert await lives.has() == ("plus", ["active"])
    sold["subscriptionState"] = "SUBSCRIPTION_STATE_ON_HOLD"
    await lives.pass_days(1)
    assert (await lives.google_says(lives.google.renewed("token-1", 2))).status == 204  # it says renewed
    await lives.comes_to("free")
    assert sold["acknowledgementState"] == "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED"


async def test_bought_while_the_app_is_closed(lives: Lives) -> None:
    token = (await lives.ask("GET", "/payments/subscription")).json()["account_tokens"]["google"]
    sold = lives.google.play.sell("token-2", PLUS, account_token=token)
    assert (await lives.google_says(lives.google.renewed("token-2", 4))).status == 204
    await lives.comes_to("plus")
    async with asyncio.timeout(30):
        while sold["acknowledgementState"] != "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED":
            await lives.has()


async def test_resubscribed_outside_of_the_app_is_found_by_the_expired_token(lives: Lives) -> None:
    play = lives.google.play
    former = play.sell("token-3", PLUS, days=1)
    await lives.verify("google", "token-3")
    await lives.pass_days(2)
    former["subscriptionState"] = "SUBSCRIPTION_STATE_EXPIRED"
    play.sell("token-4", PRO, outOfAppPurchaseContext={"expiredPurchaseToken": "token-3"})
    await lives.google_says(lives.google.renewed("token-4", 4))
    await lives.comes_to("pro")


async def test_voided_by_push(lives: Lives) -> None:
    play = lives.google.play
    play.sell("token-5", PLUS)
    await lives.verify("google", "token-5")
    about = {"purchaseToken": "token-5", "orderId": "GPA.token-5", "productType": 1, "refundType": 1}
    event = play_notification(play.package_name, lives.google.clock(), voidedPurchaseNotification=about)
    assert (await lives.google_says(lives.google.pubsub.push(event))).status == 204
    assert (await lives.has())[0] == "free"


async def test_a_garbage_push_is_taken_and_a_forged_one_is_not(lives: Lives) -> None:
    assert (await lives.google_says(lives.google.pubsub.push(b"garbage"))).status == 204
    forged = lives.google.pubsub.push(
        {}, token=lives.google.play.keys.sign(lives.google.pubsub.claims(aud="x"))
    )
    assert (await lives.google_says(forged)).code == "notification_invalid"
    lives.google.play.server.will(*[HANG_UP] * 20)  # jobs ask it as well
    assert (await lives.verify("google", "token-6")).code == "store_unavailable"


async def test_missed_webhook_found_by_history(lives: Lives) -> None:
    store = lives.apple.store
    sold = store.sell(PLUS)
    await lives.verify("apple", store.sign(sold.last))
    await lives.pass_days(0.01)
    for _ in range(45):  # of others, and of somebody whom we do not know
        store.notify("DID_RENEW", about=store.sell(PLUS), delivered=False)
    sold.refund(lives.apple.clock())
    store.notify("REFUND", about=sold, delivered=False)
    await lives.pass_days(0.05)
    async with asyncio.timeout(60):
        while "page-40" not in {one.first("paginationToken") for one in store.server.asked}:
            await lives.has()
    await lives.comes_to("free")


async def test_voided_found_by_reconciliation(lives: Lives) -> None:
    play = lives.google.play
    play.sell("token-7", PLUS)
    await lives.verify("google", "token-7")
    await lives.pass_days(0.5)
    play.void("other", "GPA.other")
    play.void("another", "GPA.another")
    play.void("token-7", "GPA.token-7")
    await lives.pass_days(1)
    await lives.comes_to("free")
