"""Vectors of what everything else is built from: ids, base64url, padding, deterministic CBOR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.world import ACCOUNT, GENESIS, LAPTOP, Vector, seed

PADDED = (0, 1, 145, 255, 256, 257, 272, 273, 511, 512, 513, 1000, 1024, 4097, 65_535, 65_537, 1_000_000)
ALLOWED = (256, 272, 288, 496, 512, 544, 1024, 1088, 65_536, 67_584, 1_015_808, 1_048_576)
FORBIDDEN = (
    0,
    1,
    128,
    255,
    257,
    264,
    520,
    1056,
    65_552,
    1_000_000,
    1_048_575,
    1_048_577,
    1_081_344,
    2_097_152,
)
CBOR_TAKEN = {
    "empty-map": "a0",
    "integers": "870017181818ff19010019ffff1a00010000",
    "negative": "8320382039ffff",
    "nested": "a2616181a0616283f5f4f6",
    "key-order": "a3616101616202626161f6",
    "bytes-and-text": "82420001 6161".replace(" ", ""),
    "half-float": "f93e00",
    "integer-keys": "a301000200181803",
    "depth-32": "81" * 32 + "00",
}
CBOR_REFUSED = {
    "empty": ("", "nothing at all"),
    "cut": ("8201", "a list of two with one item"),
    "additional-byte": ("a000", "something after the value"),
    "long-integer": ("1817", "23 fits the first byte"),
    "long-length": ("580100", "a length of 1 in two bytes"),
    "long-float": ("fb3ff8000000000000", "1.5 fits a half float"),
    "unsorted-keys": ("a2616201616102", "b before a"),
    "duplicate-key": ("a2616101616102", "a twice"),
    "indefinite-list": ("9f00ff", "a list without its length"),
    "indefinite-bytes": ("5f4100ff", "bytes without their length"),
    "indefinite-map": ("bf616100ff", "a map without its length"),
    "not-utf8": ("62c328", "text that is not UTF-8"),
    "tag": ("c100", "a time by its tag"),
    "self-described": ("d9d9f7a0", "the tag of CBOR itself"),
    "bignum": ("c249010000000000000000", "an integer beyond 64 bits"),
    "undefined": ("f7", "a simple value that is no value"),
    "simple-value": ("f0", "a simple value nobody assigned"),
    "break-alone": ("ff", "the end of nothing"),
    "mixed-keys": ("a20001616101", "an integer and a text as keys"),
    "float-key": ("a1f93e0001", "a float as a key"),
    "list-key": ("a1810001", "a list as a key"),
    "depth-33": ("81" * 33 + "00", "one list too deep"),
    "reserved-head": ("1c", "additional information 28"),
}
BASE64_REFUSED = {
    "padding": ("AA==", "padding is left out"),
    "standard-alphabet": ("+/8A", "plus and slash are base64, not base64url"),
    "trailing-bits": ("AB", "the last four bits must be zero"),
    "length-of-five": ("AAAAA", "no bytes are five characters long"),
    "newline": ("AA\n", "a line break"),
    "space": (" AA", "a space"),
    "not-ascii": ("ÄÄ", "letters beyond ASCII"),
}


def cases() -> Iterator[Vector]:
    """All of them."""
    keys = LAPTOP.public
    yield Vector("ids", "device", "A device id is the hash of its public keys.", keys, {"device": LAPTOP.id})
    genesis = {"genesis": GENESIS}
    yield Vector("ids", "account", "An account id is the hash of its genesis.", genesis, {"account": ACCOUNT})
    yield from _base64url()
    yield from _padding()
    for case, raw in CBOR_TAKEN.items():
        yield Vector("cbor", case, "Deterministic CBOR is taken.", {"cbor": raw}, {"cbor": raw})
    for case, (raw, why) in CBOR_REFUSED.items():
        yield Vector(
            "cbor", f"refused-{case}", f"Refused: {why}.", {"cbor": raw}, {"error": "not_deterministic"}
        )


def _base64url() -> Iterator[Vector]:
    texts = {"empty": (b"", ""), "two-bytes": (b"\xfb\xf0", "-_A"), "id": (bytes(16), "A" * 22)}
    for case, (raw, text) in texts.items():
        yield Vector("base64url", case, "Bytes in JSON.", {"text": text}, {"bytes": raw})
    for case, (text, why) in BASE64_REFUSED.items():
        yield Vector(
            "base64url", f"refused-{case}", f"Refused: {why}.", {"text": text}, {"error": "invalid_request"}
        )
    an_id = {"text": "A" * 22, "length": 32}
    yield Vector("base64url", "refused-wrong-length", "An id is no key.", an_id, {"error": "invalid_request"})


def _padding() -> Iterator[Vector]:
    pairs = [{"at_least": length, "padded": ref.padme(length)} for length in PADDED]
    note = "The least PADMÉ length that is at least this and at least 256."
    yield Vector(
        "padding", "lengths", note, {"at_least": PADDED}, {"padded": [pair["padded"] for pair in pairs]}
    )
    assert all(ref.padme(length) == length for length in ALLOWED)
    yield Vector("padding", "allowed", "A body may be so long.", {"lengths": ALLOWED}, {"allowed": True})
    assert all(length < 256 or length > 1 << 20 or ref.padme(length) != length for length in FORBIDDEN)
    yield Vector(
        "padding", "forbidden", "A body is never so long.", {"lengths": FORBIDDEN}, {"allowed": False}
    )
    data: dict[str, Any] = {
        "length": 32,
        "key": seed("derive key"),
        "data": b"abc",
        "purpose": "echolia1/example",
    }
    derived = ref.b(32, data["key"], b"abc", b"echolia1/example")
    yield Vector("derive", "blake2b", "B(n, key, data, person).", data, {"bytes": derived})
    short = {**data, "purpose": "echolia1/stream", "length": 16}
    derived = ref.b(16, data["key"], b"abc", b"echolia1/stream")
    yield Vector(
        "derive", "short-purpose", "A short purpose is filled with zero bytes.", short, {"bytes": derived}
    )
