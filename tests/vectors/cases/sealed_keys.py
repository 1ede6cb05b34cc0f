"""Vectors of key documents: those that a device believes, and those after which it sends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.cases.sealed_requests import SMALL_ORDER
from tests.vectors.world import Vector, flipped, seed

NOW_MS, HOUR_MS, DAY_MS = 1_795_000_000_000, 3_600_000, 86_400_000
SERVER, NEXT, AFTER, STRANGER = (seed(f"sealing identity {n}") for n in range(4))
PINS = {"identity": ref.sign_public(SERVER), "next": ref.sign_public(NEXT)}
MOVED = {"identity": ref.sign_public(NEXT), "next": ref.sign_public(AFTER)}
INVALID = "sealed_keys_invalid"
# The point of order one: with it as the key and as `R`, and zero as `S`, a signature holds over anything.
NO_IDENTITY = b"\1".ljust(32, b"\0")


def key(n: int, **wrong: Any) -> dict[str, Any]:
    """The n-th hour's key from now."""
    from_ms = NOW_MS + n * HOUR_MS
    whole = {
        "id": (7 + n) % 256, "public": ref.box_public(seed(f"sealing key {n}")), "from_ms": from_ms,
        "until_ms": from_ms + HOUR_MS,
    }  # fmt: skip
    return whole | wrong


def fields(**wrong: Any) -> dict[str, Any]:
    """What a document says."""
    return {"v": 1, **PINS, "keys": [key(0)], **wrong}


def _given(
    document: bytes, pins: Mapping[str, bytes] | None, by: bytes, signature: bytes | None = None
) -> dict[str, Any]:
    signed = ref.sign(by, b"echolia/1/sealed-keys" + document) if signature is None else signature
    return {"pins": pins, "now_ms": NOW_MS, "document": document, "signature": signed}


def _taken(
    case: str,
    note: str,
    said: Mapping[str, Any],
    pins: Mapping[str, bytes] | None = PINS,
    by: bytes = SERVER,
) -> Vector:
    expect = {"pins": {name: said[name] for name in ("identity", "next")}, "keys": said["keys"]}
    return Vector("sealed-keys", case, note, _given(ref.cbor(said), pins, by), expect)


def _refused(
    case: str,
    note: str,
    document: bytes,
    error: str,
    pins: Mapping[str, bytes] | None = PINS,
    by: bytes = SERVER,
    signature: bytes | None = None,
) -> Vector:
    given = _given(document, pins, by, signature)
    return Vector("sealed-keys", f"refused-{case}", note, given, {"error": error})


def cases() -> Iterator[Vector]:
    """All of them."""
    yield from _believed()
    yield from _untrusted()
    yield from _stale()
    yield from _unsigned()
    yield from _malformed()


def _believed() -> Iterator[Vector]:
    yield _taken("first", "The first document is believed, and pinned.", fields(), None)
    yield _taken("pinned", "As it was pinned.", fields())
    yield _taken("moved", "The identity moved to the next one.", fields(**MOVED), by=NEXT)
    two = fields(keys=[key(0), key(1)])
    yield _taken("two-keys", "The next key is shown early; the first one is to be used.", two)
    yield _taken("four-keys", "As many as there may be.", fields(keys=[key(n) for n in range(4)]))
    yield _taken("id-255", "The greatest id.", fields(keys=[key(0, id=255)]))
    yield _taken("id-0", "The least id.", fields(keys=[key(0, id=0)]))
    ahead = fields(keys=[key(1)])
    yield _taken("not-yet", "A clock that is behind: the key begins later.", ahead)
    almost = fields(keys=[key(0, from_ms=NOW_MS - 2 * DAY_MS, until_ms=NOW_MS - DAY_MS + 1)])
    yield _taken("almost-stale", "A day less a millisecond.", almost)
    one_fresh = fields(keys=[_ended(3 * DAY_MS), key(0)])
    yield _taken("one-not-stale", "One of the keys is not old.", one_fresh)


def _ended(ago_ms: int) -> dict[str, Any]:
    """A key that ended so long ago."""
    return key(200, from_ms=NOW_MS - ago_ms - HOUR_MS, until_ms=NOW_MS - ago_ms)


def _untrusted() -> Iterator[Vector]:
    untrusted = "sealed_keys_untrusted"
    stranger = fields(identity=ref.sign_public(STRANGER))
    yield _refused("untrusted", "Another identity.", ref.cbor(stranger), untrusted, by=STRANGER)
    other = fields(next=ref.sign_public(STRANGER))
    note = "The pinned identity names another next one: it was stolen."
    yield _refused("next-other", note, ref.cbor(other), untrusted)
    back = fields()
    yield _refused("moved-back", "It moved, and does not move back.", ref.cbor(back), untrusted, MOVED)
    after = fields(identity=ref.sign_public(AFTER), next=ref.sign_public(STRANGER))
    yield _refused("two-moves", "The one after the next.", ref.cbor(after), untrusted, by=AFTER)
    stolen = {"identity": PINS["identity"], "next": PINS["identity"]}
    note = "Pins that are alike let nobody name a successor."
    yield _refused("pins-alike", note, ref.cbor(fields()), untrusted, stolen)


