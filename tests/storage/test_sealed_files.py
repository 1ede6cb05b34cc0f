"""A sealed file opens as it was sealed, and otherwise not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.errors import EcholiaError
from echolia.storage.sealed_files import CHUNK_BYTES, MAGIC, is_sealed, seal, unseal

KEY, ANNA, BEN = bytes(range(32)), b"a" * 16, b"b" * 16
CHUNK = CHUNK_BYTES + 17
START = len(MAGIC) + 24


def sealed(folder: Path, content: bytes) -> Path:
    """A sealed file of this content."""
    (folder / "plain").write_bytes(content)
    seal(folder / "plain", folder / "sealed", KEY, ANNA)
    (folder / "plain").unlink()
    return folder / "sealed"


def opened(file: Path, key: bytes = KEY, account: bytes = ANNA) -> bytes:
    """What it opens to; nothing of it is kept."""
    unseal(file, file.with_suffix(".out"), key, account)
    content = file.with_suffix(".out").read_bytes()
    file.with_suffix(".out").unlink()
    return content


def refused(file: Path, key: bytes = KEY, account: bytes = ANNA) -> None:
    """It does not open, and leaves nothing."""
    with pytest.raises(EcholiaError, match="snapshot_invalid"):
        opened(file, key, account)
    assert not file.with_suffix(".out").exists()


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_it_opens_as_it_was(tmp_path: Path, length: int) -> None:
    content = bytes(n % 251 for n in range(length))
    file = sealed(tmp_path, content)
    assert opened(file) == content
    assert is_sealed(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert length < 100 or content[:100] not in file.read_bytes()


@pytest.mark.parametrize("length", [0, 1, START - 1, START, START + 16, START + CHUNK, START + 2 * CHUNK])
def test_a_part_of_it_does_not_open(tmp_path: Path, length: int) -> None:
    file = sealed(tmp_path, bytes(3 * CHUNK_BYTES))
    file.write_bytes(file.read_bytes()[:length])
    refused(file)


def test_chunks_are_in_order_once_and_nothing_follows(tmp_path: Path) -> None:
    whole = sealed(tmp_path, b"".join(bytes([n]) * CHUNK_BYTES for n in range(3))).read_bytes()
    head, chunks = whole[:START], [whole[START + n * CHUNK :][:CHUNK] for n in range(3)]
    assert head + b"".join(chunks) == whole
    one, two, last = chunks
    for parts in ((two, one, last), (one, one, two, last), (one, last), (one, two, last, last), (one, two)):
        (tmp_path / "sealed").write_bytes(head + b"".join(parts))
        refused(tmp_path / "sealed")
    (tmp_path / "sealed").write_bytes(whole + b"\x00")
    refused(tmp_path / "sealed")


@given(at=st.integers(0, START + CHUNK + 116), bit=st.integers(0, 7))
def test_no_bit_can_be_turned(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    folder = tmp_path_factory.mktemp("turned")
    file = sealed(folder, bytes(CHUNK_BYTES + 100))
    content = bytearray(file.read_bytes())
    content[at] ^= 1 << bit
    file.write_bytes(content)
    refused(file)


def test_it_is_of_one_account_and_one_key(tmp_path: Path) -> None:
    file = sealed(tmp_path, b"content")
    refused(file, account=BEN)
    refused(file, key=bytes(32))
    refused(tmp_path / "there is none")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = sealed(tmp_path, b"content")
    (tmp_path / "plain").write_bytes(b"other")
    for _ in range(2):
        with pytest.raises(FileExistsError):
            seal(tmp_path / "plain", file, KEY, ANNA)
    assert opened(file) == b"content"
