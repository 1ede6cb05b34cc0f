"""Tokens, names and routes of a real sqld: one account's token opens one account's database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from echolia.storage.engine import DatabaseMissing, Statement, StorageError
from echolia.storage.hrana import pipeline
from echolia.storage.hrana.database import HranaDatabase
from echolia.storage.hrana.names import Names, checked, load_names
from echolia.storage.hrana.server import Server
from echolia.storage.hrana.sqld import Sqld
from echolia.storage.hrana.tokens import LIFE_S, MARGIN_S, SignedAccess, Signer
from tests.support.server import Clock
from tests.support.sqld import SqldProcess, account_named

ANNA, BEN = account_named("anna"), account_named("ben")
BAD_NAMES = ("", "-a", "A", "a/b", "..", "a.b", "..%2f..%2fx", "a b", "é", "a" * 64, "a\n", "a?x=1", "a#")
ASK = pipeline.request([Statement("SELECT 1")], tx=False)


@pytest.fixture
async def place(sqld: SqldProcess) -> AsyncIterator[Sqld]:
    """A place with the databases of two accounts."""
    place = sqld.place(seed=secrets.token_hex(8))
    await place.create(ANNA)
    await place.create(BEN)
    yield place
    await place.close()


async def status(sqld: SqldProcess, host: str, token: str, path: str = "/v3/pipeline") -> int:
    """What sqld answers to a query."""
    headers = {"Host": host, "Authorization": f"Bearer {token}"}
    async with aiohttp.request("POST", sqld.url + path, data=ASK, headers=headers) as answer:
        await answer.read()
        return answer.status


@pytest.mark.service
async def test_a_token_opens_its_own_database_and_no_other(sqld: SqldProcess, place: Sqld) -> None:
    anna, ben = (place._names.of(account) for account in (ANNA, BEN))
    token, _ = Signer(sqld.key, time).token(anna)
    assert await status(sqld, f"{anna}.db", token) == 200
    for host, path in (
        (f"{ben}.db", "/v3/pipeline"),
        (f"{anna}.db", f"/dev/{ben}/v3/pipeline"),
        (f"{ben}.db", f"/dev/{ben}/v3/pipeline"),
        (f"{ben}.db", f"/dev/{anna}/v3/pipeline/../../../v3/pipeline"),
        (f"..%2f{ben}.db", "/v3/pipeline"),
        (f"{ben.upper()}.db", "/v3/pipeline"),
    ):
        assert await status(sqld, host, token, path) in {400, 401, 403, 404}, (host, path)


@pytest.mark.service
@pytest.mark.parametrize(
    "changed",
    [{"exp": int(time()) - 3600}, {"id": "u-somebody"}, {"a": "ro"}],
    ids=["expired", "of another", "read only"],
)
async def test_a_token_that_is_not_right_writes_nothing(
    sqld: SqldProcess, place: Sqld, changed: dict[str, Any]
) -> None:
    name = place._names.of(ANNA)
    claims = {"id": name, "a": "rw", "exp": int(time()) + 600, **changed}

    class Given:
        async def token(self, renew: bool = False) -> str:
            return jwt.encode(claims, sqld.key, "EdDSA")

    db = HranaDatabase(place._server, f"{name}.db", Given())
    with pytest.raises(StorageError):
        await db.batch([Statement("CREATE TABLE t (a)")])


@pytest.mark.service
async def test_a_token_that_was_refused_is_renewed_once(sqld: SqldProcess, place: Sqld) -> None:
    name, asked = place._names.of(ANNA), []

    class LateFirst:
        async def token(self, renew: bool = False) -> str:
            asked.append(renew)
            claims = {"id": name, "a": "rw", "exp": int(time()) + (600 if renew else -600)}
            return jwt.encode(claims, sqld.key, "EdDSA")

    db = HranaDatabase(place._server, f"{name}.db", LateFirst())
    assert (await db.batch([Statement("SELECT 1")]))[0].rows == [(1,)]
    assert asked == [False, True]


@pytest.mark.service
async def test_a_token_of_another_key_opens_nothing(sqld: SqldProcess, place: Sqld) -> None:
    name = place._names.of(ANNA)
    access = SignedAccess(Signer(Ed25519PrivateKey.generate(), time), name, time)
    with pytest.raises(StorageError, match="HTTP_401"):
        await HranaDatabase(place._server, f"{name}.db", access).batch([Statement("SELECT 1")])


@pytest.mark.service
async def test_the_replication_index_is_carried(place: Sqld) -> None:
    db = await place.open(ANNA)
    assert isinstance(db, HranaDatabase)
    before = db.replication_index
    await db.batch([Statement("CREATE TABLE t (a)")])
    assert before is not None and db.replication_index is not None
    assert int(db.replication_index) > int(before)
    sent = pipeline.request([Statement("SELECT 1")], False, db.replication_index).decode()
    assert f'"replication_index":"{db.replication_index}"' in sent


def test_tokens_are_short_lived_kept_and_replaced_in_time() -> None:
    clock, key = Clock(), Ed25519PrivateKey.generate()
    access = SignedAccess(Signer(key, clock), "u-1", clock)

    async def tokens() -> None:
        first = await access.token()
        claims = jwt.decode(first, key.public_key(), ["EdDSA"], options={"verify_exp": False})
        assert claims == {"id": "u-1", "a": "rw", "exp": int(clock.now_s) + LIFE_S}
        clock.pass_s(LIFE_S - MARGIN_S - 1)
        assert await access.token() == first
        clock.pass_s(1)
        assert await access.token() != first

    _run(tokens())


def _run(work: Any) -> None:
    with pytest.raises(StopIteration):
        work.send(None)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_a_name_is_a_name_and_says_nothing(account: bytes, key: bytes) -> None:
    name = Names(key).of(account)
    assert checked(name) == name
    assert account.hex() not in name
    assert name != Names(sha256(key).digest()).of(account)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(StorageError) as caught:
        checked(name)
    assert str(caught.value) == "storage_failed: NAME_INVALID"


@pytest.mark.service
@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_bad_name_reaches_no_address(name: str, sqld: SqldProcess) -> None:
    place = sqld.place()
    for ask in (place._admin.create(name), place._admin.delete(name), place._admin.block(name, True)):
        with pytest.raises(StorageError, match="NAME_INVALID"):
            await ask
    await place.close()


def test_the_key_of_names_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "databases.key"
    name = load_names(path).of(ANNA)
    assert load_names(path).of(ANNA) == name
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(StorageError):
        load_names(path)


async def test_a_server_that_is_not_there_is_said_to_be_unreachable() -> None:
    server = Server("http://127.0.0.1:1")
    db = HranaDatabase(server, "x.db", SignedAccess(Signer(Ed25519PrivateKey.generate(), time), "x", time))
    with pytest.raises(StorageError, match="UNREACHABLE"):
        await db.batch([Statement("SELECT 1")])
    await server.close()


@pytest.mark.service
async def test_what_is_missing_is_missing_however_it_is_asked(place: Sqld) -> None:
    nobody = account_named("nobody")
    for ask in (place.open(nobody), place.usage(nobody), place.block(nobody, True)):
        with pytest.raises(DatabaseMissing):
            await ask
    await place.delete(nobody)
