"""What is signed is read in one form alone, the one that Apple writes."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from echolia.fake_stores.authority import Signer
from echolia.payments.stores.fields import Malformed
from echolia.payments.stores.jws import read_jws

SIGNER = Signer((), ec.generate_private_key(ec.SECP256R1()))
HEADER: dict[str, Any] = {"alg": "ES256", "x5c": ["a", "b", "c"]}


def encoded(raw: bytes) -> str:
    """As a part is written."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def written(header: object = None, claims: object = None, signature: bytes = bytes(64)) -> str:
    """One in the right form."""
    parts = (json.dumps(HEADER if header is None else header), json.dumps({} if claims is None else claims))
    return ".".join((*(encoded(part.encode()) for part in parts), encoded(signature)))


def test_what_was_signed_is_known_by_its_key() -> None:
    text = SIGNER.sign({"a": 1}, {"x5c": ["a", "b", "c"]})
    jws = read_jws(text)
    assert (jws.chain, jws.unverified_claims) == (("a", "b", "c"), {"a": 1})
    assert jws.is_by(SIGNER.key.public_key())
    assert not jws.is_by(ec.generate_private_key(ec.SECP256R1()).public_key())


def test_zeros_are_no_signature() -> None:
    assert not read_jws(written()).is_by(SIGNER.key.public_key())


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
