"""Vectors of a home's vault: as it lies in a file, sealed under a passphrase, sealed by a keychain."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt

from tests.vectors import reference as ref
from tests.vectors.cases.envelopes import secrets
from tests.vectors.world import LAPTOP, Vector, flipped, seed

MIB = 1 << 20
PASSPHRASE, UNICODE = "correct horse battery", "ﬁne Ångström ½"
SALT, ID, NONCE = seed("vault salt")[:16], seed("vault id")[:16], seed("vault nonce")[:24]
KEYCHAIN_KEY = seed("keychain key")
SECRETS = ref.cbor({"v": 1, **secrets((1,))})
CONTENTS: dict[str, Any] = {
    "v": 1, "server": "https://sync.example", "sign": LAPTOP.sign_seed, "box": LAPTOP.box_secret,
    "secrets": SECRETS, "registered": True, "genesis": None, "entropy": None, "successor": None,
    "staged": None,
}  # fmt: skip
FOUND = {
    "server": CONTENTS["server"],
    "sign": LAPTOP.sign_seed,
    "box": LAPTOP.box_secret,
    "secrets": SECRETS,
}


def cases() -> Iterator[Vector]:
    """Vaults that open, and those that must not."""
    for case, note, vault, passphrase, kept in (
        ("file", "As it is.", CONTENTS, None, "file"),
        ("passphrase", "The least work there may be.", _under(PASSPHRASE), PASSPHRASE, "passphrase"),
        ("passphrase-more", "More work.", _under(PASSPHRASE, 3, 65 * MIB), PASSPHRASE, "passphrase"),
        ("passphrase-nfkc", "Ligatures, rings, fractions.", _under(UNICODE), UNICODE, "passphrase"),
        (
            "keychain",
            "The key lies in the keychain.",
            _sealed(_in_keychain(), KEYCHAIN_KEY),
            None,
            "keychain",
        ),
    ):
        yield _vector(case, note, ref.cbor(vault), passphrase, {**FOUND, "kept": kept})
    yield from _refused_by_key()
    yield from _refused_by_form()


def _refused_by_key() -> Iterator[Vector]:
    whole = _under(PASSPHRASE)
    raw = ref.cbor(whole)
    decomposed = unicodedata.normalize("NFD", UNICODE)
    yield _vector("passphrase-nfd", "The same, composed otherwise.", ref.cbor(_under(UNICODE)), decomposed,
                  {**FOUND, "kept": "passphrase"})  # fmt: skip
    wrong = {"error": "passphrase_wrong"}
    yield _vector("refused-passphrase-other", "Another.", raw, PASSPHRASE + "s", wrong)
    yield _vector("refused-passphrase-case", "Letters count as they are.", raw, PASSPHRASE.upper(), wrong)
    yield _vector("refused-passphrase-none", "None.", raw, None, {"error": "passphrase_needed"})
    salt = {**whole, "head": {**whole["head"], "salt": flipped(SALT)}}
    yield _vector(
        "refused-salt-changed", "Another salt makes another key.", ref.cbor(salt), PASSPHRASE, wrong
    )
    check = {**whole, "head": {**whole["head"], "check": flipped(whole["head"]["check"])}}
    yield _vector("refused-check-changed", "The check fits no key.", ref.cbor(check), PASSPHRASE, wrong)
    damaged = {"error": "home_damaged"}
    for name in ("sealed", "nonce"):
        changed = ref.cbor({**whole, name: flipped(whole[name])})
        yield _vector(
            f"refused-{name}-changed", "The key is right, the seal broken.", changed, PASSPHRASE, damaged
        )
    other = _sealed(_in_keychain(), seed("another key"))
    unavailable = {"error": "keychain_unavailable"}
    yield _vector("refused-keychain-other", "It gives another key.", ref.cbor(other), None, unavailable)
    absent = _sealed({"by": "keychain", "id": bytes(16)}, KEYCHAIN_KEY)
    yield _vector("refused-keychain-absent", "It has no such key.", ref.cbor(absent), None, unavailable)


def _refused_by_form() -> Iterator[Vector]:
    whole = _under(PASSPHRASE)
    refused = {"error": "vault_refused"}
    for case, work in (
        ("ops-one", {"ops": 1}),
        ("ops-zero", {"ops": 0}),
        ("ops-true", {"ops": True}),
        ("ops-many", {"ops": 17}),
        ("mem-little", {"mem": 64 * MIB - 1}),
        ("mem-much", {"mem": 1024 * MIB + 1}),
        ("mem-text", {"mem": "64 MiB"}),
    ):
        vault = {**whole, "head": {**whole["head"], **work}}
        yield _vector(f"refused-{case}", "Outside the limits.", ref.cbor(vault), PASSPHRASE, refused)
    head = whole["head"]
    newer = {"error": "home_newer"}
    yield _vector("refused-by-newer", "Kept as nobody knows yet.",
                  ref.cbor({**whole, "head": {**head, "by": "token"}}), PASSPHRASE, newer)  # fmt: skip
    yield _vector("refused-version-3", "A later version.", ref.cbor({**whole, "v": 3}), PASSPHRASE, newer)
    inside = _under(PASSPHRASE, contents={**CONTENTS, "v": 2})
    yield _vector("refused-contents-version-2", "Later contents.", ref.cbor(inside), PASSPHRASE, newer)
    damaged = {"error": "home_damaged"}
    for case, note, content in (
        ("empty", "Nothing.", b""),
        ("no-cbor", "Not CBOR.", b"\xff\xff"),
        ("no-map", "A list.", ref.cbor([1])),
        ("version-true", "True is not 1.", ref.cbor({**CONTENTS, "v": True})),
        ("key-additional", "A key nobody knows.", ref.cbor({**whole, "x": 1})),
        ("head-additional", "One in the head.", ref.cbor({**whole, "head": {**head, "x": 1}})),
        ("head-none", "No head.", ref.cbor({**whole, "head": None})),
        ("salt-short", "15 bytes of salt.", ref.cbor({**whole, "head": {**head, "salt": SALT[1:]}})),
        ("check-short", "31 bytes.", ref.cbor({**whole, "head": {**head, "check": head["check"][1:]}})),
        ("nonce-short", "23 bytes.", ref.cbor({**whole, "nonce": NONCE[1:]})),
        ("sealed-text", "A text.", ref.cbor({**whole, "sealed": "x"})),
        ("contents-cut", "Secrets that are none.", ref.cbor(_under(PASSPHRASE, contents={"v": 1}))),
    ):
        yield _vector(f"refused-{case}", note, content, PASSPHRASE, damaged)


def _vector(case: str, note: str, vault: bytes, passphrase: str | None, expect: dict[str, Any]) -> Vector:
    given = {"vault": vault, "passphrase": passphrase, "keychain": {ID.hex(): KEYCHAIN_KEY}}
    return Vector("vault", case, note, given, expect)


def _in_keychain() -> dict[str, Any]:
    return {"by": "keychain", "id": ID}


def _under(
    passphrase: str, ops: int = 2, mem: int = 64 * MIB, contents: dict[str, Any] = CONTENTS
) -> dict[str, Any]:
    text = unicodedata.normalize("NFKC", passphrase).encode()
    key = Argon2id(salt=SALT, length=32, iterations=ops, lanes=1, memory_cost=mem >> 10).derive(text)
    return _sealed({"by": "passphrase", "salt": SALT, "ops": ops, "mem": mem}, key, contents)


def _sealed(terms: dict[str, Any], key: bytes, contents: dict[str, Any] = CONTENTS) -> dict[str, Any]:
    head = {**terms, "check": ref.b(32, key, ref.cbor(terms), b"echolia1/vltchk")}
    sealing = ref.b(32, key, ref.cbor(terms), b"echolia1/vltkey")
    aad = b"echolia/1/vault" + ref.cbor(head)
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(ref.cbor(contents), aad, NONCE, sealing)
    return {"v": 2, "head": head, "nonce": NONCE, "sealed": sealed}
