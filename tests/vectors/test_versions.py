"""Older, newer and other versions and suites are refused by name wherever one is read."""

from __future__ import annotations

import ast
import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from echolia.client.database import Database
from echolia.client.environment import REAL
from echolia.client.schema import MIGRATIONS
from echolia.client.vault import Vault
from echolia.core import canonical, checkpoints, push, runs
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.export_records import Parser, Record
from echolia.core.ids import b64
from echolia.e2ee.exports import MAGIC, head_length
from echolia.e2ee.keys import AccountSecrets, KeyPairs, open_key_box
from echolia.e2ee.pairing import Code
from echolia.e2ee.vault_seal import SealedVault
from echolia.sealed.documents import LABEL, read_document
from echolia.sealed.requests import open_request, seal
from echolia.sealed.suites import public_of
from echolia.sync import models
from tests.vectors import reference as ref
from tests.vectors.cases.device_logs import ADD, GENESIS, signed
from tests.vectors.world import ACCOUNT, GENESIS_FIELDS, LAPTOP, PHONE, RECOVERY, change, run, seed

REPOSITORY: Final = Path(__file__).resolve().parents[2]
UNSUPPORTED: Final = frozenset({"unsupported_version"})
# A single byte on the wire; what a CBOR map or JSON may hold in a number's place.
BYTES: Final = (0, 2, 127, 255)
NUMBERS: Final = (0, 2, True, "1", None)
VALUES: Final = (0, 2, 2**32, -1, True, 1.5, "1", b"\1", None, [1])
SECRETS: Final = {"v": 1, "account": ACCOUNT, "generation": 1, "keys": {1: seed("k")}, "index": seed("i")}
KEYS: Final = KeyPairs(PHONE.sign_seed, PHONE.box_secret)


@dataclass(frozen=True)
class Place:
    """Where a version is read: by which module, by what reader, other values, how they may be refused."""

    module: str
    read: Callable[[Any], object]
    values: tuple[Any, ...]
    codes: frozenset[str] = UNSUPPORTED


def _genesis(**other: Any) -> object:
    entry = signed(canonical.encode({**GENESIS_FIELDS, **other}), RECOVERY, LAPTOP)
    return DeviceLog.replay([SignedEntry(*entry)])


def _added(version: Any) -> object:
    fields = canonical.decode(ADD.entry)
    entry = signed(canonical.encode({**fields, "v": version}), LAPTOP, PHONE)
    return DeviceLog.replay([SignedEntry(*GENESIS), SignedEntry(*entry)])


def _run(**other: Any) -> object:
    return runs.read_header(run(LAPTOP, "a", **other).frame)


def _class(kind: int) -> object:
    frame = run(LAPTOP, changes=[change("a", kind=kind)]).frame
    return runs.change_ends(frame, runs.read_header(frame))


def _json_run(**other: Any) -> object:
    header = {"device": b64(LAPTOP.id), "first": 1, "prev": b64(bytes(32)), "signature": b64(bytes(64))}
    seen = {"epoch": 0, "seq": 0, "log": b64(bytes(32))}
    body = {"header": b64(bytes(42)), "body": b64(bytes(256))}
    whole = {"version": 1, "suite": 1, **header, "seen": seen, "changes": [body], **other}
    return models.read_json_push(_json({"runs": [whole]}))


def _page(version: int) -> object:
    return push.read_page(ref.page((5, 0, bytes(32)), [], version=version))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _checkpoint(version: Any) -> object:
    head = {LAPTOP.id: [1, seed("chain")]}
    fields = {"v": 1, "epoch": 5, "seq": 1, "log": seed("log"), "received_ms": 7, "heads": head}
    last = {"devices": {"n": 1, "head": seed("head")}, "count": 1, "live": seed("live")}
    return checkpoints.decode(canonical.encode({**fields, **last, "v": version}))


def _key_box(version: Any) -> object:
    plaintext = canonical.encode({**SECRETS, "v": version})
    return open_key_box(ref.sealed_box(plaintext, KEYS.box_public, seed("ephemeral")), KEYS)


def _code(version: Any) -> object:
    fields = {"v": version, "s": "https://sync.example", "m": bytes(16), "k": seed("k")}
    return Code.decode("echolia:" + b64(canonical.encode(fields)))


def _vault(version: Any) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vault"
        Vault("https://sync.example", KEYS, AccountSecrets.decode(canonical.encode(SECRETS))).save(path)
        path.write_bytes(canonical.encode({**canonical.decode(path.read_bytes()), "v": version}))
        return asyncio.run(Vault.load(path, None, REAL))


def _database(version: int) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "echolia.db"
        Database.create(path).close()
        with closing(sqlite3.connect(path)) as other:
            other.execute(f"PRAGMA user_version = {version}")
        with closing(Database.open(path)):
            return version


def _or(*more: str) -> frozenset[str]:
    return UNSUPPORTED | {*more}


_SEALED: Final = {
    "head": {"by": "keychain", "id": bytes(16), "check": bytes(32)},
    "nonce": bytes(24),
    "sealed": bytes(64),
}