def _stale() -> Iterator[Vector]:
    for case, note, keys in (
        ("day", "A day.", [_ended(DAY_MS)]),
        ("days", "Two days.", [_ended(2 * DAY_MS)]),
        ("all", "Each of them.", [_ended(3 * DAY_MS), _ended(2 * DAY_MS) | {"id": 9}]),
    ):
        document = ref.cbor(fields(keys=keys))
        yield _refused(f"stale-{case}", note, document, "sealed_keys_stale")
    first = ref.cbor(fields(keys=[_ended(2 * DAY_MS)]))
    yield _refused(
        "stale-first", "The first document may not be old either.", first, "sealed_keys_stale", None
    )


def _unsigned() -> Iterator[Vector]:
    document = ref.cbor(fields())
    good = ref.sign(SERVER, b"echolia/1/sealed-keys" + document)
    for case, note, signature in (
        ("flipped", "A bit is turned over.", flipped(good)),
        ("other-signer", "The next identity signed it.", ref.sign(NEXT, b"echolia/1/sealed-keys" + document)),
        ("no-label", "Signed without the label.", ref.sign(SERVER, document)),
        ("short", "63 bytes.", good[:-1]),
        ("long", "65 bytes.", good + b"\0"),
        ("none", "None.", b""),
    ):
        yield _refused(f"signature-{case}", note, document, INVALID, signature=signature)
    other = ref.cbor(fields(keys=[key(0), key(1)]))
    yield _refused("signature-of-other", "Over another document.", other, INVALID, signature=good)
    anybody = ref.cbor(fields(identity=NO_IDENTITY))
    note = "An identity of small order, for which anybody can sign."
    yield _refused("identity-small-order", note, anybody, INVALID, None, signature=NO_IDENTITY + bytes(32))


def _malformed() -> Iterator[Vector]:
    yield _refused("version-2", "A version that nobody knows.", ref.cbor(fields(v=2)), "unsupported_version")
    whole = fields()
    for name in whole:
        less = {each: value for each, value in whole.items() if each != name}
        yield _malformed_vector(f"{name}-missing", "A member is missing.", less)
    for case, note, said in (
        ("member-more", "A member that nobody knows.", fields(more=1)),
        ("version-true", "A boolean as version.", fields(v=True)),
        ("version-text", "A text as version.", fields(v="1")),
        ("identity-short", "31 bytes.", fields(identity=PINS["identity"][:-1])),
        ("identity-text", "A text.", fields(identity="a" * 32)),
        ("next-long", "33 bytes.", fields(next=PINS["next"] + b"\0")),
        ("next-null", "Nothing.", fields(next=None)),
        ("next-same", "An identity that follows itself.", fields(next=PINS["identity"])),
        ("keys-none", "No key.", fields(keys=[])),
        ("keys-five", "One more than there may be.", fields(keys=[key(n) for n in range(5)])),
        ("keys-map", "A map of keys.", fields(keys={"0": key(0)})),
        ("key-list", "A list as key.", fields(keys=[list(key(0).values())])),
        ("key-member-more", "A member that nobody knows.", fields(keys=[key(0, more=1)])),
        ("ids-alike", "Two keys of one id.", fields(keys=[key(0), key(1, id=7)])),
        ("id-256", "An id beyond a byte.", fields(keys=[key(0, id=256)])),
        ("id-negative", "An id below zero.", fields(keys=[key(0, id=-1)])),
        ("id-true", "A boolean as id.", fields(keys=[key(0, id=True)])),
        ("public-short", "31 bytes.", fields(keys=[key(0, public=bytes(31))])),
        ("until-before", "It ends before it begins.", fields(keys=[key(0, until_ms=NOW_MS - 1)])),
        ("until-at-once", "It ends as it begins.", fields(keys=[key(0, until_ms=NOW_MS)])),
        ("from-negative", "Before 1970.", fields(keys=[key(0, from_ms=-1)])),
        ("from-text", "A text as time.", fields(keys=[key(0, from_ms="0")])),
        ("second-key", "Each of the keys counts.", fields(keys=[key(0), key(1, id=256)])),
    ):
        yield _malformed_vector(case, note, said)
    for name in key(0):
        less = {each: value for each, value in key(0).items() if each != name}
        yield _malformed_vector(
            f"key-{name.replace('_', '-')}-missing", "A member of a key is missing.", fields(keys=[less])
        )
    for name, public in SMALL_ORDER.items():
        said = fields(keys=[key(0, public=public)])
        yield _malformed_vector(f"public-{name}", "A key of small order.", said)
    yield from _misspelled()


def _malformed_vector(case: str, note: str, said: Any) -> Vector:
    return _refused(case, note, ref.cbor(said), INVALID)


def _misspelled() -> Iterator[Vector]:
    document = ref.cbor(fields())
    pairs = sorted((ref.cbor(name), ref.cbor(value)) for name, value in fields().items())
    reverse = ref.cbor_head(5, 4) + b"".join(name + value for name, value in reversed(pairs))
    for case, note, raw in (
        ("nothing", "Nothing.", b""),
        ("list", "A list.", ref.cbor([1])),
        ("order", "Names in another order.", reverse),
        ("cut", "The last byte is missing.", document[:-1]),
        ("behind", "A byte behind it.", document + b"\0"),
        (
            "long-form",
            "A number in more bytes than it takes.",
            document.replace(b"\x61v\x01", b"\x61v\x18\x01"),
        ),
        ("float", "A float for a number.", document.replace(b"\x61v\x01", b"\x61v\xf9\x3c\x00")),
        ("tagged", "A tag.", b"\xd9\xd9\xf7" + document),
    ):
        yield _refused(f"cbor-{case}", note, raw, INVALID)
