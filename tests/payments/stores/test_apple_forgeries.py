"""What the App Store did not sign for this app is refused, in each way there is; nothing breaks over it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from echolia.core.errors import EcholiaError
from echolia.fake_stores.authority import Authority, Signer
from echolia.payments.stores.access import AppleAccess
from echolia.payments.stores.apple import AppleStore
from echolia.payments.stores.apple_root import APPLE_ROOT_CA_G3
from tests.support.app_store import AppleWorld

MINUTE_MS = 60_000
ASKED = 2  # requests to the responder for one chain: for its leaf and its intermediate


async def refused(apple: AppleStore, receipt: str) -> str:
    """The code with which a receipt is refused."""
    with pytest.raises(EcholiaError) as raised:
        await apple.verify_receipt(receipt)
    return raised.value.code


def paid(world: AppleWorld, **changed: object) -> dict[str, Any]:
    """A transaction, signed now."""
    return {**world.store.sell("plus.monthly").last, "signedDate": world.clock(), **changed}


@asynccontextmanager
async def adapter(access: AppleAccess, world: AppleWorld) -> AsyncIterator[AppleStore]:
    """An adapter that was given something else."""
    apple = AppleStore(access, world.clock)
    yield apple
    await apple.close()


async def test_what_the_store_signed_is_taken(world: AppleWorld, apple: AppleStore) -> None:
    received = await apple.verify_receipt(world.store.signer.sign(paid(world)))
    assert received.purchase == ("production", "1000000")
    [fact] = received.facts
    assert fact.product_id == "plus.monthly"  # type: ignore[union-attr]


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384"])
async def test_forged_alg(world: AppleWorld, apple: AppleStore, algorithm: str) -> None:
    signed = world.store.signer.sign(paid(world))
    _, payload, signature = signed.split(".")
    header = {**jwt.get_unverified_header(signed), "alg": algorithm}
    encoded = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    assert await refused(apple, f"{encoded}.{payload}.{signature}") == "receipt_invalid"
    assert await refused(apple, f"{encoded}.{payload}.") == "receipt_invalid"


async def test_foreign_key(world: AppleWorld, apple: AppleStore) -> None:
    thief = Signer(world.store.signer.chain, ec.generate_private_key(ec.SECP256R1()))
    assert await refused(apple, thief.sign(paid(world))) == "receipt_invalid"


async def test_foreign_key_under_a_chain_that_was_just_found_good(
    world: AppleWorld, apple: AppleStore
) -> None:
    good = world.store.signer.sign(paid(world))
    assert (await apple.verify_receipt(good)).facts
    thief = Signer(world.store.signer.chain, ec.generate_private_key(ec.SECP256R1()))
    forged = thief.sign(paid(world))
    mixed = ".".join((*good.split(".")[:2], forged.split(".")[2]))
    for receipt in (forged, mixed):
        assert await refused(apple, receipt) == "receipt_invalid"
    assert len(world.responder.server.asked) == ASKED


async def test_a_real_chain_under_many_forgeries_is_asked_about_once(
    world: AppleWorld, apple: AppleStore
) -> None:
    """Apple's chains are in everything that it signs: whoever has an app has one to forge under."""
    thief = Signer(world.store.signer.chain, ec.generate_private_key(ec.SECP256R1()))
    for _ in range(5):
        assert await refused(apple, thief.sign(paid(world))) == "receipt_invalid"
    assert len(world.responder.server.asked) == ASKED


async def test_a_good_chain_vouches_for_no_other(world: AppleWorld, apple: AppleStore) -> None:
    assert (await apple.verify_receipt(world.store.signer.sign(paid(world)))).facts
    assert await refused(apple, world.authority.impostor().sign(paid(world))) == "receipt_invalid"


async def test_foreign_authority(world: AppleWorld, apple: AppleStore) -> None:
    foreign = Authority(world.responder.server.url).signer()
    assert await refused(apple, foreign.sign(paid(world))) == "receipt_invalid"
    ours = world.authority.root.certificate
    dressed = Signer((*foreign.chain[:2], ours), foreign.key)
    assert await refused(apple, dressed.sign(paid(world))) == "receipt_invalid"


async def test_fake_leaf_under_the_real_root(world: AppleWorld, apple: AppleStore) -> None:
    assert await refused(apple, world.authority.impostor().sign(paid(world))) == "receipt_invalid"


async def test_own_leaf_under_apples_own_root(world: AppleWorld) -> None:
    root = x509.load_der_x509_certificate(APPLE_ROOT_CA_G3)
    assert root.fingerprint(SHA256()).hex().startswith("63343abfb89a6a03ebb57e9b3f5fa7be")
    good = world.store.signer
    async with adapter(world.access(roots=(APPLE_ROOT_CA_G3,)), world) as apple:
        for signer in (good, Signer((*good.chain[:2], root), good.key)):
            assert await refused(apple, signer.sign(paid(world))) == "receipt_invalid"


