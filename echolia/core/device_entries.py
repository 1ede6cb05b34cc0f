"""Entries of the device log: their bytes, their fields, and who has to have signed them (`spec/keys.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from echolia.core import canonical
from echolia.core.box_keys import can_be_sealed_to
from echolia.core.errors import EcholiaError
from echolia.core.messages import device_log_message
from echolia.core.signing import verify

RECOVERY: Final = "recovery"
MAX_ENTRY_BYTES: Final = 1024
# What signs in the recovery phrase's name has no device id.
BY_RECOVERY: Final = b""

_PLACE: Final = {"v", "n", "prev", "type"}
_FIELDS: Final = {
    "genesis": {"suite", "nonce", "recovery", "device"},
    "add": {"device", "by"},
    "confirm": {"device", "by"},
    "revoke": {"device", "last", "chain", "by"},
    "rotate": {"generation", "key", "recovery", "by"},
}


class SignedEntry(NamedTuple):
    """An entry's exact bytes and who signed them: "recovery" or a device id in base64url."""

    entry: bytes
    signatures: Mapping[str, bytes]


def invalid(why: str) -> EcholiaError:
    """The one refusal of whatever does not belong into a device log."""
    return EcholiaError("device_log_invalid", why)


def entry_hash(entry: bytes) -> bytes:
    """What the next entry's `prev` must be."""
    return sha256(b"echolia/1/device-log" + entry).digest()


def key_commitment(account: bytes, generation: int, key: bytes) -> bytes:
    """What a `rotate` entry says of its account key (32 bytes), and nobody can turn round."""
    return sha256(b"echolia/1/account-key" + account + generation.to_bytes(4, "big") + key).digest()


def read_entry(entry: bytes) -> dict[str, Any]:
    """The fields; raises `device_log_invalid`, `unsupported_version`."""
    if len(entry) > MAX_ENTRY_BYTES:
        raise invalid("the entry is too long")
    try:
        fields = canonical.decode(entry)
    except ValueError:
        raise invalid("not deterministic CBOR") from None
    if not isinstance(fields, dict) or type(fields.get("v")) is not int:
        raise invalid("not a map with a version")
    if fields["v"] != 1:
        raise EcholiaError("unsupported_version", "device log version must be 1")
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS or set(fields) != _PLACE | _FIELDS[kind]:
        raise invalid("unknown type, or keys are missing or additional")
    return fields


def is_number(value: object, number: int) -> bool:
    """Whether it is this integer: True == 1 and 1.0 == 1 in Python, but not in CBOR."""
    return type(value) is int and value == number


def sized(value: object, length: int) -> bytes:
    """Bytes of this length."""
    if not isinstance(value, bytes) or len(value) != length:
        raise invalid(f"expected {length} bytes")
    return value


def public_keys(value: object) -> tuple[bytes, bytes]:
    """The sign and box keys of a device, or of recovery."""
    if not isinstance(value, dict) or set(value) != {"sign", "box"}:
        raise invalid("expected sign and box keys")
    sign, box = sized(value["sign"], 32), sized(value["box"], 32)
    if not can_be_sealed_to(box):
        raise invalid("nothing can be sealed to the box key")
    return sign, box


def check_signatures(signed: SignedEntry, signers: Mapping[str, bytes]) -> None:
    """Return if exactly these, by their Ed25519 public keys, have signed."""
    if set(signed.signatures) != set(signers):
        raise invalid("a signature is missing or additional")
    message = device_log_message(signed.entry)
    for name, public in signers.items():
        if not verify(public, message, signed.signatures[name]):
            raise invalid("a signature does not verify")
