"""One change that cannot be read harms one object: it is named, refuses edits, and all else goes on."""

from __future__ import annotations

import pytest

from echolia.client import Device, EcholiaError, ledger
from echolia.client.replica import Replica
from echolia.core.merge import decode, encode
from echolia.core.runs import STATE
from echolia.e2ee import sealing
from echolia.e2ee.keys import AccountSecrets
from tests.support.devices import World


def spoil(
    replica: Replica, id_: str, *, plaintext: bytes | None = None, secrets: AccountSecrets | None = None
) -> None:
    """Replace the one pending change of an object by one that is properly chained and cannot be read."""
    database, identity = replica.database, replica.identity
    [(counter, good, chain)] = database.rows(
        "SELECT counter, plaintext, chain FROM outbox WHERE object = ?", bytes.fromhex(id_)
    )
    assert chain == database.value("SELECT chain FROM outbox ORDER BY counter DESC"), "the last one"
    secrets = secrets or identity.secrets
    dice = replica.environment.dice
    key = sealing.new_object_key(secrets, bytes.fromhex(id_), dice)
    draft = sealing.Draft(
        counter, STATE, bytes.fromhex(id_), identity.streams["entries"], {}, plaintext or good
    )
    change = sealing.seal(secrets, identity.device, draft, key, dice)
    before = database.value("SELECT chain FROM outbox WHERE counter = ?", counter - 1)
    if before is None:
        before = ledger.known(database, identity.account).head(identity.device).chain
    database.run(
        "UPDATE outbox SET change = ?, chain = ? WHERE counter = ?",
        change,
        ledger.chained(before, change),
        counter,
    )


async def two(world: World) -> tuple[Device, Device]:
    """Two devices of an account."""
    laptop = await world.first()
    return laptop, await world.added(laptop)


def other_keys(device: Device, generation: int) -> AccountSecrets:
    """Account secrets that the other devices do not have."""
    secrets = device._replica.identity.secrets
    return AccountSecrets(secrets.account, generation, {generation: bytes(32)}, secrets.index)


@pytest.mark.parametrize(
    ("plaintext", "generation", "code"),
    [(b"nonsense", None, "body_invalid"), (None, 1, "body_unreadable"), (None, 2, "key_missing")],
)
async def test_a_change_that_cannot_be_read(
    world: World, plaintext: bytes | None, generation: int | None, code: str
) -> None:
    laptop, phone = await two(world)
    [good] = await laptop.collection("entries").create_many([{"title": "good"}])
    bad = await laptop.collection("entries").create({"title": "bad"})
    secrets = other_keys(laptop, generation) if generation else None
    spoil(laptop._replica, bad, plaintext=plaintext, secrets=secrets)
    later = await laptop.collection("entries").create({"title": "later"})
    await relink(laptop)
    await laptop.sync()
    report = await phone.sync()
    assert (report.pulled, report.quarantined) == (3, 1)
    entries = phone.collection("entries")
    assert {record.id for record in await entries.list()} == {good, later}
    [named] = (await phone.status()).quarantined
    assert (named.object, named.device, named.counter, named.code) == (bad, laptop.id, 2, code)
    with pytest.raises(EcholiaError, match="object_quarantined"):
        await entries.create({"title": "mine"}, id=bad)
    assert (await phone.sync()).quarantined == 0
    assert (await phone.status()).evidence == ()


async def relink(device: Device) -> None:
    """Let the outbox's chain follow from its changes again."""
    database, identity = device._replica.database, device._replica.identity
    chain = ledger.known(database, identity.account).head(identity.device).chain
    for counter, change in database.rows("SELECT counter, change FROM outbox ORDER BY counter"):
        chain = ledger.chained(chain, change)
        database.run("UPDATE outbox SET chain = ? WHERE counter = ?", chain, counter)


async def test_a_known_object_refuses_edits_until_it_can_be_read(world: World) -> None:
    laptop, phone = await two(world)
    note = await laptop.collection("entries").create({"title": "one"})
    await laptop.sync()
    await phone.sync()
    await laptop.collection("entries").update(note, {"title": "two"})
    spoil(laptop._replica, note, secrets=other_keys(laptop, 2))
    await laptop.sync()
    await phone.sync()
    record = await phone.collection("entries").get(note)
    assert (record.title, record.quarantined) == ("one", True)
    with pytest.raises(EcholiaError, match="object_quarantined"):
        await phone.collection("entries").update(note, {"title": "three"})
    # The missing key arrives: the change is opened where it lay.
    secrets = phone._replica.identity.secrets
    secrets.keys[2] = bytes(32)  # type: ignore[index]  # a test may
    report = await phone.sync()
    assert report.pulled == 1
    record = await phone.collection("entries").get(note)
    assert (record.title, record.quarantined) == ("two", False)
    await phone.collection("entries").update(note, {"title": "three"})


async def test_a_state_that_claims_another_collection(world: World) -> None:
    laptop, phone = await two(world)
    note = await laptop.collection("entries").create({"title": "one"})
    [(plaintext,)] = laptop._replica.database.rows("SELECT plaintext FROM outbox")
    state = decode(plaintext)
    moved = encode(type(state)("tags", state.dots, state.life, state.fields))
    spoil(laptop._replica, note, plaintext=moved)
    await laptop.sync()
    await phone.sync()
    assert [one.code for one in (await phone.status()).quarantined] == ["body_invalid"]
    assert await phone.collection("tags").count() == 0


async def test_a_state_that_does_not_hold_its_own_change(world: World) -> None:
    laptop, phone = await two(world)
    note = await laptop.collection("entries").create({"title": "one"})
    [(plaintext,)] = laptop._replica.database.rows("SELECT plaintext FROM outbox")
    state = decode(plaintext)
    device = laptop._replica.identity.device
    ahead = encode(type(state)("entries", {device: 99}, state.life, state.fields))
    spoil(laptop._replica, note, plaintext=ahead)
    await laptop.sync()
    await phone.sync()
    assert [one.code for one in (await phone.status()).quarantined] == ["body_invalid"]
