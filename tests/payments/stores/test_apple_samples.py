"""What Apple publishes for the tests of its own library, sent to our endpoints.

Its test authority has no key identifiers and no responder, so a server refuses all of it. Where chains are
judged as Apple's tests judge them, everything else is ours: the form, the signature, whose app, and what is
said.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from appstoreserverlibrary.models.Environment import Environment as AppleEnvironment
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier, VerificationException

from echolia.app import running
from echolia.core.purchases import Environment
from echolia.payments.stores.access import AppleAccess
from echolia.payments.stores.apple import AppleStore
from echolia.payments.stores.apple_signed import VerifierOf, online_verifier
from tests.support.accounts import Account
from tests.support.app_store import AppleWorld
from tests.support.apple_samples import Samples, apple_samples
from tests.support.asgi import Answer, Asker
from tests.support.server import Clock, settings_for

# The app that the samples are of, and a time in which their certificates are valid.
BUNDLE: Final = "com.example"
APP_ID: Final = 1234
SIGNED_S: Final = 1_681_314_324
JSON: Final = {"content-type": "application/json"}

pytestmark = pytest.mark.service


def as_apples_tests(access: AppleAccess, environment: Environment) -> SignedDataVerifier:
    """Made as Apple's tests make it: it judges chains at the time of signing, leniently, asking nobody."""
    assert environment == "sandbox"
    named = AppleEnvironment.SANDBOX
    verifier = SignedDataVerifier(list(access.roots), False, named, access.bundle_id, access.app_apple_id)
    verifier._chain_verifier.enable_strict_checks = False
    return verifier


@pytest.fixture
def samples() -> Samples:
    """Apple's."""
    return apple_samples()


@asynccontextmanager
async def endpoints(
    folder: Path, world: AppleWorld, roots: tuple[bytes, ...], verifier_of: VerifierOf, bundle: str = BUNDLE
) -> AsyncIterator[Asker]:
    """A server that takes purchases of the samples' app, in the sandbox."""
    access = world.access(bundle_id=bundle, app_apple_id=APP_ID, environments=("sandbox",), roots=roots)
    clock = Clock(SIGNED_S + 1)
    apple = AppleStore(access, lambda: int(clock() * 1000), verifier_of)
    async with running(settings_for(folder), clock, stores={"apple": apple}) as gate:
        ask = Asker(gate)
        ask.token = (await Account("anna").register(ask))["access"]
        yield ask


async def told(ask: Asker, signed: str) -> Answer:
    """Apple's webhook is called with it."""
    body = json.dumps({"signedPayload": signed}).encode()
    return await ask("POST", "/payments/webhook/apple", body=body, headers=JSON, token="")


async def handed(ask: Asker, receipt: str) -> Answer:
    """A device hands it over."""
    return await ask("POST", "/payments/verify-receipt", {"store": "apple", "receipt": receipt})


async def test_their_notification_is_taken_and_the_others_are_not(
    samples: Samples, world: AppleWorld, tmp_path: Path
) -> None:
    signed = samples.signed
    async with endpoints(tmp_path, world, samples.roots, as_apples_tests) as ask:
        assert (await told(ask, signed["TEST_NOTIFICATION"])).status == 204
        for name in ("MISSING_X5C_HEADER_CLAIM", "WRONG_BUNDLE_ID", "RENEWAL_INFO", "TRANSACTION_INFO"):
            assert (await told(ask, signed[name])).json()["code"] == "notification_invalid", name
        head, claims, signature = signed["TEST_NOTIFICATION"].split(".")
        for forged in (
            f"{head}.{claims}.{signed['WRONG_BUNDLE_ID'].split('.')[2]}",
            f"{head}.{signed['WRONG_BUNDLE_ID'].split('.')[1]}.{signature}",
            f"{head}.{claims[:-2]}.{signature}",
        ):
            assert (await told(ask, forged)).json()["code"] == "notification_invalid"


async def test_their_transaction_has_no_id_and_is_no_receipt(
    samples: Samples, world: AppleWorld, tmp_path: Path
) -> None:
    async with endpoints(tmp_path, world, samples.roots, as_apples_tests) as ask:
        for name in ("TRANSACTION_INFO", "RENEWAL_INFO", "TEST_NOTIFICATION"):
            assert (await handed(ask, samples.signed[name])).json()["code"] == "receipt_invalid", name


async def test_their_notification_is_not_for_another_app(
    samples: Samples, world: AppleWorld, tmp_path: Path
) -> None:
    async with endpoints(tmp_path, world, samples.roots, as_apples_tests, "com.example.other") as ask:
        answer = await told(ask, samples.signed["TEST_NOTIFICATION"])
    assert answer.json()["code"] == "notification_invalid"


async def test_by_our_own_rules_their_authority_is_none(
    samples: Samples, world: AppleWorld, tmp_path: Path
) -> None:
    async with endpoints(tmp_path, world, samples.roots, online_verifier) as ask:
        for signed in samples.signed.values():
            assert (await told(ask, signed)).json()["code"] == "notification_invalid"
            assert (await handed(ask, signed)).status == 400


@pytest.mark.parametrize(
    ("leaf", "intermediate"),
    [
        ("LEAF_CERT_FOR_INTERMEDIATE_CA_INVALID_OID", "INTERMEDIATE_CA_INVALID_OID"),
        ("LEAF_CERT_INVALID_OID", "INTERMEDIATE_CA"),
        ("LEAF_CERT", "ROOT_CA"),
        ("REAL_APPLE_SIGNING_CERTIFICATE", "REAL_APPLE_INTERMEDIATE"),
    ],
)
def test_their_certificates_that_count_for_nothing(
    samples: Samples, world: AppleWorld, leaf: str, intermediate: str
) -> None:
    of = {name.removesuffix("_BASE64_ENCODED"): text for name, text in samples.certificates.items()}
    access = world.access(environments=("sandbox",), roots=samples.roots)
    judge = as_apples_tests(access, "sandbox")._chain_verifier
    judge.verify_chain([of["LEAF_CERT"], of["INTERMEDIATE_CA"], of["ROOT_CA"]], False, SIGNED_S)
    with pytest.raises(VerificationException):
        judge.verify_chain([of[leaf], of[intermediate], of["ROOT_CA"]], False, SIGNED_S)
