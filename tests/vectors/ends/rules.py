"""The rules that both ends share, and the device's secrets, each topic by the code that has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from echolia.core import canonical, ids, messages, padding, positions, push, runs, signing
from echolia.core.checkpoints import checkpoint_message
from echolia.core.device_entries import key_commitment
from echolia.core.positions import LogPosition
from echolia.e2ee import recovery, sealing
from echolia.e2ee.derive import derive
from echolia.e2ee.keys import AccountSecrets, KeyPairs, open_key_box
from tests.vectors.ends.vector_file import Found, VectorFile, taken


def _hex(value: str) -> bytes:
    return bytes.fromhex(value)


def ids_(vector: VectorFile) -> Found:
    """Device and account ids."""
    if "genesis" in vector.given:
        return {"account": ids.account_id(vector.raw("genesis"))}
    return {"device": ids.device_id(vector.raw("sign"), vector.raw("box"))}


def base64url(vector: VectorFile) -> Found:
    """Bytes in JSON, there and back."""
    raw = ids.unb64(vector.given["text"], vector.given.get("length"))
    assert ids.b64(raw) == vector.given["text"]
    return {"bytes": raw}


def padded(vector: VectorFile) -> Found:
    """Lengths."""
    if "at_least" in vector.given:
        return {"padded": [padding.padme(length) for length in vector.given["at_least"]]}
    (allowed,) = {padding.is_padme(length) for length in vector.given["lengths"]}
    return {"allowed": allowed}


def derived(vector: VectorFile) -> Found:
    """Keyed BLAKE2b."""
    purpose = vector.given["purpose"].encode()
    return {"bytes": derive(vector.given["length"], vector.raw("key"), vector.raw("data"), purpose)}


def cbor(vector: VectorFile) -> Found:
    """Deterministic CBOR, read and written."""
    try:
        return {"cbor": canonical.encode(canonical.decode(vector.raw("cbor")))}
    except ValueError:
        return {"error": "not_deterministic"}


def message(vector: VectorFile) -> Found:
    """What is signed, and the signature."""
    kind, given = vector.given["kind"], vector.given
    made: dict[str, Callable[[], bytes]] = {
        "login": lambda: messages.login_message(vector.raw("device"), vector.raw("challenge")),
        "recovery": lambda: messages.recovery_message(vector.raw("recovery"), vector.raw("challenge")),
        "delete-account": lambda: messages.delete_account_message(
            vector.raw("account"), vector.raw("challenge")
        ),
        "restore": lambda: messages.restore_message(
            vector.raw("account"), given["store"], given["receipt"], vector.raw("challenge")
        ),
        "ack": lambda: messages.ack_message(
            vector.raw("account"),
            vector.raw("device"),
            position(given["verified"]),
            given["n"],
            vector.raw("head"),
        ),
        "key-box": lambda: messages.key_box_message(
            vector.raw("account"), given["generation"], vector.raw("recipient_box"), vector.raw("box")
        ),
        "checkpoint": lambda: checkpoint_message(
            vector.raw("account"), vector.raw("device"), vector.raw("checkpoint")
        ),
        "device-log-entry": lambda: messages.device_log_message(vector.raw("entry")),
    }
    keys, said = KeyPairs(vector.raw("sign_seed"), bytes(32)), made[kind]()
    signature = keys.sign(said)
    assert signing.verify(keys.sign_public, said, signature)
    return {"message": said, "signature": signature}


def account_key(vector: VectorFile) -> Found:
    """What a `rotate` entry says of an account key."""
    account, key = vector.raw("account"), vector.raw("key")
    return {"commitment": key_commitment(account, vector.given["generation"], key)}


def position(fields: Mapping[str, Any]) -> LogPosition:
    """A position as vectors give it."""
    return LogPosition(fields["epoch"], fields["seq"], _hex(fields["log"]))


def signature_(vector: VectorFile) -> Found:
    """Whether a signature holds."""
    return {"valid": signing.verify(vector.raw("key"), vector.raw("message"), vector.raw("signature"))}


def log(vector: VectorFile) -> Found:
    """The log's hashes."""
    at = positions.log_start(vector.raw("account"), vector.given["epoch"])
    for run in vector.given["runs"]:
        device, chain = _hex(run["device"]), _hex(run["chain"])
        at = positions.log_after(at, run["count"], device, run["last"], chain, run["received_ms"])
    return at._asdict()


