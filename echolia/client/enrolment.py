"""Making an account: secrets on disk first, then the server; interrupted anywhere, it goes on from there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from echolia.client import key_boxes
from echolia.client.device_entries import entry_json
from echolia.client.environment import Environment
from echolia.client.home import Home
from echolia.client.keeping import Given, new_keeping
from echolia.client.opening import OpenHome, check_free, create_database, locked, with_database
from echolia.client.reports import Kept
from echolia.client.session import MemoryTokens, Refused, Session
from echolia.client.transport import Transport
from echolia.client.vault import Vault
from echolia.core.collections import Collection
from echolia.core.device_entries import RECOVERY, SignedEntry
from echolia.core.device_log import entry_bytes
from echolia.core.errors import EcholiaError
from echolia.core.ids import account_id, b64
from echolia.core.messages import device_log_message
from echolia.e2ee.keys import SECRET_BYTES, AccountSecrets, KeyPairs
from echolia.e2ee.recovery import phrase_of, recovery_keys
from echolia.e2ee.secret import Secret

_MOST_BITS: Final = 28  # some minutes of work; more is not what an honest server asks
_ROUNDS: Final = 3
_TRIES_AT_ONCE: Final = 20_000


async def make_account(
    home: Home,
    server: str,
    transport: Transport,
    collections: Iterable[Collection],
    environment: Environment,
    kept: Kept | None,
    given: Given | None,
) -> tuple[OpenHome, str]:
    """A registered home and its phrase. Raises `home_exists`, `home_locked`, `server_unreachable`."""
    home.prepare()
    lock = await locked(home, environment)
    try:
        vault = await _begun(home, server, environment, kept, given)
        assert vault.entropy is not None, "an interrupted setup still has its phrase"
        if not vault.registered:
            await _register(vault, transport, environment)
            vault = vault.confirmed()
            vault.save(home.vault, environment.durably)
        opened = with_database(home, lock, vault, collections, environment)
        return opened, phrase_of(vault.entropy or b"")
    except BaseException:
        lock.release()
        raise


async def _begun(
    home: Home, server: str, environment: Environment, kept: Kept | None, given: Given | None
) -> Vault:
    """The vault of a setup that was interrupted, or else of a new account; then the database is there too."""
    if home.vault.exists():
        vault = await Vault.load(home.vault, given, environment)
        if vault.entropy is None or vault.genesis is None:
            raise EcholiaError("home_exists")
        if not vault.registered and vault.server != server:
            vault = vault.moved(server)
            vault.save(home.vault, environment.durably)
        elif vault.server != server:
            raise EcholiaError("home_exists")
    else:
        check_free(home)
        vault = replace(_new_vault(server, environment), keeping=await new_keeping(kept, given, environment))
        # The vault comes first: whatever the server may learn of this account, its secrets are on disk.
        vault.save(home.vault, environment.durably)
    if not vault.registered:
        assert vault.genesis is not None, "an account begins with its genesis"
        create_database(home, [vault.genesis], environment.durably)
    return vault


def _new_vault(server: str, environment: Environment) -> Vault:
    dice = environment.dice
    keys = KeyPairs(dice(SECRET_BYTES), dice(SECRET_BYTES))
    entropy = Secret(dice(SECRET_BYTES))
    recovery = recovery_keys(phrase_of(entropy))
    fields = {"suite": 1, "nonce": dice(16), "recovery": recovery.public(), "device": keys.public()}
    entry = entry_bytes("genesis", None, fields)
    message = device_log_message(entry)
    genesis = SignedEntry(entry, {RECOVERY: recovery.sign(message), b64(keys.device): keys.sign(message)})
    secrets = AccountSecrets(account_id(entry), 1, {1: dice(SECRET_BYTES)}, dice(SECRET_BYTES))
    return Vault(server, keys, secrets, registered=False, genesis=genesis, entropy=entropy)


async def _register(vault: Vault, transport: Transport, environment: Environment) -> None:
    session = Session(transport, vault.keys, MemoryTokens(), environment)
    body = _registration(vault)
    for _ in range(_ROUNDS):
        try:
            await session.open("POST", "/auth/register", body)
            return
        except Refused as refused:
            if refused.code == "account_exists":
                return  # the answer to an earlier try was lost
            if refused.code not in {"proof_of_work_required", "proof_of_work_invalid"}:
                raise
            solved = await _solved(refused.members) if refused.code == "proof_of_work_required" else None
        body = {**_registration(vault), **({"proof_of_work": solved} if solved else {})}
    raise EcholiaError("server_unreachable", "the server keeps asking for another puzzle")


def _registration(vault: Vault) -> dict[str, Any]:
    assert vault.genesis is not None and vault.entropy is not None, "an account is registered with both"
    recovery = recovery_keys(phrase_of(vault.entropy)).box_public
    box = key_boxes.sealed(vault.secrets, vault.keys, RECOVERY, recovery)
    return {"genesis": entry_json(vault.genesis), "key_boxes": [box]}


async def _solved(puzzle: Mapping[str, Any]) -> dict[str, str]:
    """The nonce that the server's puzzle asks for (`spec/auth.md#register`)."""
    challenge, bits = puzzle.get("challenge"), puzzle.get("bits")
    if not isinstance(challenge, str) or not challenge.isascii():
        raise EcholiaError("server_invalid", "the puzzle has another form")
    if type(bits) is not int or not 0 <= bits <= _MOST_BITS:
        raise EcholiaError("server_invalid", "the puzzle has another form")
    start, below, nonce = sha256(challenge.encode() + b":"), 1 << (256 - bits), 0
    while True:
        attempt = start.copy()
        attempt.update(b"%d" % nonce)
        if int.from_bytes(attempt.digest(), "big") < below:
            return {"challenge": challenge, "nonce": str(nonce)}
        nonce += 1
        if nonce % _TRIES_AT_ONCE == 0:
            await asyncio.sleep(0)  # so that it can be cancelled, and whoever waits can show that it goes on
