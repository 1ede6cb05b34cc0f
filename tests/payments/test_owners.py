"""Whose a purchase is: one account's at most, moved by a fresh proof alone, gone with its account."""

from __future__ import annotations

import asyncio

from echolia.core.ids import b64
from echolia.core.messages import delete_account_message
from tests.payments.shop import Buyer, Shop
from tests.support.asgi import Answer


async def delete(buyer: Buyer) -> Answer:
    """The account, for good."""
    from echolia.core.ids import unb64  # noqa: PLC0415

    first = buyer.account.first
    asked = await buyer.ask("POST", "/auth/challenge", {"device": b64(first.id)})
    challenge = unb64(asked.json()["challenge"])
    body = {
        "confirm": b64(buyer.account.id),
        "challenge": b64(challenge),
        "signature": b64(first.signed(delete_account_message(buyer.account.id, challenge))),
    }
    return await buyer.ask("DELETE", "/auth/account", body)


async def test_another_account_s_receipt_is_refused_and_restore_moves_it(store: Shop) -> None:
    anna, bert = await store.buyer("anna"), await store.buyer("bert")
    receipt = store.receipt(store.buy(await anna.token()))
    await anna.verify(receipt)
    refused = await bert.verify(receipt)
    assert (refused.status, refused.code) == (409, "purchase_owned")
    assert (await anna.tier(), await bert.tier()) == ("plus", "free")
    restored = await bert.restore(receipt)
    assert (restored.status, restored.json()["tier"]) == (200, "plus")
    assert (await anna.tier(), await bert.tier()) == ("free", "plus")
    told = await anna.subscription()
    assert told["moved"] == [{"store": "sandbox", "at_ms": store.now_ms}]
    assert told["subscriptions"] == []
    assert (await bert.subscription())["moved"] == []


async def test_what_the_store_says_after_a_move_is_of_the_new_account(store: Shop) -> None:
    anna, bert = await store.buyer("anna"), await store.buyer("bert")
    bought = store.buy(await anna.token())
    await store.tell(bought)
    await bert.restore(store.receipt(bought))
    store.clock.pass_s(60)
    await store.tell(store.happens(bought, "upgrade"))  # with anna's UUID still
    assert (await anna.tier(), await bert.tier()) == ("free", "pro")


async def test_a_replayed_proof_restores_nothing(store: Shop) -> None:
    anna, bert = await store.buyer("anna"), await store.buyer("bert")
    receipt = store.receipt(store.buy(await anna.token()))
    await anna.verify(receipt)
    proof = await bert.proof(receipt)
    assert (await bert.ask("POST", "/payments/restore", proof)).status == 200
    assert (await anna.restore(receipt)).status == 200
    replayed = await bert.ask("POST", "/payments/restore", proof)
    assert (replayed.status, replayed.code) == (409, "restore_proof_used")
    assert (await anna.tier(), await bert.tier()) == ("plus", "free")


async def test_a_proof_holds_for_its_account_device_store_receipt_and_minute(store: Shop) -> None:
    anna, bert = await store.buyer("anna"), await store.buyer("bert")
    bought = store.buy(await anna.token())
    receipt, other = store.receipt(bought), store.receipt(store.buy())
    await anna.verify(receipt)
    stolen = await bert.proof(receipt)
    wrong = [
        (anna, stolen, "challenge_invalid"),
        (bert, {**await bert.proof(other), "receipt": receipt}, "signature_invalid"),
        (bert, {**await bert.proof(receipt), "store": "google"}, "signature_invalid"),
        (bert, {**await bert.proof(receipt), "signature": b64(bytes(64))}, "signature_invalid"),
        (bert, {**await bert.proof(receipt), "challenge": b64(bytes(32))}, "challenge_invalid"),
    ]
    for who, body, code in wrong:
        answer = await who.ask("POST", "/payments/restore", body)
        assert (answer.status, answer.code) == (403, code)
    late = await bert.proof(receipt)
    store.clock.pass_s(61)
    assert (await bert.ask("POST", "/payments/restore", late)).code == "challenge_invalid"
    assert (await anna.tier(), await bert.tier()) == ("plus", "free")


async def test_two_accounts_restoring_at_once_one_wins(store: Shop) -> None:
    anna, bert, clara = [await store.buyer(name) for name in ("anna", "bert", "clara")]
    receipt = store.receipt(store.buy(await anna.token()))
    await anna.verify(receipt)
    answers = await asyncio.gather(bert.restore(receipt), clara.restore(receipt))
    owners = [await each.tier() for each in (anna, bert, clara)]
    assert sorted(owners) == ["free", "free", "plus"]
    assert owners[0] == "free"
    outcomes = sorted((answer.status, answer.code) for answer in answers)
    # Who comes wholly after the other restores from it, which is a move of its own.
    assert outcomes in ([(200, ""), (409, "purchase_owned")], [(200, ""), (200, "")])


async def test_a_purchase_moves_three_times_in_thirty_days(store: Shop) -> None:
    buyers = [await store.buyer(name) for name in ("anna", "bert", "clara", "dora", "emil")]
    receipt = store.receipt(store.buy(await buyers[0].token()))
    await buyers[0].verify(receipt)
    assert [(await each.restore(receipt)).status for each in buyers[1:4]] == [200, 200, 200]
    refused = await buyers[4].restore(receipt)
    assert (refused.status, refused.code) == (409, "restore_limited")
    assert (await buyers[3].restore(receipt)).status == 200  # its own: no move
    store.clock.pass_s(29 * 86_400)
    assert (await buyers[4].restore(receipt)).code == "restore_limited"
    store.clock.pass_s(2 * 86_400)
    assert (await buyers[4].restore(receipt)).status == 200


async def test_account_deleted_while_subscribed(store: Shop) -> None:
    anna, bert = await store.buyer("anna"), await store.buyer("bert")
    bought = store.buy(await anna.token())
    receipt = store.receipt(bought)
    await anna.verify(receipt)
    assert (await delete(anna)).status == 204
    for table in ("entitlements", "store_accounts", "purchases", "purchase_facts", "restore_proofs"):
        mine = "" if table != "store_accounts" else " WHERE store = 'nobody'"
        assert await store.rows(f"SELECT count(*) FROM {table}{mine}") == [(0,)], table
    store.clock.pass_s(60)
    await store.tell(store.happens(bought, "renew"))  # the store goes on, and it is nobody's
    assert (await bert.verify(receipt)).json()["tier"] == "plus"


async def test_nobodys_purchases_are_forgotten(store: Shop) -> None:
    await store.tell(store.buy())
    store.clock.pass_s(59 * 86_400)
    await store.payments.reconcilers.sweep()
    assert await store.rows("SELECT count(*) FROM purchases") == [(1,)]
    store.clock.pass_s(2 * 86_400)
    await store.payments.reconcilers.sweep()
    for table in ("purchases", "purchase_facts", "payment_inbox"):
        assert await store.rows(f"SELECT count(*) FROM {table}") == [(0,)], table


async def test_what_is_stored_shows_no_identifier(store: Shop) -> None:
    anna = await store.buyer("anna")
    token = await anna.token()
    bought = store.buy(token)
    await anna.verify(store.receipt(bought))
    await store.tell(bought)
    for table in ("purchases", "purchase_facts", "payment_inbox", "store_accounts", "jobs"):
        for row in await store.rows(f"SELECT * FROM {table}"):
            shown = b" ".join(each if isinstance(each, bytes) else str(each).encode() for each in row)
            assert bought.id.encode() not in shown, table
            assert token.encode() not in shown, table
