"""The 24 words rebuild an account where nothing else is left, and a drill shows that they would."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.transport import Answer, Request
from echolia.core.ids import b64
from tests.client.test_generations import NOTE, alike, code_of, generation
from tests.support.devices import SERVER, World, documents

OTHER_WORDS = "abandon " * 23 + "art"


async def begun(world: World) -> tuple[Device, str]:
    """A laptop with a note, and the words of its account."""
    laptop, phrase = await Device.init(world.folder / "laptop", SERVER, **world.around("laptop"))
    world.stack.push_async_callback(laptop.aclose)
    await laptop.phrase_kept()
    await laptop.collection("entries").create({"title": "note", "body": "one"}, id=NOTE)
    await laptop.sync()
    return laptop, phrase


async def recovered(world: World, phrase: str, name: str = "new", seed: str = "") -> Device:
    """A new machine with the words."""
    around = world.around(name, seed=seed)
    device = await Device.recover(world.folder / name, SERVER, phrase, **around)
    world.stack.push_async_callback(device.aclose)
    return device


async def test_everything_is_rebuilt_on_an_empty_machine(world: World) -> None:
    laptop, phrase = await begun(world)
    account = laptop.account
    await laptop.aclose()
    new = await recovered(world, "  " + phrase.upper().replace(" ", "\n") + " ")
    await new.sync()
    assert new.account == account
    assert (await new.collection("entries").get(NOTE)).fields["body"] == "one"
    await new.revoke((await new.devices())[0].id)
    assert generation(new) == 2
    await new.collection("entries").update(NOTE, {"body": "one two"})
    await new.sync()
    again = await recovered(world, phrase, "again")
    await alike(new, again)
    assert [device.revoked for device in await again.devices()] == [True, False, False]


@pytest.mark.parametrize("lost", range(1, 7))
async def test_interrupted_anywhere_it_is_run_again(world: World, lost: int) -> None:
    laptop, phrase = await begun(world)
    asked = [0]

    def meddle(request: Request, answer: Answer) -> Answer:
        asked[0] += 1
        if asked[0] >= lost:
            raise EcholiaError("server_unreachable")
        return answer

    world.transport("new").meddle = meddle
    if lost <= 5:
        assert await code_of(recovered(world, phrase)) == "server_unreachable"
        assert await code_of(Device.open(world.folder / "new")) == "home_missing"
    world.transport("new").meddle = None
    new = await recovered(world, phrase, seed="second try")
    await alike(laptop, new)
    assert len(await laptop.devices()) == 2


async def test_two_at_once(world: World) -> None:
    laptop, phrase = await begun(world)
    devices = await asyncio.gather(*(recovered(world, phrase, f"new {n}") for n in range(3)))
    await alike(laptop, *devices)
    assert len(await laptop.devices()) == 4
    assert [notice.code for notice in await laptop.notices()] == ["device_added"] * 3


@pytest.mark.parametrize(
    ("phrase", "code"),
    [
        (OTHER_WORDS, "account_unknown"),
        ("one two three", "phrase_invalid"),
        ("abandon " * 24, "phrase_invalid"),
        ("", "phrase_invalid"),
    ],
)
async def test_words_that_open_nothing(world: World, phrase: str, code: str) -> None:
    laptop, _ = await begun(world)
    assert await code_of(recovered(world, phrase)) == code
    if code == "phrase_invalid":
        assert await code_of(laptop.drill(phrase)) == code
    else:
        assert await code_of(laptop.drill(phrase)) == "phrase_other"
    assert len(await laptop.devices()) == 1


async def test_where_a_home_is_nothing_is_rebuilt(world: World) -> None:
    laptop, phrase = await begun(world)
    await laptop.aclose()
    assert await code_of(recovered(world, phrase, "laptop")) == "home_exists"


async def test_a_full_account_can_be_recovered(world: World) -> None:
    laptop, phrase = await begun(world)
    for number in range(31):
        await (await world.added(laptop, f"device {number}")).aclose()
    assert await code_of(world.added(laptop, "one too many")) == "too_many_devices"
    new = await recovered(world, phrase)
    await new.sync()
    assert len(await new.devices()) == 33


async def test_a_drill_opens_the_newest_generation(world: World) -> None:
    laptop, phrase = await begun(world)
    phone = await world.added(laptop)
    assert await laptop.drill(phrase) == 1
    await laptop.rotate()
    transport = world.transport("phone")
    transport.asked.clear()
    assert await phone.drill(phrase) == 2
    words = set(phrase.split())
    assert not any(
        word in str(one.body) + one.path for one in transport.asked for word in words if len(word) > 5
    )
    world.transport("laptop").meddle = documents("/auth/key-boxes", lambda told: told["boxes"].clear())
    assert await code_of(laptop.drill(phrase)) == "key_box_withheld"


async def test_the_phrase_is_replaced(world: World) -> None:
    laptop, former = await begun(world)
    phone = await world.added(laptop)
    phrase = await laptop.replace_phrase()
    assert phrase != former
    assert await laptop.replace_phrase() == phrase  # until it was kept
    await laptop.phrase_kept()
    assert await laptop.drill(phrase) == 2
    assert await code_of(laptop.drill(former)) == "phrase_other"
    assert await code_of(recovered(world, former)) == "account_unknown"
    new = await recovered(world, phrase, "rebuilt")
    await alike(laptop, phone, new)
    assert "phrase_replaced" in [notice.code for notice in await phone.notices()]


async def test_a_phrase_that_was_never_written_down_and_is_replaced_elsewhere(world: World) -> None:
    laptop, _ = await begun(world)
    phone = await world.added(laptop)
    never_kept = await laptop.replace_phrase()
    kept = await phone.replace_phrase()
    await phone.phrase_kept()
    again = await laptop.replace_phrase()
    assert len({never_kept, kept, again}) == 3
    assert await phone.drill(again) == await laptop.drill(again)


async def test_two_at_a_time_on_one_device(world: World) -> None:
    laptop, _ = await begun(world)

    async def replaced() -> str:
        words = await laptop.replace_phrase()
        await laptop.phrase_kept()
        return words

    *_, last = await asyncio.gather(laptop.sync(), replaced(), laptop.rotate(), replaced())
    assert await laptop.drill(last) == generation(laptop)


async def test_a_lost_answer_loses_no_phrase(world: World) -> None:
    laptop, former = await begun(world)

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path == "/auth/rotate":
            raise EcholiaError("server_unreachable")
        return answer

    world.transport("laptop").meddle = meddle
    assert await code_of(laptop.replace_phrase()) == "server_unreachable"
    world.transport("laptop").meddle = None
    await laptop.aclose()
    async with await Device.open(world.folder / "laptop", **world.around("laptop", seed="again")) as again:
        await again.sync()
        phrase = await again.replace_phrase()
        assert await again.drill(phrase) == 2
        assert await code_of(recovered(world, former)) == "account_unknown"


async def test_a_server_that_shows_another_account(world: World) -> None:
    laptop, phrase = await begun(world)
    other, _ = await Device.init(world.folder / "other", SERVER, **world.around("other"))
    log = (await other._session.ask("GET", "/auth/devices?after=0"))["log"]
    account = b64(bytes.fromhex(other.account))
    await other.aclose()

    def lie(fields: dict[str, Any]) -> None:
        fields.update(account=account, log=log)

    world.transport("new").meddle = documents("/auth/recovery", lie)
    assert await code_of(recovered(world, phrase)) == "device_log_invalid"
    assert laptop.account != other.account


async def test_the_phrase_of_one_account_adds_nobody_to_another(world: World) -> None:
    _, phrase = await begun(world)
    other, _ = await Device.init(world.folder / "other", SERVER, **world.around("other"))
    account = b64(bytes.fromhex(other.account))
    await other.aclose()
    transport = world.transport("new")

    async def into_another(request: Request) -> Answer:
        if request.path == "/auth/recovery/devices":
            body = {**json.loads(request.body), "account": account}
            request = replace(request, body=json.dumps(body).encode())
        return await ask(request)

    ask, transport.ask = transport.ask, into_another  # type: ignore[method-assign]
    assert await code_of(recovered(world, phrase)) == "device_log_invalid"
