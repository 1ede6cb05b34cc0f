"""An account rebuilt from its recovery phrase, where nothing else is left (`spec/keys.md#recovery`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from echolia.client import key_boxes
from echolia.client.device_entries import entry_json, read_entry
from echolia.client.environment import Environment
from echolia.client.home import Home
from echolia.client.keeping import Given, new_keeping
from echolia.client.opening import OpenHome, check_free, create_database, locked, with_database
from echolia.client.reports import Kept
from echolia.client.session import MemoryTokens, Refused, Session, bytes_of
from echolia.client.transport import Transport
from echolia.client.vault import Vault
from echolia.core.collections import Collection
from echolia.core.device_entries import BY_RECOVERY, RECOVERY, SignedEntry
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import device_log_message, recovery_message
from echolia.e2ee.keys import SECRET_BYTES, AccountSecrets, KeyPairs
from echolia.e2ee.recovery import recovery_keys

_ROUNDS: Final = 6
_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class _Found:
    """What the server has for the phrase: the verified device log, its entries, the account's secrets."""

    log: DeviceLog
    entries: list[SignedEntry]
    secrets: AccountSecrets = field(repr=False)


async def recover(
    home: Home,
    server: str,
    phrase: str,
    transport: Transport,
    collections: Iterable[Collection],
    environment: Environment,
    kept: Kept | None,
    given: Given | None,
) -> OpenHome:
    """A home that is a new device of the phrase's account; interrupted anywhere, it is run again.

    Raises `phrase_invalid`, `account_unknown` (no account here has this phrase), `home_exists`,
    `home_locked`, `server_unreachable`, `too_many_devices`, `device_log_invalid`, `key_box_withheld`,
    `key_box_invalid`.
    """
    recovery = recovery_keys(phrase)
    home.prepare()
    lock = await locked(home, environment)
    try:
        begun = await _begun(home, environment, given)
        session = Session(transport, recovery, MemoryTokens(), environment)
        found = await _account(session, recovery)
        keys = begun.keys if begun else KeyPairs(*map(environment.dice, (SECRET_BYTES, SECRET_BYTES)))
        keeping = begun.keeping if begun else await new_keeping(kept, given, environment)
        # The vault comes first: whatever the server may learn of this device, its keys are on disk.
        vault = Vault(server, keys, found.secrets, registered=False, keeping=keeping)
        vault.save(home.vault, environment.durably)
        found = await _added(session, found, recovery, keys)
        vault = replace(vault, secrets=found.secrets, registered=True)
        create_database(home, found.entries, environment.durably)
        vault.save(home.vault, environment.durably)
        return with_database(home, lock, vault, collections, environment)
    except BaseException:
        lock.release()
        raise


async def _begun(home: Home, environment: Environment, given: Given | None) -> Vault | None:
    """The vault of a recovery that was interrupted; raises `home_exists`."""
    if not home.vault.exists():
        check_free(home)
        return None
    vault = await Vault.load(home.vault, given, environment)
    if vault.registered or vault.genesis is not None:
        raise EcholiaError("home_exists")
    return vault


async def _added(session: Session, found: _Found, recovery: KeyPairs, keys: KeyPairs) -> _Found:
    """The account with the new device in it; others may change the device log at the same time."""
    for _ in range(_ROUNDS):
        if keys.device in found.log.devices:
            return found
        fields = {"device": keys.public(), "by": BY_RECOVERY}
        entry = entry_bytes("add", found.log, fields)
        message = device_log_message(entry)
        signatures = {RECOVERY: recovery.sign(message), b64(keys.device): keys.sign(message)}
        box = key_boxes.sealed(found.secrets, keys, b64(keys.device), keys.box_public)
        asked = {"account": b64(found.log.account), **entry_json(SignedEntry(entry, signatures))}
        try:
            await session.open("POST", "/auth/recovery/devices", {**asked, "key_boxes": [box]})
        except Refused as refused:
            if refused.code != "device_log_conflict":
                raise
        found = await _account(session, recovery)
    raise EcholiaError("device_log_conflict")


async def _account(session: Session, recovery: KeyPairs) -> _Found:
    withheld: EcholiaError | None = None
    for _ in range(_TRIES):
        challenge = await session.fresh_challenge()
        signature = recovery.sign(recovery_message(recovery.device, challenge))
        asked = {"device": b64(recovery.device), "challenge": b64(challenge), "signature": b64(signature)}
        try:
            return _read(await session.open("POST", "/auth/recovery", asked), recovery)
        except Refused as refused:
            if refused.code == "signature_invalid":
                raise EcholiaError("account_unknown", "no account here has this phrase") from None
            if refused.code != "challenge_invalid":
                raise
        except EcholiaError as error:
            # Somebody may rotate while the server reads the one after the other.
            if error.code != "key_box_withheld":
                raise
            withheld = error
    if withheld is not None:
        raise withheld
    raise EcholiaError("server_unreachable", "signing in by the phrase does not come through")


def _read(answer: dict[str, Any], recovery: KeyPairs) -> _Found:
    entries, boxes = answer.get("log"), key_boxes.listed(answer.get("boxes"))
    if not isinstance(entries, list):
        raise EcholiaError("server_invalid", "expected a device log")
    signed = [read_entry(entry) for entry in entries]
    log = DeviceLog.replay(signed, bytes_of(answer, "account", 16))
    if (log.recovery_sign, log.recovery_box) != (recovery.sign_public, recovery.box_public):
        raise EcholiaError("device_log_invalid", "it is not this phrase's account")
    return _Found(log, signed, key_boxes.opened(boxes, log, RECOVERY, recovery))