async def test_leaf_without_its_oid(world: AppleWorld, apple: AppleStore) -> None:
    assert await refused(apple, world.authority.signer(oid=False).sign(paid(world))) == "receipt_invalid"


async def test_intermediate_without_its_oid(world: AppleWorld) -> None:
    authority = world.responder.authority = Authority(world.responder.server.url, intermediate_oid=False)
    async with adapter(world.access(roots=(authority.root_der,)), world) as apple:
        assert await refused(apple, authority.signer().sign(paid(world))) == "receipt_invalid"


async def test_expired_leaf(world: AppleWorld, apple: AppleStore) -> None:
    now = datetime.now(UTC)
    signer = world.authority.signer(valid_to=now - timedelta(hours=1))
    assert await refused(apple, signer.sign(paid(world))) == "receipt_invalid"


async def test_expired_leaf_with_a_date_from_its_time(world: AppleWorld, apple: AppleStore) -> None:
    now = datetime.now(UTC)
    signer = world.authority.signer(valid_to=now - timedelta(days=1))
    back_dated = paid(world, signedDate=world.clock() - 3 * 24 * 60 * MINUTE_MS)
    assert await refused(apple, signer.sign(back_dated)) == "receipt_invalid"


async def test_leaf_from_the_future(world: AppleWorld, apple: AppleStore) -> None:
    signer = world.authority.signer(valid_from=datetime.now(UTC) + timedelta(days=1))
    assert await refused(apple, signer.sign(paid(world))) == "receipt_invalid"


@pytest.mark.parametrize("mood", ["revoked", "stale", "unknown"])
async def test_ocsp_says_no(world: AppleWorld, apple: AppleStore, mood: str) -> None:
    world.responder.mood = mood  # type: ignore[assignment]
    assert await refused(apple, world.store.signer.sign(paid(world))) == "receipt_invalid"


@pytest.mark.parametrize("mood", ["down", "failing"])
async def test_ocsp_down(world: AppleWorld, apple: AppleStore, mood: str) -> None:
    world.responder.mood = mood  # type: ignore[assignment]
    signed = world.store.notify("TEST")
    body = json.dumps({"signedPayload": signed}).encode()
    with pytest.raises(EcholiaError) as raised:
        await apple.verify_notification({}, body)
    assert raised.value.code == "store_unavailable"
    assert await refused(apple, world.store.signer.sign(paid(world))) == "store_unavailable"
    world.responder.mood = "good"
    assert (await apple.verify_notification({}, body)).kind == "TEST"


async def test_a_forged_chain_asks_no_responder(world: AppleWorld, apple: AppleStore) -> None:
    """A chain whose third certificate is another text each time would be asked about each time."""
    good = world.store.signer
    for number in range(20):
        signed = good.sign(paid(world))
        header = jwt.get_unverified_header(signed)
        x5c = [*header["x5c"][:2], f"junk{number}"]
        assert await refused(apple, good.sign(paid(world), {"x5c": x5c})) == "receipt_invalid"
    assert world.responder.server.asked == []


async def test_a_certificate_written_in_another_way_asks_no_responder(
    world: AppleWorld, apple: AppleStore
) -> None:
    """Base64 leaves bits unused before its padding, so one certificate could have many texts."""
    signer, leaf = world.store.signer, ""
    while not leaf.endswith("="):
        signer = world.authority.signer()
        leaf = b64encode(signer.chain[0].public_bytes(Encoding.DER)).decode()
    x5c = jwt.get_unverified_header(signer.sign({}))["x5c"]
    end = len(leaf.rstrip("="))
    other = leaf[: end - 1] + chr(ord(leaf[end - 1]) + 1) + leaf[end:]
    assert b64decode(other) == b64decode(leaf)
    written = signer.sign(paid(world), {"x5c": [other, *x5c[1:]]})
    assert await refused(apple, written) == "receipt_invalid"
    assert world.responder.server.asked == []
    assert (await apple.verify_receipt(signer.sign(paid(world)))).facts


@pytest.mark.parametrize("x5c", [None, [], "text", [1, 2, 3], [[], {}, {}], ["", "", ""], ["a", "b"]])
async def test_chain_of_another_form(world: AppleWorld, apple: AppleStore, x5c: object) -> None:
    assert await refused(apple, world.store.signer.sign(paid(world), {"x5c": x5c})) == "receipt_invalid"


async def test_wrong_bundle(world: AppleWorld, apple: AppleStore) -> None:
    theirs = paid(world, bundleId="com.example.other")
    assert await refused(apple, world.store.signer.sign(theirs)) == "receipt_invalid"


