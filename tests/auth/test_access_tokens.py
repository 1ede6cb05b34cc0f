"""Access tokens: only ours, only EdDSA, only in time; keys rotate and old ones go when no token of theirs can
live.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from echolia.auth.service.access_tokens import ROTATION_MS, AccessTokens, load_keys, one_key
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.server import START_S, Clock

NOW_MS = int(START_S * 1000)
LIFE_MS = 900_000


def part(value: Any) -> str:
    """A JWT's part."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims(account: bytes, device: bytes, **changed: Any) -> dict[str, Any]:
    """What a good token says."""
    return {
        "iss": "echolia",
        "aud": "echolia",
        "sub": b64(account),
        "dev": b64(device),
        "iat": int(START_S),
        "exp": int(START_S) + 900,
        **changed,
    }


@pytest.fixture
def tokens(tmp_path: Path) -> AccessTokens:
    """The tokens of a server whose keys lie in `tmp_path`."""
    return AccessTokens(load_keys(tmp_path, NOW_MS, LIFE_MS), 900, lambda: NOW_MS)


def key_of(folder: Path) -> tuple[str, Ed25519PrivateKey]:
    """The one key in the folder and its id."""
    keys = load_keys(folder, NOW_MS, LIFE_MS)
    return keys.signing_id, keys.signing


def refused(tokens: AccessTokens, token: str) -> bool:
    """Whether it is refused as no token of ours."""
    with pytest.raises(EcholiaError) as caught:
        tokens.read(token)
    return caught.value.code == "unauthorized"


def test_a_token_says_who_it_speaks_for(tokens: AccessTokens) -> None:
    caller = tokens.read(tokens.issue(b"a" * 16, b"d" * 16, NOW_MS))
    assert (caller.account, caller.device) == (b"a" * 16, b"d" * 16)
    assert caller.expires == int(START_S) + 900
    assert caller.issued_ms == NOW_MS


def test_its_form_is_the_spec_s(tokens: AccessTokens, tmp_path: Path) -> None:
    token = tokens.issue(b"a" * 16, b"d" * 16, NOW_MS)
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "EdDSA", "typ": "JWT", "kid": key_of(tmp_path)[0]}
    assert jwt.decode(token, options={"verify_signature": False}) == claims(b"a" * 16, b"d" * 16)


def test_alg_none_is_refused(tokens: AccessTokens, tmp_path: Path) -> None:
    kid, _ = key_of(tmp_path)
    for alg in ("none", "None", "NONE"):
        head = part({"alg": alg, "typ": "JWT", "kid": kid})
        assert refused(tokens, f"{head}.{part(claims(b'a' * 16, b'd' * 16))}.")


def test_hs256_with_the_public_key_as_secret_is_refused(tokens: AccessTokens, tmp_path: Path) -> None:
    kid, key = key_of(tmp_path)
    public = key.public_key()
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
    ):
        message = f"{part({'alg': 'HS256', 'kid': kid})}.{part(claims(b'a' * 16, b'd' * 16))}"
        mac = hmac.digest(secret, message.encode(), hashlib.sha256)
        assert refused(tokens, f"{message}.{b64(mac)}")


def test_an_unknown_key_and_a_strange_one_under_a_known_id_are_refused(
    tokens: AccessTokens, tmp_path: Path
) -> None:
    kid, key = key_of(tmp_path)
    good = claims(b"a" * 16, b"d" * 16)
    assert refused(tokens, jwt.encode(good, key, "EdDSA", headers={"kid": "another"}))
    assert refused(tokens, jwt.encode(good, key, "EdDSA"))
    assert refused(tokens, jwt.encode(good, Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": kid}))
    tokens.read(jwt.encode(good, key, "EdDSA", headers={"kid": kid}))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"sub": "short"},
        {"sub": 5},
        {"dev": b64(bytes(15))},
        {"exp": "soon"},
        {"exp": True},
        {"iat": "then"},
    ],
    ids=str,
)
def test_claims_of_another_form_are_refused(
    tokens: AccessTokens, tmp_path: Path, changed: dict[str, Any]
) -> None:
    kid, key = key_of(tmp_path)
    assert refused(
        tokens, jwt.encode(claims(b"a" * 16, b"d" * 16, **changed), key, "EdDSA", headers={"kid": kid})
    )


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "dev", "iat", "exp"])
def test_a_missing_claim_is_refused(tokens: AccessTokens, tmp_path: Path, missing: str) -> None:
    kid, key = key_of(tmp_path)
    told = claims(b"a" * 16, b"d" * 16)
    del told[missing]
    assert refused(tokens, jwt.encode(told, key, "EdDSA", headers={"kid": kid}))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "e30.e30.e30", "\u00e9", "x" * 3000])
