"""A canary in tokens, ids and signatures: none of it is in a failure, in a representation or in any log."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.purchases import PurchaseKey
from echolia.fake_stores.app_store import failure as apple_failure
from echolia.fake_stores.authority import Authority
from echolia.fake_stores.google_play import failure as google_failure
from echolia.fake_stores.loopback import HANG_UP, Answered
from echolia.payments.stores.apple import AppleStore
from echolia.payments.stores.connection import LOGGERS
from echolia.payments.stores.google import GoogleStore
from tests.support.app_store import AppleWorld
from tests.support.google_play import GoogleWorld

CANARY: Final = "canary7f3a9"
NUMBER: Final = "7193719371937"
ECHO: Final = Answered(200, json.dumps({"error": CANARY, "errorMessage": NUMBER}).encode())
TOO: Final = Answered(418, CANARY.encode(), "text/plain")


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """All that any logger of this process says at whatever level, their own handlers aside."""
    said: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(self.format(record))

    handler = Keeping()
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: "\n".join(said)
    root.removeHandler(handler)
    root.setLevel(before)


async def told(attempt: Awaitable[object]) -> str:
    """All that a failure tells: itself, its chain and its traceback, as whoever catches it may print them."""
    with pytest.raises(EcholiaError) as raised:
        await attempt
    error: BaseException | None = raised.value
    lines = traceback.format_exception(raised.value)
    seen = []
    while error is not None:
        seen.append(error)
        lines += [repr(error), str(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(lines)


def clean(text: str, *more: str) -> None:
    """The canary is nowhere in it."""
    for each in (CANARY, NUMBER, *more):
        assert each not in text


async def test_what_apple_refuses_is_not_repeated(
    world: AppleWorld, apple: AppleStore, logged: Callable[[], str]
) -> None:
    sold = world.store.sell(CANARY, original_id=NUMBER)
    world.responder.mood = "down"
    clean(await told(apple.verify_receipt(world.store.sign(sold.last))))
    world.responder.mood = "good"
    foreign = Authority(world.responder.server.url).signer()
    forged = foreign.sign({**sold.last, "signedDate": world.clock()})
    mistyped = world.store.sign({**sold.last, "expiresDate": CANARY, "offerType": CANARY})
    for receipt in (CANARY, f"{CANARY}.{CANARY}.{CANARY}", forged, mistyped):
        clean(await told(apple.verify_receipt(receipt)), receipt[-40:])
        body = json.dumps({"signedPayload": receipt}).encode()
        clean(await told(apple.verify_notification({b"x-canary": CANARY.encode()}, body)), receipt[-40:])
    clean(logged())


@pytest.mark.parametrize("answer", [ECHO, TOO, apple_failure(5000000), apple_failure(4290000), HANG_UP])
async def test_what_apple_is_asked_is_not_repeated(
    world: AppleWorld, apple: AppleStore, logged: Callable[[], str], answer: Answered
) -> None:
    world.store.sell(CANARY, original_id=NUMBER)
    purchase = PurchaseKey("production", NUMBER)
    key = world.store.private_key.splitlines()[1]
    world.store.server.will(answer)
    if answer in (ECHO, TOO):
        assert list(await apple.fetch(purchase)) == []
    else:
        clean(await told(apple.fetch(purchase)), key)
    world.store.server.will(answer)
    if answer in (ECHO, TOO):
        await apple.link(purchase, CANARY)
    else:
        clean(await told(apple.link(purchase, CANARY)), key)
    clean(logged(), key, "Bearer")
    facts = await apple.fetch(purchase)
    assert len(facts) == 2
    clean("".join(repr(fact) for fact in facts).replace(CANARY, "", 4))  # a product is no secret
    clean(repr(purchase) + repr(world.access()), key)


@pytest.mark.parametrize("answer", [ECHO, TOO, google_failure(500), google_failure(401), HANG_UP])
async def test_what_google_is_asked_is_not_repeated(
    google_side: GoogleWorld, google: GoogleStore, logged: Callable[[], str], answer: Answered
) -> None:
    google_side.play.sell(CANARY, "plus", linkedPurchaseToken=CANARY, account_token=CANARY)
    purchase = PurchaseKey("production", CANARY)
    [fact] = await google.fetch(purchase)
    google_side.play.server.will(answer)
    said = [await told(google.fetch(purchase))]
    google_side.play.server.will(answer)
    if answer != ECHO:
        said.append(await told(google.acknowledge(purchase, "plus")))
    key = json.loads(google_side.play.service_account)["private_key"].splitlines()[1]
    clean("".join(said) + logged(), "ya29", key)
    clean(repr(fact) + repr(purchase) + repr(google_side.access()), key)


async def test_what_is_pushed_is_not_repeated(
    google_side: GoogleWorld, google: GoogleStore, logged: Callable[[], str]
) -> None:
    claims = google_side.pubsub.claims(email=CANARY)
    foreign = google_side.pubsub.push({"canary": CANARY}, token=google_side.play.keys.sign(claims))
    clean(await told(google.verify_notification(foreign.headers, foreign.body)))
    headers = {b"authorization": f"Bearer {CANARY}".encode()}
    clean(await told(google.verify_notification(headers, CANARY.encode())))
    pushed = google_side.pubsub.sent(CANARY.encode())
    clean(repr(await google.verify_notification(pushed.headers, pushed.body)))
    pushed = google_side.renewed(CANARY)
    clean(repr(await google.verify_notification(pushed.headers, pushed.body)))
    clean(logged(), "Bearer")


@pytest.mark.parametrize("name", LOGGERS)
def test_what_would_log_is_silent(world: AppleWorld, apple: AppleStore, name: str) -> None:
    for inside in (name, f"{name}.made.later"):
        logger: logging.Logger | None = logging.getLogger(inside)
        assert logger is not None
        while logger is not None and not logger.disabled:
            assert logger.name != "root", inside
            assert all(isinstance(handler, logging.NullHandler) for handler in logger.handlers)
            logger = logger.parent if logger.propagate else None
