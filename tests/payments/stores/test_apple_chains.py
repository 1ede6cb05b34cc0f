"""A chain of certificates that was found good is believed for minutes, and nothing else is for its sake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from echolia.core.errors import EcholiaError
from echolia.fake_stores.authority import Signer
from echolia.payments.stores.apple import AppleStore
from echolia.payments.stores.apple_chains import BELIEVED_MS, AppleChains, Unjudged
from echolia.payments.stores.fields import Malformed
from echolia.payments.stores.jws import Chain, read_jws
from tests.support.app_store import AppleWorld

ASKED = 2  # requests to the responder for one chain: for its leaf and its intermediate


def chain_of(signer: Signer) -> Chain:
    """The chain that this one writes."""
    return read_jws(signer.sign({})).chain


def signed(world: AppleWorld, signer: Signer | None = None) -> str:
    """A transaction, signed now."""
    return (signer or world.store.signer).sign(
        {**world.store.sell("plus.monthly").last, "signedDate": world.clock()}
    )


async def refused(apple: AppleStore, receipt: str) -> str:
    """The code with which a receipt is refused."""
    with pytest.raises(EcholiaError) as raised:
        await apple.verify_receipt(receipt)
    return raised.value.code


async def test_the_responder_is_asked_once_in_a_quarter_of_an_hour(
    world: AppleWorld, apple: AppleStore
) -> None:
    for _ in range(3):
        assert (await apple.verify_receipt(signed(world))).facts
    assert len(world.responder.server.asked) == ASKED
    world.clock.now_ms += BELIEVED_MS - 1
    assert (await apple.verify_receipt(signed(world))).facts
    assert len(world.responder.server.asked) == ASKED
    world.clock.now_ms += 1
    assert (await apple.verify_receipt(signed(world))).facts
    assert len(world.responder.server.asked) == 2 * ASKED


@pytest.mark.parametrize(("mood", "code"), [("revoked", "receipt_invalid"), ("down", "store_unavailable")])
async def test_what_was_believed_is_no_longer_when_its_time_is_over(
    world: AppleWorld, apple: AppleStore, mood: str, code: str
) -> None:
    assert (await apple.verify_receipt(signed(world))).facts
    world.responder.mood = mood  # type: ignore[assignment]
    world.clock.now_ms += BELIEVED_MS
    for _ in range(2):
        assert await refused(apple, signed(world)) == code


async def test_a_chain_is_never_believed_beyond_its_leaf(world: AppleWorld, apple: AppleStore) -> None:
    signer = world.authority.signer(valid_to=datetime.now(UTC) + timedelta(minutes=2))
    assert (await apple.verify_receipt(signed(world, signer))).facts
    world.clock.now_ms += 3 * 60_000
    assert await refused(apple, signed(world, signer)) == "receipt_invalid"


async def test_a_forged_signature_under_a_believed_chain(world: AppleWorld, apple: AppleStore) -> None:
    assert (await apple.verify_receipt(signed(world))).facts
    thief = Signer(world.store.signer.chain, ec.generate_private_key(ec.SECP256R1()))
    good, forged = signed(world), signed(world, thief)
    assert await refused(apple, forged) == "receipt_invalid"
    mixed = ".".join((*good.split(".")[:2], forged.split(".")[2]))
    assert await refused(apple, mixed) == "receipt_invalid"


async def test_a_real_chain_under_many_forgeries_is_asked_about_once(
    world: AppleWorld, apple: AppleStore
) -> None:
    """Apple's chains are in everything that it signs: whoever has an app has one to forge under."""
    thief = Signer(world.store.signer.chain, ec.generate_private_key(ec.SECP256R1()))
    for _ in range(5):
        assert await refused(apple, signed(world, thief)) == "receipt_invalid"
    assert len(world.responder.server.asked) == ASKED


async def test_chains_do_not_vouch_for_one_another(world: AppleWorld, apple: AppleStore) -> None:
    assert (await apple.verify_receipt(signed(world))).facts
    impostor = world.authority.impostor()
    assert await refused(apple, signed(world, impostor)) == "receipt_invalid"
    good = chain_of(world.store.signer)
    chains = AppleChains([world.authority.root_der], world.clock)
    chains.judged(good)
    others = [(chain_of(impostor)[0], *good[1:]), (good[0], good[0], good[2]), (good[0], good[1], good[1])]
    for other in others:
        with pytest.raises(Unjudged):
            chains.believed(other)
        with pytest.raises(Malformed):
            chains.judged(other)


def test_no_more_chains_are_remembered_than_apple_has(world: AppleWorld) -> None:
    chains = AppleChains([world.authority.root_der], world.clock)
    many = [chain_of(world.authority.signer()) for _ in range(40)]
    for chain in many:
        chains.judged(chain)
    believed = 0
    for chain in many:
        try:
            chains.believed(chain)
        except Unjudged:
            continue
        believed += 1
    assert believed == 32
    assert chains.believed(many[-1])
