"""The stream between machines: whoever lacks the shared key is heard by nobody, whatever it sends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from echolia.core.errors import EcholiaError
from echolia.workers.channel import MOST_BYTES, Gone, Hearing
from echolia.workers.secured import Secured, certificate, numbered

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
ANYWHERE = "127.0.0.1:0"


class Heard:
    """What the other machine was asked."""

    def __init__(self) -> None:
        self.words: list[Any] = []

    async def echo(self, word: Any) -> Any:
        """The word again."""
        self.words.append(word)
        return word


@asynccontextmanager
async def machine(folder: Path, key: bytes = KEY) -> AsyncIterator[tuple[str, Heard]]:
    """A machine that listens: its address, and what it hears."""
    heard = Heard()
    hearing = Hearing({"echo": heard.echo})
    server, address = await Secured(key, folder).listen(ANYWHERE, hearing)
    try:
        yield address, heard
    finally:
        server.close()
        await hearing.close()


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[tuple[str, Heard]]:
    """A machine that has the key."""
    async with machine(tmp_path / "there") as listening:
        yield listening


@pytest.fixture
def here(tmp_path: Path) -> Secured:
    """Another one."""
    return Secured(KEY, tmp_path / "here")


def parted(address: str) -> tuple[str, int]:
    """A host and a port."""
    host, _, port = address.rpartition(":")
    return host, int(port)


async def said(address: str, sent: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """What is answered first to somebody who sends this; nothing where the other side hangs up."""
    reader, writer = await asyncio.open_connection(*parted(address), ssl=context)
    writer.write(sent)
    answer = b""
    with suppress(OSError):
        answer = await reader.read(65536)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return answer


def question(word: object) -> bytes:
    """A question as it goes over the stream."""
    message = cbor2.dumps([0, "echo", [word]])
    return len(message).to_bytes(4, "big") + message


async def test_who_has_the_key_is_answered(there: tuple[str, Heard], here: Secured) -> None:
    address, heard = there
    peer = await here.connect(address)
    for word in ("a", b"x" * 3_000_000):
        assert await peer.ask("echo", word) == word
    assert len(heard.words) == 2
    await peer.close()


async def test_who_has_another_key_is_not_heard(there: tuple[str, Heard], tmp_path: Path) -> None:
    address, heard = there
    with pytest.raises(ssl.SSLCertVerificationError):
        await Secured(OTHER_KEY, tmp_path / "other").connect(address)
    # Nor if it does not care whom it talks to.
    context = Secured(OTHER_KEY, tmp_path / "other")._to_connect
    context.verify_mode = ssl.CERT_NONE
    assert await said(address, question("wrong key"), context) == b""
    assert heard.words == []


async def test_who_shows_no_certificate_is_not_heard(there: tuple[str, Heard]) -> None:
    address, heard = there
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert await said(address, question("nobody"), context) == b""
    assert heard.words == []


async def test_a_certificate_of_the_same_name_and_another_key_is_not_believed(
    here: Secured, tmp_path: Path
) -> None:
    async with machine(tmp_path / "other", OTHER_KEY) as (address, heard):
        with pytest.raises(ssl.SSLCertVerificationError):
            await here.connect(address)
        assert heard.words == []


async def test_plaintext_is_not_heard(there: tuple[str, Heard]) -> None:
    address, heard = there
    assert cbor2.dumps([0, True, "plain"]) not in await said(address, question("plain"))
    assert heard.words == []


async def test_nothing_older_than_tls_1_3_is_spoken(there: tuple[str, Heard], here: Secured) -> None:
    address, _ = there
    context = here._to_connect
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, OSError)):
        await said(address, question("old"), context)


async def test_what_was_overheard_and_is_sent_again_is_not_heard(
    there: tuple[str, Heard], here: Secured
) -> None:
    address, heard = there
    overheard = bytearray()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection(*parted(address))

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray) -> None:
            with suppress(OSError):
                while part := await source.read(65536):
                    kept.extend(part)
                    sink.write(part)
            sink.close()

        await asyncio.gather(pass_on(reader, onward[1], overheard), pass_on(onward[0], writer, bytearray()))

    between = await asyncio.start_server(relay, "127.0.0.1", 0)
    peer = await here.connect(f"127.0.0.1:{between.sockets[0].getsockname()[1]}")
    assert await peer.ask("echo", "once") == "once"
    await peer.close()
    between.close()
    assert b"once" not in overheard
    await said(address, bytes(overheard))
    assert heard.words == ["once"]


async def test_a_message_that_is_too_long_ends_the_stream(there: tuple[str, Heard], here: Secured) -> None:
    address, heard = there
    sent = (MOST_BYTES + 1).to_bytes(4, "big") + b"x"
    assert await said(address, sent, here._to_connect) == b""
    assert heard.words == []


async def test_who_hangs_up_is_gone(here: Secured, tmp_path: Path) -> None:
    async with machine(tmp_path / "there") as (address, _):
        peer = await here.connect(address)
        await peer.ask("echo", 1)
    await peer.ended()
    with pytest.raises(Gone):
        await peer.ask("echo", 2)
    with pytest.raises(OSError, match=r"."):
        await here.connect(address)


def test_the_certificate_is_always_the_same_and_no_authority() -> None:
    shown, secret = certificate(KEY)
    assert certificate(KEY) == (shown, secret)
    assert certificate(OTHER_KEY)[0] != shown
    # Machines of two releases have to make the same.
    assert sha256(shown).hexdigest()[:16] == "d82e2ad7f90d04dd"
    read = x509.load_pem_x509_certificate(shown)
    assert not read.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert read.public_key() != Ed25519PrivateKey.from_private_bytes(KEY).public_key()


def test_no_file_holds_its_key_afterwards(tmp_path: Path) -> None:
    Secured(KEY, tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


async def test_where_nobody_can_listen_it_says_so(here: Secured) -> None:
    server, taken = await here.listen(ANYWHERE, Hearing({}))
    for address in ("203.0.113.7:1", taken, "127.0.0.1:65536"):
        with pytest.raises(EcholiaError) as caught:
            await here.listen(address, Hearing({}))
        assert caught.value.code == "settings_invalid"
    server.close()


@pytest.mark.parametrize(
    ("address", "number", "found"),
    [
        ("10.0.0.5:8100", 1, "10.0.0.5:8100"),
        ("10.0.0.5:8100", 3, "10.0.0.5:8102"),
        ("[fd00::1]:8100", 2, "[fd00::1]:8101"),
        ("one.internal:0", 2, "one.internal:0"),
    ],
)
def test_each_worker_has_a_port(address: str, number: int, found: str) -> None:
    assert numbered(address, number) == found
