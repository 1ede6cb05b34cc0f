"""A file sealed under a key, in chunks of which none can be altered, moved, left out or added.

    "ECHSNAP" 1 | header, 24 bytes | chunks of 65,536 bytes and 17 more; the last is marked and may be shorter

Each chunk is libsodium's secretstream (XChaCha20-Poly1305) with the file's purpose and account beside it. So
much memory it takes: two chunks. All of it blocks: call it in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from nacl import bindings
from nacl.exceptions import CryptoError

from echolia.storage.engine import StorageError
from echolia.storage.sqlite.user_files import sync_folder

MAGIC: Final = b"ECHSNAP\x01"
CHUNK_BYTES: Final = 1 << 16
_MORE: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_LAST: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
_HEADER_BYTES: Final = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_SEALED_BYTES: Final = CHUNK_BYTES + bindings.crypto_secretstream_xchacha20poly1305_ABYTES


def is_sealed(path: Path) -> bool:
    """Whether a file begins as sealed ones do. Raises: OSError."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def seal(plain: Path, sealed: Path, key: bytes, account: bytes) -> None:
    """Write the new file `sealed` (mode 0600), which is on the disk once this returns. Raises: OSError."""
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    with plain.open("rb") as source, _new(sealed) as target:
        target.write(MAGIC)
        target.write(bindings.crypto_secretstream_xchacha20poly1305_init_push(state, key))
        for chunk, tag in _marked(source, CHUNK_BYTES):
            target.write(
                bindings.crypto_secretstream_xchacha20poly1305_push(state, chunk, _beside(account), tag)
            )
        target.flush()
        os.fsync(target.fileno())
    sync_folder(sealed.parent)


def unseal(sealed: Path, plain: Path, key: bytes, account: bytes) -> None:
    """Write the new file `plain` (mode 0600); what does not open whole leaves none.

    Raises: `snapshot_invalid`, OSError.
    """
    try:
        with sealed.open("rb") as source, _new(plain) as target:
            if source.read(len(MAGIC)) != MAGIC:
                raise StorageError(code="snapshot_invalid")
            _open(source, target, key, account)
    except (CryptoError, ValueError, FileNotFoundError):
        plain.unlink(missing_ok=True)
        raise StorageError(code="snapshot_invalid") from None
    except BaseException:
        plain.unlink(missing_ok=True)
        raise


def _open(source: BinaryIO, target: BinaryIO, key: bytes, account: bytes) -> None:
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    header = source.read(_HEADER_BYTES)
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, header, key)
    for sealed, expected in _marked(source, _SEALED_BYTES):
        chunk, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(state, sealed, _beside(account))
        if tag != expected:
            raise StorageError(code="snapshot_invalid")
        target.write(chunk)


def _marked(source: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """The file's chunks, of which the last has another tag; there is one at least."""
    chunk = source.read(size)
    while following := source.read(size):
        yield chunk, _MORE
        chunk = following
    yield chunk, _LAST


def _beside(account: bytes) -> bytes:
    return b"echolia/1/snapshot" + account


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
