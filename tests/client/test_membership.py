"""Devices leave an account, and what they wrote after their cut-off counts nowhere; accounts end for good."""

from __future__ import annotations

import pytest

from echolia.client import Device, EcholiaError, membership
from tests.client.test_convergence import states
from tests.support.devices import World


async def refused(device: Device) -> str:
    """The code that a sync ends with."""
    with pytest.raises(EcholiaError) as error:
        await device.sync()
    return error.value.code


async def three(world: World) -> tuple[Device, Device, Device]:
    """Three devices that share one entry."""
    laptop = await world.first()
    phone, tablet = await world.added(laptop), await world.added(laptop, "tablet")
    await laptop.collection("entries").create({"title": "shared"}, id="aa" * 16)
    for device in (laptop, phone, tablet):
        await device.sync()
    return laptop, phone, tablet


async def test_a_revoked_device_is_out_at_once(world: World) -> None:
    laptop, phone, _ = await three(world)
    await phone.collection("entries").create({"title": "unsent"})
    await laptop.revoke(phone.id)
    await laptop.revoke(phone.id)
    assert [device.revoked for device in await laptop.devices()] == [False, True, False]
    assert (await laptop.status()).devices == 2
    assert await refused(phone) == "device_revoked"
    assert await phone.collection("entries").count() == 2


async def test_a_device_may_take_itself_out(world: World) -> None:
    laptop, phone, _ = await three(world)
    await phone.revoke(phone.id)
    await laptop.sync()
    assert [device.revoked for device in await laptop.devices()] == [False, True, False]
    assert await refused(phone) == "device_revoked"


async def test_devices_that_cannot_be_revoked(world: World) -> None:
    laptop = await world.first()
    for unknown, code in (
        ("00" * 16, "device_unknown"),
        ("phone", "device_unknown"),
        (laptop.id, "device_last"),
    ):
        with pytest.raises(EcholiaError, match=code):
            await laptop.revoke(unknown)


async def test_a_lost_answer_to_a_revocation(world: World) -> None:
    laptop, phone, _ = await three(world)
    left = [1]

    def meddle(request: object, answer: object) -> object:
        if getattr(request, "method", "") == "DELETE" and left[0]:
            left[0] -= 1
            raise EcholiaError("server_unreachable")
        return answer

    world.transport("laptop").meddle = meddle  # type: ignore[assignment]  # it only passes on
    await laptop.revoke(phone.id)
    assert (await laptop.status()).devices == 2


async def test_what_a_revoked_device_wrote_after_its_cut_off_counts_nowhere(world: World) -> None:
    laptop, phone, tablet = await three(world)
    entries = phone.collection("entries")
    await entries.update("aa" * 16, {"starred": True, "title": "before"})
    await phone.sync()
    # The cut-off is what the laptop has seen; it must not see what comes next, the tablet does.
    await laptop.sync()
    world.transport("laptop").down = True
    await entries.update("aa" * 16, {"starred": False, "title": "after"})
    late = await entries.create({"title": "after"})
    await phone.sync()
    await tablet.sync()
    assert (await tablet.collection("entries").get(late)).title == "after"
    await tablet.collection("entries").update("aa" * 16, {"tags": ["tablet"]})
    world.transport("laptop").down = False
    await revoke_unseen(laptop, phone)
    await tablet.collection("entries").update("aa" * 16, {"tags": ["tablet", "unsent"]})
    for device in (tablet, laptop, tablet):
        await device.sync()
    for device in (laptop, tablet):
        record = await device.collection("entries").get("aa" * 16)
        assert record.fields == {"title": "before", "starred": True, "tags": ["tablet", "unsent"]}
        with pytest.raises(EcholiaError, match="object_unknown"):
            await device.collection("entries").get(late)
        assert await device.collection("entries").search("after") == []
        assert (await device.status()).evidence == ()
    assert states(laptop) == states(tablet)


async def revoke_unseen(owner: Device, device: Device) -> None:
    """Revoke without syncing first, as a device does that was offline until now."""
    await membership.revoke(owner._replica, owner._session, device.id)


async def test_a_rebuilding_that_is_interrupted_is_done_later(world: World) -> None:
    laptop, phone, tablet = await three(world)
    await phone.collection("entries").update("aa" * 16, {"title": "after"})
    await phone.sync()
    await tablet.sync()
    await revoke_unseen(laptop, phone)
    transport = world.transport("tablet")

    def meddle(request: object, answer: object) -> object:
        if getattr(request, "path", "") == "/sync/pull":
            raise EcholiaError("server_unreachable")
        return answer

    transport.meddle = meddle  # type: ignore[assignment]
    assert await refused(tablet) == "server_unreachable"
    assert (await tablet.collection("entries").get("aa" * 16)).title == "after"
    transport.meddle = None
    await tablet.sync()
    assert (await tablet.collection("entries").get("aa" * 16)).title == "shared"


async def test_an_account_that_is_deleted(world: World) -> None:
    laptop, phone, _ = await three(world)
    await laptop.delete_account()
    await laptop.delete_account()
    assert await refused(laptop) == "server_reset"
    assert await refused(phone) == "server_reset"
    assert await laptop.collection("entries").count() == 1
