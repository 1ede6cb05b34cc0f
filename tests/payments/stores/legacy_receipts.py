"""A receipt of the former kind, as far as anybody reads it: a PKCS #7 envelope around one in-app purchase."""

from __future__ import annotations

from base64 import b64encode


def app_receipt(transaction_id: str) -> str:
    """Its signature is left out: it would prove nothing."""
    utf8 = _der(0x0C, transaction_id.encode())
    purchase = _set(_attribute(1703, utf8))
    receipt = _set(_attribute(17, purchase))
    # What is signed stands in an octet string, in [0], behind its type.
    signed = _sequence(_oid_data(), _der(0xA0, _der(0x04, receipt)))
    content = _sequence(_der(0x02, b"\x01"), _set(), signed)
    return b64encode(_sequence(_oid_signed(), _der(0xA0, content))).decode()


def _attribute(kind: int, value: bytes) -> bytes:
    number = _der(0x02, kind.to_bytes(kind.bit_length() // 8 + 1, "big"))
    return _sequence(number, _der(0x02, b"\x01"), _der(0x04, value))


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _set(*parts: bytes) -> bytes:
    return _der(0x31, b"".join(parts))


def _der(tag: int, value: bytes) -> bytes:
    if len(value) < 128:
        return bytes([tag, len(value)]) + value
    length = len(value).to_bytes((len(value).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + value


def _oid_signed() -> bytes:
    return bytes.fromhex("06092a864886f70d010702")


def _oid_data() -> bytes:
    return bytes.fromhex("06092a864886f70d010701")
