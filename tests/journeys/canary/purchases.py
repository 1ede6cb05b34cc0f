"""Purchases of the sandbox store with canaries for identifiers: nobody keeps them readable, or says them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from echolia.core.ids import b64
from echolia.core.messages import restore_message
from echolia.payments.stores.sandbox import BOOK, signer_of
from echolia.payments.stores.sandbox_book import bought
from tests.journeys.canary.flock import SECRET, UNKEPT
from tests.journeys.canary.person import Person
from tests.journeys.canary.watched import Watched

VERIFY: Final = "/payments/verify-receipt"
RESTORE: Final = "/payments/restore"
WEBHOOK: Final = "/payments/webhook/sandbox"
_BOUGHT_MS: Final = 1_795_000_000_000


def receipt(person: Person) -> str:
    """What the store gave for a purchase of this person's, named by canaries."""
    flock = person.flock
    purchase = bought(
        flock.word("purchase", SECRET), "echolia.plus.monthly", flock.word("uuid", SECRET), _BOUGHT_MS
    )
    return signer_of(person.wire.data).receipt(purchase)


def notification(person: Person) -> bytes:
    """What the store's server sends of one, its id a canary too."""
    flock, signer = person.flock, signer_of(person.wire.data)
    purchase = bought(
        flock.word("purchase", SECRET), "echolia.plus.monthly", flock.word("uuid", SECRET), _BOUGHT_MS
    )
    said = signer.notification(
        flock.word("notification", SECRET), "SUBSCRIBED/INITIAL_BUY", purchase.facts, _BOUGHT_MS
    )
    return json.dumps({"signed": said}).encode()


def restore_of(person: Person, given: str) -> dict[str, Any]:
    """The body of a restore, freshly signed."""
    first = person.account.first
    challenge = person.challenge(first)
    signature = first.signed(restore_message(person.account.id, "sandbox", given, challenge))
    return {"store": "sandbox", "receipt": given, "challenge": b64(challenge), "signature": b64(signature)}


def buy_well(person: Person) -> Person:
    """A purchase by webhook, one by receipt, restored by another account (returned), and taken back."""
    assert person.wire("POST", WEBHOOK, body=notification(person)).status == 204
    given = receipt(person)
    assert person.ask("POST", VERIFY, {"store": "sandbox", "receipt": given}).status == 200
    assert person.ask("GET", "/payments/subscription").status == 200
    other = Person(person.wire, f"{person.name} other").register()
    for each in (other, person):
        assert each.ask("POST", RESTORE, restore_of(each, given)).status == 200
    return other


def _wrong_receipts(person: Person) -> None:
    for given in (
        person.flock.text("receipt"),
        person.flock.coded("receipt", UNKEPT, 64),
        receipt(person)[:-2],
    ):
        person.ask("POST", VERIFY, {"store": "sandbox", "receipt": given})
        person.ask("POST", RESTORE, restore_of(person, given))


def _wrong_notifications(person: Person) -> None:
    word = person.flock.word("notification", SECRET)
    wrong = (json.dumps({"signed": word}), json.dumps({word: word}), json.dumps([word]), word)
    for body in wrong:
        person.wire("POST", WEBHOOK, body=body.encode())


def _owned(person: Person) -> None:
    given = receipt(Person(person.wire, f"{person.name} owner").register())
    for each in (Person(person.wire, f"{person.name} first").register(), person):
        each.ask("POST", VERIFY, {"store": "sandbox", "receipt": given})


def _used_proof(person: Person) -> None:
    body = restore_of(person, receipt(person))
    for _ in range(2):
        person.ask("POST", RESTORE, body)


def _moved_often(person: Person) -> None:
    given = receipt(person)
    for number in range(4):
        each = Person(person.wire, f"{person.name} {number}").register()
        each.ask("POST", RESTORE, restore_of(each, given))
    person.ask("POST", RESTORE, restore_of(person, given))


def _no_such_store(person: Person) -> None:
    word = person.flock.word("receipt", SECRET)
    person.ask("POST", VERIFY, {"store": "nowhere", "receipt": word})
    person.ask("POST", RESTORE, {**restore_of(person, word), "store": "apple"})


BRING_PURCHASES: Final[Mapping[str, Callable[[Person], object]]] = {
    "receipt_invalid": _wrong_receipts,
    "notification_invalid": _wrong_notifications,
    "store_unknown": _no_such_store,
    "purchase_owned": _owned,
    "restore_proof_used": _used_proof,
    "restore_limited": _moved_often,
}


def store_away(server: Watched, person: Person) -> None:
    """The store's own book is damaged: it answers nothing."""
    book = server.data / BOOK
    book.write_text("no book", "utf-8")
    person.ask("POST", VERIFY, {"store": "sandbox", "receipt": receipt(person)})
    book.unlink()
