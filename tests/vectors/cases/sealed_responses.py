"""Vectors of sealed responses: what a device opens of them, and where it stops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.vectors import sealed_reference as ref
from tests.vectors.cases.sealed_requests import (
    DRAFT_EPHEMERAL,
    DRAFT_REQUEST,
    DRAFT_RESPONSE,
    DRAFT_SECRET,
    DRAFT_SUITE,
    EPHEMERAL,
    HEADER,
    KEY_ID,
    NONCE,
    SECRET,
    compact,
)
from tests.vectors.reference import box_public
from tests.vectors.world import Vector, flipped, seed

CONTEXT = ref.request_context(box_public(SECRET), EPHEMERAL, HEADER)
EXPORTED = CONTEXT.export(ref.RESPONSE_LABEL)
FINAL = {"status": 200, "reason": "stop"}
WORDS = [{"parts": [{"type": "text", "text": text}]} for text in ("Good ", "morning", ", Anna")]
PLAINS = [ref.response_plain(compact(each)) for each in (*WORDS, FINAL)]


def sealed(
    plains: Sequence[bytes], aads: dict[int, bytes] | None = None, nonce: bytes = NONCE
) -> list[bytes]:
    """These plaintexts as chunks; `aads` where they are other than they should be."""
    key, base = ref.response_keys(EXPORTED, CONTEXT.enc, nonce)
    return [
        ref.aead_seal(ref.CHACHA20_POLY1305, key, ref.counted(base, n), plain, (aads or {}).get(n, aad))
        for n, (plain, aad, _) in enumerate(ref.pieces(plains))
    ]


def response(chunks: Sequence[bytes], size: int | None = None) -> bytes:
    """The bytes of a response with these sealed chunks."""
    return NONCE + ref.framed(chunks, size)


def _given(body: bytes) -> dict[str, Any]:
    key = {"id": KEY_ID, "secret": SECRET}
    found = {"enc": CONTEXT.enc, "exported": EXPORTED}
    return {"key": key, "ephemeral": EPHEMERAL, **found, "response": body}


def _taken(case: str, note: str, values: Sequence[Any], body: bytes | None = None) -> Vector:
    """A response of these objects; it is what a server makes of them, unless a `body` is given."""
    made = response(sealed([ref.response_plain(compact(each)) for each in values]))
    given = _given(made if body is None else body) | ({"nonce": NONCE} if body is None else {})
    return Vector("sealed-response", case, note, given, {"chunks": list(values[:-1]), "final": values[-1]})


def _refused(case: str, note: str, body: bytes, shown: int = 0, error: str = "sealed_invalid") -> Vector:
    """One that is refused after so many of the words were shown."""
    expect = {"chunks": WORDS[:shown], "error": error}
    return Vector("sealed-response", f"refused-{case}", note, _given(body), expect)


def cases() -> Iterator[Vector]:
    """All of them."""
    yield _draft()
    yield from _opened()
    yield from _cut_short()
    yield from _changed()
    yield from _misframed()


def _opened() -> Iterator[Vector]:
    yield _taken("minimal", "An answer that is no more than its end.", [{"status": 200}])
    yield _taken("error", "An error has a status and a code.", [{"status": 404, "code": "model_unknown"}])
    yield _taken("several-chunks", "Words, then the end.", [*WORDS, FINAL])
    yield _taken("signs-of-life", "Objects with nothing in them.", [{}, {}, FINAL])
    yield _taken(
        "many-chunks", "More than 256 chunks: the nonce carries.", [*[{"n": n} for n in range(260)], FINAL]
    )
    yield _taken(
        "unknown-members", "Members that nobody knows are passed on.", [{"x": [1]}, {**FINAL, "y": None}]
    )
    for length in (60, 61, 124, 125):
        text = "a" * (length - len(compact({"a": ""})))
        yield _taken(f"padded-{length}", f"JSON of {length} bytes.", [{"a": text}, FINAL])
    chunks = sealed(PLAINS)
    for size in (2, 4, 8):
        note = f"Lengths in {size} bytes."
        yield _taken(f"varint-{size}-bytes", note, [*WORDS, FINAL], response(chunks, size))
    body = NONCE + b"".join(map(ref.chunk, chunks[:-1])) + ref.varint(0, 8) + chunks[-1]
    yield _taken("varint-zero-in-eight-bytes", "The zero is a varint as well.", [*WORDS, FINAL], body)


def _cut_short() -> Iterator[Vector]:
    chunks = sealed(PLAINS)
    body = response(chunks)
    ends = [32]
    for each in chunks[:-1]:
        ends.append(ends[-1] + len(ref.chunk(each)))
    for case, note, length, shown in (
        ("at-0", "Nothing came.", 0, 0),
        ("in-nonce", "The nonce is cut.", 31, 0),
        ("after-nonce", "Nothing but the nonce.", 32, 0),
        ("in-length", "A length is cut.", ends[1] + 1, 1),
        ("in-chunk", "A chunk is cut.", ends[1] + 20, 1),
        ("after-chunk", "It ends behind a chunk.", ends[2], 2),
        ("before-final", "All but the final chunk.", ends[3], 3),
        ("after-zero", "Nothing of the final chunk.", ends[3] + 1, 3),
        ("in-final-tag", "15 bytes of the final chunk.", ends[3] + 16, 3),
    ):
        yield _refused(f"cut-{case}", note, body[:length], shown, "sealed_truncated")
    yield _refused("cut-in-final", "16 bytes of it, which do not open.", body[: ends[3] + 17], 3)
    yield _refused("cut-last-byte", "The last byte is missing.", body[:-1], 3)
    ordinary = NONCE + b"".join(map(ref.chunk, chunks))
    yield _refused("final-as-ordinary", "The final chunk with a length.", ordinary, 3)
    unmarked = sealed(PLAINS, {3: b""})
    note = "All of it, and the end is not marked as one."
    yield Vector(
        "sealed-response", "refused-final-all-ordinary", note,
        _given(NONCE + b"".join(map(ref.chunk, unmarked))),
        {"chunks": [*WORDS, FINAL], "error": "sealed_truncated"},
    )  # fmt: skip
    yield _refused("final-sealed-as-ordinary", "The final chunk without its AAD.", response(unmarked), 3)
    yield _refused("ordinary-as-final", "It ends with a chunk that is none.", response(chunks[:2]), 1)
    as_final = response(sealed(PLAINS, {1: ref.FINAL}))
    yield _refused("ordinary-sealed-as-final", "A chunk with the final one's AAD.", as_final, 1)


def _changed() -> Iterator[Vector]:
    one, two, three, last = sealed(PLAINS)
    body = response([one, two, three, last])
    second = 32 + len(ref.chunk(one))
    for case, note, at, shown in (
        ("nonce", "A bit of the nonce.", 0, 0),
        ("chunk", "A bit of a chunk.", second + 5, 1),
        ("chunk-tag", "A bit of a chunk's tag.", second + len(ref.chunk(two)) - 1, 1),
        ("final", "A bit of the final chunk.", len(body) - 20, 3),
        ("final-tag", "A bit of its tag.", len(body) - 1, 3),
    ):
        yield _refused(f"{case}-flipped", note, flipped(body, at), shown)
    for case, note, chunks, shown in (
        ("reordered", "Two chunks in the other order.", [one, three, two, last], 1),
        ("repeated", "A chunk twice.", [one, two, two, three, last], 2),
        ("left-out", "A chunk is missing.", [one, three, last], 1),
        ("last-left-out", "The last before the final one is missing.", [one, two, last], 2),
        (
            "foreign",
            "A chunk of another answer.",
            [one, sealed(PLAINS, nonce=seed("other"))[1], three, last],
            1,
        ),
    ):
        yield _refused(f"chunks-{case}", note, response(chunks), shown)
    yield _refused("after-final", "A chunk after the final one.", body + ref.chunk(last), 3)
    yield _refused("final-twice", "The final chunk twice.", body + b"\0" + last, 3)
    yield _refused("byte-after-final", "A zero after the final one.", body + b"\0", 3)
    other = NONCE + ref.framed(sealed(PLAINS, nonce=seed("other")))
    yield _refused("nonce-other", "Another nonce than it was sealed with.", other)


def _misframed() -> Iterator[Vector]:
    one, *_ = sealed(PLAINS)
    start = NONCE + ref.chunk(one)
    yield _refused("chunk-15-bytes", "Shorter than a tag.", start + ref.varint(15) + bytes(15), 1)
    beyond = start + ref.varint(8 * 1024 * 1024 + 1) + bytes(100)
    yield _refused("chunk-beyond", "Longer than a chunk may be, before its bytes come.", beyond, 1)
    most = start + ref.varint((1 << 62) - 1) + bytes(100)
    yield _refused("chunk-most", "The greatest length there is.", most, 1)
    good = compact(WORDS[1])
    for case, note, plain in (
        ("padding-nothing", "No plaintext at all.", b""),
        ("padding-none", "No padding.", ref.response_plain(good, 4 + len(good))),
        ("padding-byte-long", "A byte too many.", ref.response_plain(good, 65)),
        ("padding-step-long", "A step too many.", ref.response_plain(good, 128)),
        ("padding-not-zeros", "The last byte is one.", PLAINS[1][:-1] + b"\1"),
        ("padding-length-beyond", "A length of more than there is.", ref.response_plain(good, said=61)),
        ("padding-length-most", "The greatest length.", ref.response_plain(good, said=(1 << 32) - 1)),
        (
            "padding-length-short",
            "A length that cuts the JSON.",
            ref.response_plain(good, said=len(good) - 1),
        ),
        ("json-list", "A list.", ref.response_plain(b"[]")),
        ("json-none", "No JSON.", ref.response_plain(b"")),
        ("json-open", "It does not end.", ref.response_plain(b'{"a":1')),
        ("json-nan", "No number.", ref.response_plain(b'{"a":NaN}')),
        ("json-utf8", "No UTF-8.", ref.response_plain(b'{"a":"\xc3\x28"}')),
    ):
        yield _refused(case, note, response(sealed([PLAINS[0], plain, *PLAINS[2:]])), 1)
    for case, note, value in (
        ("missing", "The final chunk says no status.", {"reason": "stop"}),
        ("text", "A status in quotes.", {"status": "200"}),
        ("true", "A boolean.", {"status": True}),
        ("float", "A fraction.", {"status": 200.5}),
    ):
        body = response(sealed([PLAINS[0], ref.response_plain(compact(value))]))
        yield _refused(f"status-{case}", note, body, 1)
    final = response(sealed([PLAINS[0], PLAINS[-1][:-1] + b"\1"]))
    yield _refused("final-padding-not-zeros", "The final chunk's padding is not zeros.", final, 1)


# As it stands in the draft, not as it is made here.
_DRAFT_RESPONSE = bytes.fromhex(
    "bcce7f4cb921309ba5d62edf1769ef09"
    "1179bf1cc87fa0e2c02de4546945aa3d1e48"
    "12b348b5bd4c594c16b6170b07b475845d1f32"
    "00ed9d8a796617a5b27265f4d73247f639"
)


def _draft() -> Vector:
    aead = ref.AES_128_GCM
    context = ref.request_context(
        box_public(DRAFT_SECRET), DRAFT_EPHEMERAL, ref.header(1, aead), DRAFT_REQUEST
    )
    exported, nonce = context.export(DRAFT_RESPONSE, 16), _DRAFT_RESPONSE[:16]
    key, base = ref.response_keys(exported, context.enc, nonce, aead)
    plains = [b"\x01", b"\x40\xc8", b""]
    chunks = [
        ref.aead_seal(aead, key, ref.counted(base, n), plain, aad)
        for n, (plain, aad, _) in enumerate(ref.pieces(plains))
    ]
    if nonce + ref.framed(chunks) != _DRAFT_RESPONSE:
        raise ValueError("the second implementation does not make the draft's bytes")
    given = {
        "suite": DRAFT_SUITE, "key": {"id": 1, "secret": DRAFT_SECRET}, "ephemeral": DRAFT_EPHEMERAL,
        "enc": context.enc, "exported": exported, "response": _DRAFT_RESPONSE,
    }  # fmt: skip
    note = "The example of draft-ietf-ohai-chunked-ohttp, with its own suite and labels, and nothing framed."
    return Vector("sealed-response", "draft", note, given, {"plains": plains})
