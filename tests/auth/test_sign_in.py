"""Challenges and refresh tokens: single use, in time, by the right device, and reuse ends the family."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from echolia.core.ids import b64, unb64
from echolia.core.messages import login_message
from tests.support.accounts import Account, Keys
from tests.support.asgi import Answer, Asker
from tests.support.engine_fixtures import engine
from tests.support.engines import ENGINE
from tests.support.server import Clock, served

__all__ = ["engine"]  # each test runs on both engines


async def challenge(ask: Asker, device: Keys) -> bytes:
    """A challenge for the device."""
    answer = await ask("POST", "/auth/challenge", {"device": b64(device.id)})
    assert answer.status == 200
    assert answer.json()["expires_in"] == 60
    return unb64(answer.json()["challenge"], 32)


async def token(ask: Asker, device: Keys, nonce: bytes, signer: Keys | None = None) -> Answer:
    """Sign in with this challenge."""
    signature = (signer or device).signed(login_message(device.id, nonce))
    body = {"device": b64(device.id), "challenge": b64(nonce), "signature": b64(signature)}
    return await ask("POST", "/auth/token", body)


async def refresh(ask: Asker, refresh_token: str) -> Answer:
    """Ask for the next pair."""
    return await ask("POST", "/auth/refresh", {"refresh": refresh_token})


async def test_a_signed_challenge_gives_tokens(ask: Asker, anna: Account) -> None:
    answer = await token(ask, anna.first, await challenge(ask, anna.first))
    told = answer.json()
    assert answer.status == 200
    assert (told["account"], told["device"]) == (b64(anna.id), b64(anna.first.id))
    assert (await ask("GET", "/sync/status", token=told["access"])).status == 200


async def test_a_challenge_is_spent_by_its_first_use_even_a_failed_one(ask: Asker, anna: Account) -> None:
    nonce = await challenge(ask, anna.first)
    assert (await token(ask, anna.first, nonce, signer=Keys("stranger"))).code == "signature_invalid"
    answer = await token(ask, anna.first, nonce)
    assert (answer.status, answer.code) == (403, "challenge_invalid")


async def test_a_challenge_is_for_its_device(ask: Asker, anna: Account) -> None:
    nonce = await challenge(ask, Keys("another"))
    assert (await token(ask, anna.first, nonce)).code == "challenge_invalid"


async def test_a_challenge_lives_a_minute(ask: Asker, anna: Account, clock: Clock) -> None:
    nonce = await challenge(ask, anna.first)
    clock.pass_s(60)
    assert (await token(ask, anna.first, nonce)).code == "challenge_invalid"
    nonce = await challenge(ask, anna.first)
    clock.pass_s(59)
    assert (await token(ask, anna.first, nonce)).status == 200


async def test_nobody_learns_which_devices_exist(ask: Asker, anna: Account) -> None:
    stranger = Keys("stranger")
    unknown = await token(ask, stranger, await challenge(ask, stranger))
    wrong = await token(ask, anna.first, await challenge(ask, anna.first), signer=stranger)
    same = ["type", "title", "status", "code"]
    assert [unknown.json()[name] for name in same] == [wrong.json()[name] for name in same]
    assert unknown.json().keys() == wrong.json().keys()


async def test_a_refresh_token_gives_the_next_pair(ask: Asker, anna: Account) -> None:
    first = (await anna.sign_in(ask)).json()
    second = (await refresh(ask, first["refresh"])).json()
    third = await refresh(ask, second["refresh"])
    assert third.status == 200
    assert third.json().keys() == first.keys()
    assert (await ask("GET", "/sync/status", token=third.json()["access"])).status == 200


async def test_the_second_use_of_a_refresh_token_ends_all_that_descend_from_its_sign_in(
    ask: Asker, anna: Account, clock: Clock
) -> None:
    first = (await anna.sign_in(ask)).json()
    clock.pass_s(1)
    second = (await refresh(ask, first["refresh"])).json()
    reused = await refresh(ask, first["refresh"])
    assert (reused.status, reused.code) == (401, "token_reused")
    assert (await refresh(ask, second["refresh"])).code == "unauthorized"
    for each in (first, second):
        assert (await ask("GET", "/sync/status", token=each["access"])).code == "token_expired"
    clock.pass_s(1)
    anew = await anna.sign_in(ask)
    assert (await ask("GET", "/sync/status", token=anew.json()["access"])).status == 200


@pytest.mark.parametrize("seconds", [0, -7200])
async def test_a_clock_set_back_keeps_nobody_out_and_lets_no_stolen_token_in(
    ask: Asker, anna: Account, clock: Clock, seconds: float
) -> None:
    first = (await anna.sign_in(ask)).json()
    second = (await refresh(ask, first["refresh"])).json()
    clock.pass_s(seconds)
    assert (await refresh(ask, first["refresh"])).code == "token_reused"
    clock.pass_s(seconds)
    anew = (await anna.sign_in(ask)).json()
    assert (await ask("GET", "/sync/status", token=anew["access"])).status == 200
    for each in (first, second):
        assert (await ask("GET", "/sync/status", token=each["access"])).code == "token_expired"


async def test_another_sign_in_of_the_device_keeps_its_refresh_token(ask: Asker, anna: Account) -> None:
    stolen, kept = [(await anna.sign_in(ask)).json()["refresh"] for _ in range(2)]
    await refresh(ask, stolen)
    assert (await refresh(ask, stolen)).code == "token_reused"
    assert (await refresh(ask, kept)).status == 200


async def test_of_two_uses_at_once_one_counts_and_the_family_ends(ask: Asker, anna: Account) -> None:
    first = (await anna.sign_in(ask)).json()["refresh"]
    answers = await asyncio.gather(*(refresh(ask, first) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [200, 401]
    (renewed,) = (answer.json()["refresh"] for answer in answers if answer.status == 200)
    assert (await refresh(ask, renewed)).code == "unauthorized"


async def test_a_refresh_token_lives_sixty_days(ask: Asker, anna: Account, clock: Clock) -> None:
    first = (await anna.sign_in(ask)).json()["refresh"]
    clock.pass_s(60 * 86_400 - 1)
    second = (await refresh(ask, first)).json()["refresh"]
    clock.pass_s(60 * 86_400)
    assert (await refresh(ask, second)).code == "token_expired"


async def test_an_unknown_refresh_token_is_refused(ask: Asker) -> None:
    answer = await refresh(ask, b64(bytes(32)))
    assert (answer.status, answer.code) == (401, "unauthorized")


async def test_tokens_outlive_a_restart_of_the_server(tmp_path: Path) -> None:
    account, data = Account(), tmp_path / "data"
    async with served(data) as ask:
        tokens = await account.register(ask)
    async with served(data) as ask:
        assert (await ask("GET", "/sync/status", token=tokens["access"])).status == 200
        assert (await refresh(ask, tokens["refresh"])).status == 200


async def test_no_secret_of_a_sign_in_is_on_the_disk(tmp_path: Path) -> None:
    account, data = Account(), tmp_path / "data"
    async with served(data) as ask:
        tokens = await account.register(ask)
    stored = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file()) + ENGINE.kept(data)
    assert account.first.sign in stored
    assert unb64(tokens["refresh"]) not in stored
    assert tokens["refresh"].encode() not in stored
    assert tokens["access"].encode() not in stored
