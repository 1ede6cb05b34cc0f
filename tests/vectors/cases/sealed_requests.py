"""Vectors of sealed requests: those that are opened, and each way in which one is not."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tests.vectors import sealed_reference as ref
from tests.vectors.reference import box_public
from tests.vectors.world import ACCOUNT, OTHER_ACCOUNT, Vector, flipped, seed

SECRET, EPHEMERAL, NONCE = seed("sealing key"), seed("a request's ephemeral"), seed("an answer's nonce")
KEY_ID, NOW_MS, PATH = 7, 1_795_000_000_000, "/llm/stream"
CHUNK_BYTES = 16 * 1024
HEADER = ref.header(KEY_ID)
# Letters asked, beside the steps: the last takes two chunks.
SIZES = (200, 4096, 20_000)


def account_name(account: bytes = ACCOUNT) -> str:
    """How a request names its account."""
    digest = sha256(b"echolia/1/sealed-account" + account).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def said(ask: Any = None, **wrong: Any) -> dict[str, Any]:
    """What is sealed; `wrong` replaces members."""
    usual = {"iat_ms": NOW_MS, "path": PATH, "account": account_name(), "ask": {} if ask is None else ask}
    return usual | wrong


def compact(value: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


PLAIN = ref.request_plain(compact(said({"model": "echo"})))


@dataclass(frozen=True)
class Request:
    """A request with this plaintext in chunks of this size; what could be wrong may be given wrong."""

    plain: bytes = PLAIN
    chunk_bytes: int = CHUNK_BYTES
    header: bytes = HEADER
    info: bytes = HEADER  # the header that the context is bound to
    label: bytes = ref.REQUEST_LABEL
    recipient: bytes = SECRET

    @property
    def context(self) -> ref.Context:
        """Its context."""
        return ref.request_context(box_public(self.recipient), EPHEMERAL, self.info, self.label)

    @property
    def plains(self) -> list[bytes]:
        """The plaintexts of its chunks, the final one last."""
        cut = range(0, max(1, len(self.plain)), self.chunk_bytes)
        return [self.plain[at : at + self.chunk_bytes] for at in cut]

    def sealed(self, plains: Sequence[bytes] | None = None, aads: Mapping[int, bytes] = {}) -> list[bytes]:
        """The sealed chunks; `aads` where they are other than they should be."""
        pieces = ref.pieces(self.plains if plains is None else plains)
        return [self.context.seal(n, plain, aads.get(n, aad)) for n, (plain, aad, _) in enumerate(pieces)]

    def body(self, sealed: Sequence[bytes] | None = None, size: int | None = None) -> bytes:
        """The bytes that are sent."""
        return self.start + ref.framed(self.sealed() if sealed is None else sealed, size)

    @property
    def start(self) -> bytes:
        """The bytes before the first chunk."""
        return self.header + self.context.enc

    @property
    def answer(self) -> bytes:
        """An answer of one chunk."""
        key, base = ref.response_keys(self.context.export(ref.RESPONSE_LABEL), self.context.enc, NONCE)
        plain = ref.response_plain(b'{"status":200}')
        return (
            NONCE + b"\0" + ref.aead_seal(ref.CHACHA20_POLY1305, key, ref.counted(base, 0), plain, ref.FINAL)
        )


WHOLE, CUT = Request(), Request(chunk_bytes=300)


def _given(body: bytes, made: Mapping[str, Any] | None = None, **wrong: Any) -> dict[str, Any]:
    place = {"now_ms": NOW_MS, "path": PATH, "account": ACCOUNT, "nonce": NONCE}
    return {"key": {"id": KEY_ID, "secret": SECRET}, **place, "body": body, **(made or {})} | wrong


def _taken(case: str, note: str, ask: Any, chunk_bytes: int = CHUNK_BYTES) -> Vector:
    value = said(ask)
    request = Request(ref.request_plain(compact(value)), chunk_bytes)
    made = {"ephemeral": EPHEMERAL, "chunk_bytes": chunk_bytes}
    expect = {"ask": ask, "answer": request.answer}
    return Vector("sealed-request", case, note, _given(request.body(), made), expect)


def _refused(case: str, note: str, body: bytes, error: str = "sealed_invalid", **wrong: Any) -> Vector:
    return Vector("sealed-request", f"refused-{case}", note, _given(body, **wrong), {"error": error})


def cases() -> Iterator[Vector]:
    """All of them."""
    yield _draft()
    yield from _opened()
    yield from _refused_by_start()
    yield from _refused_by_bits()
    yield from _refused_by_order()
    yield from _refused_by_length()
    yield from _refused_by_padding()
    yield from _refused_by_json()
    yield from _refused_by_place()


def _opened() -> Iterator[Vector]:
    yield _taken("minimal", "The least there may be, in the least length.", {})
    yield _taken("several-chunks", "Four chunks and the final one.", {"model": "echo"}, 250)
    yield _taken("unicode", "Texts are UTF-8, in whatever spelling.", {"é": "\u1e9b\u0323 😀 \x00 \u2028"})
    for size in SIZES:
        note = f"A text of {size} letters: the PADMÉ length that follows."
        yield _taken(f"padded-{size}", note, {"text": "a" * size})
    for step in (1024, 1088, 1920, 2048):
        yield from _at_step(step)
    yield _opened_by_hand("depth-32", "As deep as it may be.", said(_deep(31)))
    yield _opened_by_hand("within-seconds", "Two minutes old.", said(iat_ms=NOW_MS - 120_000))
    yield _opened_by_hand("within-seconds-ahead", "Two minutes ahead.", said(iat_ms=NOW_MS + 120_000))
    empty = WHOLE.sealed([PLAIN, b""])
    most = WHOLE.sealed([*(PLAIN[at : at + 32] for at in range(0, 1024, 32)), b""])
    for case, note, body in (
        ("empty-final", "The final chunk may hold nothing.", WHOLE.body(empty)),
        ("empty-chunk", "So may others.", WHOLE.body(WHOLE.sealed([b"", PLAIN[:5], b"", PLAIN[5:]]))),
        ("chunks-32", "As many chunks as there may be, and the final one.", WHOLE.body(most)),
        ("varint-two-bytes", "A length in two bytes where one holds it.", _narrow(2)),
        ("varint-four-bytes", "A length in four bytes where one holds it.", _narrow(4)),
        ("varint-eight-bytes", "A length in eight bytes where one holds it.", _narrow(8)),
        (
            "varint-zero-in-eight-bytes",
            "The zero before the final chunk is a varint as well.",
            WHOLE.start + ref.varint(0, 8) + WHOLE.sealed()[0],
        ),
    ):
        expect = {"ask": {"model": "echo"}, "answer": WHOLE.answer}
        yield Vector("sealed-request", case, note, _given(body), expect)


def _narrow(size: int) -> bytes:
    """Chunks of 40 bytes, each length in `size` bytes."""
    return WHOLE.body(WHOLE.sealed([PLAIN[:40], PLAIN[40:80], PLAIN[80:]]), size)


def _at_step(length: int) -> Iterator[Vector]:
    """A plaintext that fills a PADMÉ length to its last byte, and one that is a byte longer."""
    letters = length - 4 - len(compact(said({"text": ""})))
    for more, case in ((0, "full"), (1, "over")):
        note = f"With its own length it is {length + more} bytes."
        yield _taken(f"padded-{case}-{length}", note, {"text": "a" * (letters + more)})


def _opened_by_hand(case: str, note: str, value: Mapping[str, Any]) -> Vector:
    request = Request(ref.request_plain(compact(value)))
    expect = {"ask": value["ask"], "answer": request.answer}
    return Vector("sealed-request", case, note, _given(request.body()), expect)


def _deep(levels: int) -> Any:
    """An object of so many levels."""
    return {} if levels == 1 else {"a": _deep(levels - 1)}


def _refused_by_start() -> Iterator[Vector]:
    body = WHOLE.body()
    for length, note in (
        (0, "Nothing."), (6, "The header is cut."), (7, "Nothing but the header."), (38, "`enc` is cut."),
        (39, "No chunk."), (40, "A final chunk of no bytes."), (55, "A final chunk of 15 bytes."),
    ):  # fmt: skip
        yield _refused(f"cut-at-{length}", note, body[:length])
    yield _refused("cut-last-byte", "The last byte is missing.", body[:-1])
    yield _refused("cut-in-chunk", "A chunk that is not final is cut.", CUT.body()[:300])
    yield _refused("cut-in-length", "A length is cut.", CUT.body()[:40])
    suites = {"kem": {"kem": 0x0010}, "kdf": {"kdf": 0x0002}, "aead": {"aead": 0x0002}}
    for name, other in suites.items():
        head = ref.header(KEY_ID, **other)
        note = "Another suite, whatever it is bound to."
        yield _refused(f"other-{name}", note, Request(header=head).body(), "unsupported_version")
    other_key = Request(header=ref.header(8), info=ref.header(8))
    yield _refused("key-unknown", "No key of that id.", other_key.body(), "sealed_key_unknown")
    both = ref.header(8, 2)
    yield _refused("suite-before-key", "Another suite, no such key.", both + body[7:], "unsupported_version")


def _refused_by_bits() -> Iterator[Vector]:
    body, chunked = WHOLE.body(), CUT.body()
    yield _refused("enc-flipped", "A bit of `enc`.", flipped(body, 7))
    high = bytearray(body)
    high[38] ^= 0x80
    note = "The bit of `enc` that X25519 does not look at."
    yield _refused("enc-high-bit", note, bytes(high))
    for name, enc in SMALL_ORDER.items():
        yield _refused(f"enc-{name}", "A key of small order.", HEADER + enc + body[39:])
    yield _refused("chunk-flipped", "A bit of a chunk.", flipped(chunked, 50))
    yield _refused("chunk-tag-flipped", "A bit of a chunk's tag.", flipped(chunked, 41 + 316 - 1))
    yield _refused("final-flipped", "A bit of the final chunk.", flipped(body, 50))
    yield _refused("final-tag-flipped", "A bit of its tag.", flipped(body))
    yield _refused("label-other", "The draft's label.", Request(label=DRAFT_REQUEST).body())
    yield _refused("info-other-key", "A context for another id.", Request(info=ref.header(8)).body())
    yield _refused("key-other", "Sealed to another key.", Request(recipient=seed("another key")).body())


def _refused_by_order() -> Iterator[Vector]:
    one, two, three, last = CUT.sealed()
    for case, note, chunks in (
        ("reordered", "Two chunks in the other order.", [two, one, three, last]),
        ("repeated", "A chunk twice.", [one, one, two, three, last]),
        ("left-out", "A chunk is missing.", [one, three, last]),
        ("first-left-out", "The first is missing.", [two, three, last]),
        ("last-left-out", "The last before the final one is missing.", [one, two, last]),
    ):
        yield _refused(f"chunks-{case}", note, CUT.body(chunks))
    ordinary = b"".join(map(ref.chunk, (one, two, three, last)))
    yield _refused("final-missing", "All but the final one.", CUT.start + ordinary[: -len(ref.chunk(last))])
    yield _refused("final-as-ordinary", "The final chunk with a length.", CUT.start + ordinary)
    yield _refused("ordinary-as-final", "It ends with a chunk that is none.", CUT.body([one, two, three]))
    as_final = CUT.sealed(aads={0: ref.FINAL})
    yield _refused("ordinary-sealed-as-final", "A chunk with the final one's AAD.", CUT.body(as_final))
    unmarked = CUT.sealed(aads={3: b""})
    yield _refused("final-sealed-as-ordinary", "The final one without its AAD.", CUT.body(unmarked))
    yield _refused("after-final", "A chunk after the final one.", CUT.body() + ref.chunk(last))
    yield _refused("final-twice", "The final chunk twice.", CUT.body() + b"\0" + last)
    yield _refused("byte-after-final", "A zero after the final one.", CUT.body() + b"\0")


def _refused_by_length() -> Iterator[Vector]:
    many = [PLAIN[at : at + 31] for at in range(0, 33 * 31, 31)]
    too_many = WHOLE.sealed([*many, PLAIN[33 * 31 :]])
    yield _refused("chunks-33", "One more than there may be.", WHOLE.body(too_many))
    short = WHOLE.start + ref.varint(15) + bytes(15) + b"\0" + WHOLE.sealed()[0]
    yield _refused("chunk-15-bytes", "Shorter than a tag.", short)
    beyond = WHOLE.start + ref.varint(1 << 20) + WHOLE.sealed()[0]
    yield _refused("chunk-beyond", "A length of more than there is.", beyond)
    most = WHOLE.start + ref.varint((1 << 62) - 1) + WHOLE.sealed()[0]
    yield _refused("chunk-most", "The greatest length there is.", most)


def _refused_by_padding() -> Iterator[Vector]:
    body = compact(said({"model": "echo"}))
    whole = 4 + len(body)
    for case, note, plain in (
        ("nothing", "No plaintext at all.", b""),
        ("three-bytes", "Too short for its own length.", bytes(3)),
        ("none", "No padding.", ref.request_plain(body, whole)),
        ("byte-short", "A byte too few.", ref.request_plain(body, 1023)),
        ("byte-long", "A byte too many.", ref.request_plain(body, 1025)),
        ("next-step", "The next PADMÉ length.", ref.request_plain(body, 1088)),
        ("twice", "Twice as long.", ref.request_plain(body, 2048)),
        ("not-padme", "Long, and no PADMÉ length.", ref.request_plain(_long(2000), 2150)),
        ("not-zeros", "The last byte is one.", PLAIN[:-1] + b"\1"),
        ("not-zeros-first", "The first byte of it is.", flipped(PLAIN, whole)),
        ("length-short", "A length that cuts the JSON.", ref.request_plain(body, said=len(body) - 1)),
        ("length-long", "A length that takes a zero in.", ref.request_plain(body, said=len(body) + 1)),
        ("length-beyond", "A length of more than there is.", ref.request_plain(body, said=1021)),
        ("length-most", "The greatest length.", ref.request_plain(body, said=(1 << 32) - 1)),
        ("length-zero", "No JSON.", ref.request_plain(b"")),
    ):
        yield _refused(f"padding-{case}", note, Request(plain).body())


def _long(letters: int) -> bytes:
    return compact(said({"text": "a" * letters}))


def _refused_by_json() -> Iterator[Vector]:
    good = compact(said({"model": "echo"})).decode()
    named = compact(account_name()).decode()
    for case, note, text in (
        ("not-json", "No JSON.", "hello"),
        ("list", "A list.", "[]"),
        ("text", "A text.", '"a"'),
        ("null", "Nothing.", "null"),
        ("open", "It does not end.", good[:-1]),
        ("two", "Two objects.", good + good),
        ("comma", "A comma too many.", good[:-1] + ",}"),
        ("twice", "A member twice.", good[:-1] + ',"ask":{}}'),
        ("twice-within", "A member twice, further in.", good.replace('"model"', '"model":"a","model"')),
        ("nan", "No number.", good.replace('"echo"', "NaN")),
        ("infinity", "Nor is this.", good.replace('"echo"', "Infinity")),
        ("beyond-double", "A number that no double holds.", good.replace('"echo"', "1e999")),
        ("half-surrogate", "Half a character.", good.replace('"echo"', '"\\ud83d"')),
        ("half-surrogate-name", "Half a character as a name.", good.replace('"model"', '"\\ude00"')),
        ("iat-missing", "No time.", good.replace(f'"iat_ms":{NOW_MS},', "")),
        ("iat-text", "A time in quotes.", good.replace(str(NOW_MS), f'"{NOW_MS}"')),
        ("iat-float", "A time with a fraction.", good.replace(str(NOW_MS), f"{NOW_MS}.0")),
        ("iat-true", "A boolean as time.", good.replace(str(NOW_MS), "true")),
        ("path-missing", "No path.", good.replace(f'"path":"{PATH}",', "")),
        ("account-missing", "No account.", good.replace(f',"account":{named}', "")),
        ("ask-missing", "Nothing asked.", good.replace(',"ask":{"model":"echo"}', "")),
        ("member-more", "A member that nobody knows.", good[:-1] + ',"more":1}'),
    ):
        yield _refused(f"json-{case}", note, Request(ref.request_plain(text.encode())).body())
    deep = ref.request_plain(compact(said(_deep(32))))
    yield _refused("json-depth-33", "A level too deep.", Request(deep).body())
    lists = good.replace('"echo"', "[" * 31 + "]" * 31)
    yield _refused(
        "json-depth-33-lists", "Lists count too.", Request(ref.request_plain(lists.encode())).body()
    )
    deepest = good.replace('"echo"', "[" * 5_000)
    yield _refused(
        "json-depth-most", "A wall of brackets.", Request(ref.request_plain(deepest.encode())).body()
    )
    raw = compact(said({"model": "echo"})).replace(b"echo", b"\xc3\x28")
    yield _refused("json-utf8", "No UTF-8.", Request(ref.request_plain(raw)).body())
    bom = b"\xef\xbb\xbf" + compact(said({"model": "echo"}))
    yield _refused("json-bom", "A byte-order mark.", Request(ref.request_plain(bom)).body())


def _refused_by_place() -> Iterator[Vector]:
    another = account_name(OTHER_ACCOUNT)
    for case, note, value, error in (
        ("path-other", "Sealed for another path.", said(path="/llm/generate"), "sealed_elsewhere"),
        ("path-number", "Sealed for no path.", said(path=1), "sealed_elsewhere"),
        ("account-other", "For another account.", said(account=another), "sealed_elsewhere"),
        ("account-padded", "Base64 with padding.", said(account=account_name() + "="), "sealed_elsewhere"),
        ("stale", "Two minutes and a millisecond old.", said(iat_ms=NOW_MS - 120_001), "sealed_stale"),
        ("ahead", "As much ahead.", said(iat_ms=NOW_MS + 120_001), "sealed_stale"),
        ("iat-zero", "Since 1970.", said(iat_ms=0), "sealed_stale"),
        ("iat-huge", "A time of 100 digits.", said(iat_ms=10**100), "sealed_stale"),
    ):  # fmt: skip
        yield _refused(case, note, Request(ref.request_plain(compact(value))).body(), error)


# X25519 points of small order, and spellings of them: RFC 7748, 6.1; https://cr.yp.to/ecdh.html#validate.
SMALL_ORDER = {
    "zero": bytes(32),
    "one": b"\1".ljust(32, b"\0"),
    "order-8": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order-8-other": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "p-less-one": (2**255 - 20).to_bytes(32, "little"),
    "p": (2**255 - 19).to_bytes(32, "little"),
    "p-and-one": (2**255 - 18).to_bytes(32, "little"),
}
DRAFT_REQUEST, DRAFT_RESPONSE = b"message/bhttp chunked request", b"message/bhttp chunked response"
DRAFT_SUITE = {"aead": ref.AES_128_GCM, "request": DRAFT_REQUEST, "response": DRAFT_RESPONSE}
DRAFT_SECRET = bytes.fromhex("1c190d72acdbe4dbc69e680503bb781a932c70a12c8f3754434c67d8640d8698")
DRAFT_EPHEMERAL = bytes.fromhex("b26d565f3f875ed480d1abced3d665159650c99174fd0b124ac4bda0c64ae324")
# As it stands in the draft, not as it is made here.
_DRAFT_BODY = bytes.fromhex(
    "01002000010001"
    "8811eb457e100811c40a0aa71340a1b81d804bb986f736f2f566a7199761a032"
    "1c2ad24942d4d692563012f2980c8fef437a336b9b2fc938ef77a5834f"
    "1d2e33d8fd25577afe31bd1c79d094f76b6250ae6549b473ecd950501311"
    "001c6c1395d0ef7c1022297966307b8a7f"
)
_DRAFT_PLAIN = bytes.fromhex("00034745540568747470730b6578616d706c652e636f6d012f")


def _draft() -> Vector:
    context = ref.request_context(
        box_public(DRAFT_SECRET), DRAFT_EPHEMERAL, ref.header(1, ref.AES_128_GCM), DRAFT_REQUEST
    )
    pieces = ref.pieces([_DRAFT_PLAIN[:12], _DRAFT_PLAIN[12:], b""])
    sealed = [context.seal(n, plain, aad) for n, (plain, aad, _) in enumerate(pieces)]
    if ref.header(1, ref.AES_128_GCM) + context.enc + ref.framed(sealed) != _DRAFT_BODY:
        raise ValueError("the second implementation does not make the draft's bytes")
    note = "The example of draft-ietf-ohai-chunked-ohttp, with its own suite and labels, and nothing framed."
    given = {"suite": DRAFT_SUITE, "key": {"id": 1, "secret": DRAFT_SECRET}, "body": _DRAFT_BODY}
    return Vector("sealed-request", "draft", note, given, {"plain": _DRAFT_PLAIN})
