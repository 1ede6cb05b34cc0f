"""What is signed is read in one form alone, the one that Apple writes."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.types import Options

from echolia.fake_stores.authority import Signer
from echolia.payments.stores.fields import Malformed
from echolia.payments.stores.jws import read_jws

HEADER: dict[str, Any] = {"alg": "ES256", "x5c": ["a", "b", "c"]}
UNVERIFIED: Options = {"verify_signature": False}


def encoded(raw: bytes) -> str:
    """As a part is written."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def written(header: object = None, claims: object = None, signature: bytes = bytes(64)) -> str:
    """One in the right form, which nobody signed."""
    parts = (json.dumps(HEADER if header is None else header), json.dumps({} if claims is None else claims))
    return ".".join((*(encoded(part.encode()) for part in parts), encoded(signature)))


def test_what_stands_there_is_read() -> None:
    signed = Signer((), ec.generate_private_key(ec.SECP256R1())).sign({"a": 1}, {"x5c": ["a", "b", "c"]})
    for text in (signed, written(claims={"a": 1})):
        jws = read_jws(text)
        assert (jws.unverified_chain, jws.unverified_claims) == (("a", "b", "c"), {"a": 1})


@given(
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))
)
def test_it_reads_what_the_library_that_verifies_reads(claims: dict[str, object]) -> None:
    text = written(claims=claims)
    assert read_jws(text).unverified_claims == jwt.decode_complete(text, options=UNVERIFIED)["payload"]


@pytest.mark.parametrize(
    "claims", ['{"a": 1, "a": 2}', '{"a": 1, "\\u0061": 2}', '\ufeff{"a": 1}', '{"a": NaN}']
)
def test_what_json_leaves_open_it_reads_as_the_library_does(claims: str) -> None:
    text = f"{encoded(json.dumps(HEADER).encode())}.{encoded(claims.encode())}.{encoded(bytes(64))}"
    try:
        theirs = repr(jwt.decode(text, options=UNVERIFIED))
    except jwt.PyJWTError:
        with pytest.raises(Malformed):
            read_jws(text)
    else:
        assert repr(read_jws(text).unverified_claims) == theirs


def test_one_that_is_too_long() -> None:
    longest = written(claims={"a": "x" * 180_000})
    read_jws(longest)
    with pytest.raises(Malformed):
        read_jws(written(claims={"a": "x" * 200_000}))


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "es256"},
        {"x5c": HEADER["x5c"]},
        {**HEADER, "crit": ["exp"]},
        {**HEADER, "b64": False},
        {**HEADER, "x5c": ["a", "b"]},
        {**HEADER, "x5c": ["a", "b", "c", "d"]},
        {**HEADER, "x5c": ["a", "b", 3]},
        {**HEADER, "x5c": "abc"},
        [],
        7,
    ],
)
def test_a_header_of_another_kind(header: object) -> None:
    with pytest.raises(Malformed):
        read_jws(written(header))


def test_padding_and_bits_to_spare_are_refused() -> None:
    good = written(claims={"n": 123})
    head, claims, signature = good.split(".")
    assert len(claims) % 4 == 2 and claims.endswith("Q"), claims
    for other in (f"{head}.{claims}==.{signature}", f"{head}.{claims[:-1]}R.{signature}", f"{good}=="):
        with pytest.raises(Malformed):
            read_jws(other)
    with pytest.raises(Malformed):
        read_jws(f"{head}.{claims}.{signature[:-1]}B")
    read_jws(good)


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(65), bytes(70)])
def test_a_signature_of_another_length(signature: bytes) -> None:
    with pytest.raises(Malformed):
        read_jws(written(signature=signature))


@given(st.text(alphabet=st.sampled_from("ABCab01-_.=+/ \n\u00e9"), max_size=60))
def test_whatever_it_is_it_is_malformed_or_read(text: str) -> None:
    with pytest.raises(Malformed):
        read_jws(text)