async def test_wrong_app_id(world: AppleWorld) -> None:
    body = json.dumps({"signedPayload": world.store.notify("TEST")}).encode()
    async with adapter(world.access(app_apple_id=77), world) as apple:
        with pytest.raises(EcholiaError) as raised:
            await apple.verify_notification({}, body)
    assert raised.value.code == "notification_invalid"


async def test_sandbox_in_production(world: AppleWorld, apple: AppleStore) -> None:
    sandbox = paid(world, environment="Sandbox")
    assert await refused(apple, world.store.signer.sign(sandbox)) == "receipt_invalid"


async def test_sandbox_where_it_is_named_is_a_fact_of_the_sandbox(world: AppleWorld) -> None:
    sandbox = world.store.signer.sign(paid(world, environment="Sandbox"))
    async with adapter(world.access(environments=("production", "sandbox")), world) as apple:
        assert (await apple.verify_receipt(sandbox)).purchase.environment == "sandbox"


@pytest.mark.parametrize("environment", ["Xcode", "LocalTesting"])
async def test_xcode_signature(world: AppleWorld, apple: AppleStore, environment: str) -> None:
    made = paid(world, environment=environment)
    unsigned = jwt.encode(made, "", algorithm="none")
    own = Authority().signer()  # Xcode signs by a certificate of its own
    for receipt in (unsigned, own.sign(made), world.store.signer.sign(made)):
        assert await refused(apple, receipt) == "receipt_invalid"


@pytest.mark.parametrize("environment", ["Xcode", "xcode", "LocalTesting", "Production", ""])
def test_settings_name_only_what_is_signed(world: AppleWorld, environment: str) -> None:
    with pytest.raises(EcholiaError, match="settings_invalid"):
        replace(world.access(), environments=(environment,))  # type: ignore[arg-type]
    with pytest.raises(EcholiaError, match="settings_invalid"):
        replace(world.access(), environments=())


@pytest.mark.parametrize(("ahead", "taken"), [(4, True), (5, True), (10, False)])
async def test_clock_ahead(world: AppleWorld, apple: AppleStore, ahead: int, taken: bool) -> None:
    signed = world.store.signer.sign(paid(world, signedDate=world.clock() + ahead * MINUTE_MS))
    if taken:
        assert (await apple.verify_receipt(signed)).facts
    else:
        assert await refused(apple, signed) == "receipt_invalid"


async def test_missing_signed_date(world: AppleWorld, apple: AppleStore) -> None:
    for value in (None, -1, 1.5, True, "1"):
        signed = world.store.signer.sign(paid(world, signedDate=value))
        assert await refused(apple, signed) == "receipt_invalid"


MISTYPED: dict[str, object] = {
    "transactionId": 5,
    "originalTransactionId": None,
    "productId": ["plus"],
    "purchaseDate": "soon",
    "expiresDate": "1700000000000",
    "isUpgraded": "false",
    "revocationDate": {},
    "appAccountToken": "not-a-uuid",
    "offerType": "1",
    "type": 3,
    "environment": ["Production"],
    "bundleId": {"is": "an object"},
}


@pytest.mark.parametrize("name", MISTYPED)
async def test_mistyped_signed_field(world: AppleWorld, apple: AppleStore, name: str) -> None:
    signed = world.store.signer.sign(paid(world, **{name: MISTYPED[name]}))
    assert await refused(apple, signed) == "receipt_invalid"


async def test_another_kind_of_signed_thing_is_no_receipt(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    app_transaction = {"receiptType": "Production", "bundleId": world.store.app.bundle_id}
    for thing in (sold.renewal, app_transaction, {}):
        assert await refused(apple, world.store.sign(thing)) == "receipt_invalid"
    assert await refused(apple, world.store.notify("TEST")) == "receipt_invalid"


@pytest.mark.parametrize(
    "receipt", ["", ".", "..", "a.b.c", "\x00", "é.é.é", "x" * 300_000, "." * 2 + "x" * 300_000]
)
async def test_what_is_no_receipt_at_all(apple: AppleStore, receipt: str) -> None:
    assert await refused(apple, receipt) == "receipt_invalid"


async def test_payload_that_is_no_object(world: AppleWorld, apple: AppleStore) -> None:
    signer = world.store.signer
    header = jwt.get_unverified_header(signer.sign({}))
    for payload in (b"[]", b"null", b"7", b'"text"', b"\xff", b"[" * 100_000):
        signed = jwt.api_jws.encode(payload, signer.key, algorithm="ES256", headers={"x5c": header["x5c"]})
        assert await refused(apple, signed) == "receipt_invalid"