def chain(vector: VectorFile) -> Found:
    """Where a device's chain starts."""
    return {"chain": runs.chain_start(vector.raw("account"), vector.raw("device"))}


def change(vector: VectorFile) -> Found:
    """A change's bytes, written and read."""
    given, body = vector.given, vector.raw("body")
    context = {_hex(device): counter for device, counter in given["context"]}
    fields = (given["class"], given["generation"], vector.raw("object"), vector.raw("stream"), context)
    header = runs.change_header(*fields, len(body))
    read = runs.read_change(header + body, 1)
    assert (read.kind, read.generation, read.object, read.stream, read.context) == fields
    assert (read.header, read.body) == (header, body)
    return {"header": header, "leaf": sha256(header + body).digest()}


def page(vector: VectorFile) -> Found:
    """A page's frame alone: what it says is the device's to judge."""
    push.read_page(vector.raw("page"))
    return taken(vector)


def secrets(fields: Mapping[str, Any]) -> AccountSecrets:
    """Account secrets as vectors give them."""
    keys = {int(n): _hex(key) for n, key in fields["keys"].items()}
    return AccountSecrets(_hex(fields["account"]), fields["generation"], keys, _hex(fields["index"]))


class Dealt:
    """Dice that fall as the vector says."""

    def __init__(self, *throws: bytes) -> None:
        self._throws = list(throws)

    def __call__(self, length: int) -> bytes:
        """The next throw, which must be as long as is asked for."""
        throw = self._throws.pop(0)
        assert len(throw) == length
        return throw


def seal(vector: VectorFile) -> Found:
    """A body by the nonces given; what was sealed opens again."""
    given, account = vector.given, secrets(vector.given["secrets"])
    dice = Dealt(vector.raw("object_key"), vector.raw("wrap_nonce"), vector.raw("nonce"))
    context = {_hex(device): counter for device, counter in given["context"]}
    place = (given["counter"], given["class"], vector.raw("object"), vector.raw("stream"), context)
    key = sealing.new_object_key(account, vector.raw("object"), dice)
    raw = sealing.seal(
        account, vector.raw("device"), sealing.Draft(*place, vector.raw("plaintext")), key, dice
    )
    sealed = runs.read_change(raw, given["counter"])
    assert sealing.open_change(account, vector.raw("device"), sealed) == (vector.raw("plaintext"), key)
    return {"header": sealed.header, "body": sealed.body}


def open_(vector: VectorFile) -> Found:
    """What is in a body."""
    header, body = vector.raw("header"), vector.raw("body")
    read = runs.read_change(header + body, vector.given["counter"])
    plaintext, _ = sealing.open_change(secrets(vector.given["secrets"]), vector.raw("device"), read)
    return {"plaintext": plaintext}


def pseudonym(vector: VectorFile) -> Found:
    """What the server knows a collection or an imported item by."""
    account = AccountSecrets(bytes(16), 1, {1: bytes(32)}, vector.raw("index"))
    if "collection" in vector.given:
        return {"stream": account.stream(vector.given["collection"])}
    return {"object": account.imported_object(vector.given["source"], vector.given["key"])}


def key_box(vector: VectorFile) -> Found:
    """What is in a key box."""
    found = open_key_box(vector.raw("box"), KeyPairs(vector.raw("sign_seed"), vector.raw("box_secret")))
    fields = {
        "account": found.account,
        "generation": found.generation,
        "keys": found.keys,
        "index": found.index,
    }
    return {"secrets": fields, "plaintext": found.encode()}


def phrase(vector: VectorFile) -> Found:
    """The keys that a phrase stands for; the words that its entropy stands for."""
    keys = recovery.recovery_keys(vector.given["phrase"])
    entropy = _hex(vector.expect.get("entropy", ""))
    assert recovery.phrase_of(entropy) == " ".join(vector.given["phrase"].lower().split())
    return {"entropy": entropy, "sign_seed": keys.sign_secret, "box_secret": keys.box_secret, **keys.public()}