def _sealed_suite(kem: int) -> None:
    request, _ = seal(0, public_of(bytes(32)), b"", seed("ephemeral"))
    open_request(request[:1] + kem.to_bytes(2, "big") + request[3:], lambda _: bytes(32), bytes(32))


def _sealed_keys(version: Any) -> None:
    public = ref.sign_public(seed("identity"))
    key = {"id": 0, "public": public_of(seed("box")), "from_ms": 0, "until_ms": 1}
    said = {"v": version, "identity": public, "next": bytes(32), "keys": [key]}
    document = canonical.encode(said)
    read_document(document, ref.sign(seed("identity"), LABEL + document), None, 0)


PLACES: Final[Mapping[str, Place]] = {
    "run version": Place("core/runs.py", lambda v: _run(version=v), BYTES),
    "run suite": Place("core/runs.py", lambda v: _run(suite=v), BYTES),
    "change class": Place("core/runs.py", _class, (0, 3, 255)),
    "run version in JSON": Place(
        "sync/models.py", lambda v: _json_run(version=v), NUMBERS, _or("invalid_request")
    ),
    "run suite in JSON": Place(
        "sync/models.py", lambda v: _json_run(suite=v), NUMBERS, _or("invalid_request")
    ),
    "push": Place("core/push.py", lambda v: push.read_push(ref.push([run(LAPTOP, "a").frame], v)), BYTES),
    "page": Place("core/push.py", _page, BYTES),
    "genesis version": Place(
        "core/device_entries.py", lambda v: _genesis(v=v), VALUES, _or("device_log_invalid")
    ),
    "genesis suite": Place(
        "core/device_log.py", lambda v: _genesis(suite=v), VALUES, _or("device_log_invalid")
    ),
    "later entry": Place("core/device_entries.py", _added, VALUES, _or("device_log_invalid")),
    "checkpoint": Place("core/checkpoints.py", _checkpoint, VALUES, _or("checkpoint_invalid")),
    "account secrets": Place(
        "e2ee/keys.py",
        lambda v: AccountSecrets.decode(canonical.encode({**SECRETS, "v": v})),
        VALUES,
        _or("key_box_invalid"),
    ),
    "key box": Place("e2ee/keys.py", _key_box, VALUES, _or("key_box_invalid")),
    "pairing code": Place("e2ee/pairing.py", _code, VALUES, _or("pairing_code_invalid")),
    "vault": Place(
        "client/vault.py", _vault, (0, 3, *VALUES[2:]), frozenset({"home_newer", "home_damaged"})
    ),
    "sealed vault": Place(
        "e2ee/vault_seal.py",
        lambda v: SealedVault.decode({**_SEALED, "v": v}),
        (0, 1, 3, *VALUES[2:]),
        frozenset({"home_newer", "home_damaged"}),
    ),
    "export": Place(
        "e2ee/exports.py", lambda v: head_length(MAGIC + bytes((v, 1)) + bytes(4)), BYTES
    ),
    "export's records": Place(
        "core/export_records.py", lambda v: list(Parser().feed(Record(v, b"").encode())), (0, 8, 255)
    ),
    "sealed request's suite": Place("sealed/requests.py", _sealed_suite, (0, 1, 0x10, 0x21, 0xFFFF)),
    "sealed keys": Place("sealed/documents.py", _sealed_keys, VALUES, _or("sealed_keys_invalid")),
    "home's database": Place(
        "client/database.py",
        _database,
        (len(MIGRATIONS) + 1, 2**31 - 1),
        frozenset({"home_newer"}),
    ),
}  # fmt: skip
OWN: Final = {"home's database": len(MIGRATIONS), "sealed vault": 2, "sealed request's suite": 0x20}


def code_of(read: Callable[[Any], object], version: Any) -> str | None:
    """The code by which this version is refused, or None if it was taken."""
    try:
        read(version)
    except EcholiaError as error:
        return error.code
    return None


@pytest.mark.parametrize("place", PLACES)
def test_no_other_version_is_taken(place: str) -> None:
    here = PLACES[place]
    taken = {repr(value): code_of(here.read, value) for value in here.values}
    assert {value: code for value, code in taken.items() if code not in here.codes} == {}


@pytest.mark.parametrize("place", PLACES)
def test_a_newer_version_is_refused_as_such(place: str) -> None:
    here = PLACES[place]
    newer = next(value for value in here.values if type(value) is int and value > OWN.get(place, 1))
    assert code_of(here.read, newer) in ("unsupported_version", "home_newer")


@pytest.mark.parametrize("place", PLACES)
def test_its_own_version_is_taken(place: str) -> None:
    assert code_of(PLACES[place].read, OWN.get(place, 1)) is None


def refusing(tree: ast.AST) -> Iterator[str]:
    """The codes of other versions that are raised in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            named = node.func.id if isinstance(node.func, ast.Name) else ""
            if named == "EcholiaError" and node.args[0].value in ("unsupported_version", "home_newer"):
                yield str(node.args[0].value)


def test_every_place_that_reads_a_version_is_in_the_table() -> None:
    package = REPOSITORY / "echolia"
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any(refusing(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {place.module for place in PLACES.values()}
