"""Ed25519: what verifies, and that everything else is False rather than an exception."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from echolia.core.signing import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verify
from tests.vectors import reference
from tests.vectors.world import LAPTOP, PHONE

KEY = LAPTOP.public["sign"]


@given(st.binary(max_size=200))
def test_another_implementations_signature_verifies(message: bytes) -> None:
    assert verify(KEY, message, reference.sign(LAPTOP.sign_seed, message))
    assert not verify(PHONE.public["sign"], message, reference.sign(LAPTOP.sign_seed, message))


@given(st.integers(0, SIGNATURE_BYTES * 8 - 1))
def test_no_bit_of_a_signature_is_spare(bit: int) -> None:
    signature = bytearray(reference.sign(LAPTOP.sign_seed, b"message"))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY, b"message", bytes(signature))


@given(
    st.binary(max_size=40) | st.binary(min_size=32, max_size=32),
    st.binary(max_size=70),
    st.binary(max_size=9),
)
def test_anything_else_is_false(key: bytes, signature: bytes, message: bytes) -> None:
    assert not verify(key, message, signature)


def test_sizes_are_those_of_ed25519() -> None:
    assert (PUBLIC_KEY_BYTES, SIGNATURE_BYTES) == (32, 64)