def test_what_is_no_token_is_refused(tokens: AccessTokens, token: str) -> None:
    assert refused(tokens, token)


def test_every_changed_byte_is_noticed(tokens: AccessTokens) -> None:
    token = tokens.issue(b"a" * 16, b"d" * 16, NOW_MS)
    for at in range(0, len(token) - 1, 7):
        other = "A" if token[at] != "A" else "B"
        assert refused(tokens, token[:at] + other + token[at + 1 :])


# --- keys ---


def test_keys_are_the_owner_s_alone_and_kept(tmp_path: Path) -> None:
    first = load_keys(tmp_path / "keys", NOW_MS, LIFE_MS)
    again = load_keys(tmp_path / "keys", NOW_MS + ROTATION_MS, LIFE_MS)
    assert first.signing_id == again.signing_id
    (path,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_key_of_thirty_days_gives_way_and_verifies_until_its_tokens_are_gone(tmp_path: Path) -> None:
    first = load_keys(tmp_path, NOW_MS, LIFE_MS)
    token = AccessTokens(first, 900, lambda: NOW_MS).issue(b"a" * 16, b"d" * 16, NOW_MS)
    later = NOW_MS + ROTATION_MS + 1
    second = load_keys(tmp_path, later, LIFE_MS)
    assert second.signing_id != first.signing_id
    assert set(second.verifying) == {first.signing_id, second.signing_id}
    AccessTokens(second, 900, lambda: later).read(token)
    third = load_keys(tmp_path, later + LIFE_MS + 60_001, LIFE_MS)
    assert set(third.verifying) == {second.signing_id}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", bytes(119)])
def test_a_key_that_is_none_is_named(tmp_path: Path, rubbish: bytes) -> None:
    load_keys(tmp_path, NOW_MS, LIFE_MS)
    (path,) = tmp_path.iterdir()
    path.write_bytes(rubbish)
    with pytest.raises(EcholiaError, match="settings_invalid") as error:
        load_keys(tmp_path, NOW_MS, LIFE_MS)
    assert path.name in error.value.detail


# --- in use ---


async def test_a_token_ends_after_fifteen_minutes_though_it_was_verified_before(
    ask: Asker, anna: Account, clock: Clock
) -> None:
    assert (await ask("GET", "/sync/status")).status == 200
    clock.pass_s(899)
    assert (await ask("GET", "/sync/status")).status == 200
    clock.pass_s(1)
    for target in ("/sync/status", "/auth/devices"):
        answer = await ask("GET", target)
        assert (answer.status, answer.code) == (401, "token_expired")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_reads_its_own_account_alone(ask: Asker, anna: Account) -> None:
    ben = Account("ben")
    bens = (await ben.register(ask))["access"]
    answer = await ask("GET", "/auth/devices", token=bens)
    assert [each["device"] for each in answer.json()["devices"]] == [b64(ben.first.id)]
    stolen = await ask(
        "DELETE", f"/auth/device/{b64(anna.first.id)}", {"entry": "", "signatures": {}}, token=bens
    )
    assert (stolen.status, stolen.code) == (404, "device_unknown")


@pytest.mark.parametrize(
    "header", ["Basic abc", "Bearer", "Bearer ", "Bearer a b", "bearer " + "x" * 5000, "Mailbox abc"]
)
async def test_other_authorizations_are_refused(ask: Asker, header: str) -> None:
    for target in ("/sync/status", "/auth/devices"):
        answer = await ask("GET", target, headers={"authorization": header})
        assert (answer.status, answer.code) == (401, "unauthorized")


def test_machines_that_share_a_seed_read_each_other_s_tokens() -> None:
    one, two, other = (AccessTokens(one_key(seed * 32), 900, lambda: NOW_MS) for seed in (b"s", b"s", b"o"))
    token = one.issue(b"a" * 16, b"d" * 16, NOW_MS)
    assert two.read(token).account == b"a" * 16
    with pytest.raises(EcholiaError, match="unauthorized"):
        other.read(token)
