"""Sealed requests by the server's door and the device's sealing; responses and key documents."""

from __future__ import annotations

import asyncio
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyhpke import AEADId

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.sealed.asks import MEDIA_TYPE, account_hash
from echolia.sealed.documents import Pins, read_document
from echolia.sealed.frames import framed_request, framed_response, unframed_final, unframed_response
from echolia.sealed.key_ring import PERIOD_MS, Chain, KeyRing, Link
from echolia.sealed.requests import open_request, seal
from echolia.sealed.responses import ResponseOpener, ResponseSealer
from echolia.sealed.suites import SUITE, Suite, key_pair, public_key, public_of
from echolia.web.context import Caller
from echolia.web.lean import LeanRequest
from echolia.web.replays import Seen
from echolia.web.sealed_door import Identity, SealedDoor, Sealing
from tests.vectors.ends.vector_file import Found, VectorFile

_STATUS = {"status": 200}
_IDENTITY = Identity(Ed25519PrivateKey.from_private_bytes(bytes(32)), bytes(32))


def opened(vector: VectorFile) -> Found:
    """What the server's door finds in a request, and an answer of one chunk."""
    secret = bytes.fromhex(vector.given["key"]["secret"])
    if "suite" in vector.given:
        other = open_request(vector.raw("body"), {vector.given["key"]["id"]: secret}.get, b"", _suite(vector))
        return {"plain": other.plain}
    return asyncio.run(_by_door(vector, secret))


async def _by_door(vector: VectorFile, secret: bytes) -> Found:
    number, now_ms = vector.given["key"]["id"], vector.given["now_ms"]
    ring = KeyRing(
        Chain(now_ms - number * PERIOD_MS, [Link(secret, number)], Link(bytes(32), number + 1)),
        lambda: now_ms,
    )
    replays = Seen(lambda: now_ms)
    door = SealedDoor(
        Sealing(ring, replays), _IDENTITY, lambda: now_ms, lambda size: vector.raw("nonce")[:size]
    )
    caller = Caller(vector.raw("account"), bytes(16), 0)
    request = LeanRequest(caller, {b"content-type": MEDIA_TYPE.encode()}, vector.raw("body"))
    try:
        unsealed = await door.open(request, vector.given["path"])
    except EcholiaError:
        assert replays.count == 0, "what is refused is not remembered"
        raise
    answer = unsealed.answer.nonce + unsealed.answer.final(framed_response(_STATUS))
    return {"ask": unsealed.ask, "answer": answer}


def sealed(vector: VectorFile) -> Found:
    """What a device sends for the same, where it makes the same bytes; it opens the answer."""
    if "ephemeral" not in vector.given:
        return vector.expect
    given, ask = vector.given, vector.expect["ask"]
    said = {
        "iat_ms": given["now_ms"],
        "path": given["path"],
        "account": b64(account_hash(vector.raw("account"))),
        "ask": ask,
    }
    public = public_of(bytes.fromhex(given["key"]["secret"]))
    body, opener = seal(
        given["key"]["id"], public, framed_request(said), vector.raw("ephemeral"), SUITE, given["chunk_bytes"]
    )
    assert body == vector.raw("body")
    answer = bytes.fromhex(vector.expect["answer"])
    assert list(opener.feed(answer)) == []
    assert unframed_final(opener.end()) == _STATUS
    return vector.expect


def response(vector: VectorFile) -> Found:
    """What a device opens of a response, whole; where the server makes such a one, that it is the same."""
    opener = _opener(vector)
    if "suite" in vector.given:
        return {"plains": [*opener.feed(vector.raw("response")), opener.end()]}
    found: dict[str, Any] = {"chunks": []}
    try:
        for plain in opener.feed(vector.raw("response")):
            found["chunks"].append(unframed_response(plain))
        found["final"] = unframed_final(opener.end())
    except EcholiaError as error:
        return {**found, "error": error.code}
    if "nonce" in vector.given:
        assert _answered(vector) == vector.raw("response")
    return found


def _opener(vector: VectorFile) -> ResponseOpener:
    suite, key = _suite(vector), vector.given["key"]
    public = public_of(bytes.fromhex(key["secret"]))
    return seal(key["id"], public, b"", vector.raw("ephemeral"), suite)[1]


def _answered(vector: VectorFile) -> bytes:
    key = vector.given["key"]
    public = public_key(public_of(bytes.fromhex(key["secret"])))
    enc, context = SUITE.hpke.create_sender_context(
        public, SUITE.info(SUITE.header(key["id"])), eks=key_pair(vector.raw("ephemeral"))
    )
    assert enc == vector.raw("enc")
    sealer = ResponseSealer(SUITE, context, enc, vector.raw("nonce"))
    chunks = [sealer.chunk(framed_response(each)) for each in vector.expect["chunks"]]
    return b"".join([sealer.nonce, *chunks, sealer.final(framed_response(vector.expect["final"]))])


def keys(vector: VectorFile) -> Found:
    """What a device believes of a key document."""
    pinned = vector.given["pins"]
    pins = pinned and Pins(*(bytes.fromhex(pinned[name]) for name in ("identity", "next")))
    said = read_document(vector.raw("document"), vector.raw("signature"), pins, vector.given["now_ms"])
    return {"pins": said.pins._asdict(), "keys": [key._asdict() for key in said.keys]}


def _suite(vector: VectorFile) -> Suite:
    if (named := vector.given.get("suite")) is None:
        return SUITE
    labels = (bytes.fromhex(named[name]) for name in ("request", "response"))
    return Suite(AEADId(named["aead"]), *labels)
