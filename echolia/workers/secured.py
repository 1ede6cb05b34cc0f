"""Streams between machines: TLS 1.3, where both sides show one certificate and trust no other.

The certificate's key is derived from the machines' shared key: whoever has that key is one of them, and there
is nothing to be issued, to expire or to be renewed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from echolia.core.errors import EcholiaError
from echolia.storage.secret_files import derived
from echolia.workers.channel import Hearing, Peer, PlainStream

CLUSTER_KEY: Final = "cluster.key"
_NAME: Final = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "echolia")])
_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
_TO: Final = datetime(9999, 12, 31, tzinfo=UTC)
# Who connects and does not show the certificate in this time is hung up on.
HANDSHAKE_S: Final = 5.0
_CLOSE_S: Final = 1.0


def certificate(key: bytes) -> tuple[bytes, bytes]:
    """The certificate of the machines that share the key (32 bytes), and its private key, in PEM.

    Always the same bytes for the same key.
    """
    secret = Ed25519PrivateKey.from_private_bytes(derived(key, "machines"))
    made = (
        x509.CertificateBuilder(_NAME, _NAME, secret.public_key(), 1, _FROM, _TO)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(secret, None)
    )
    pem = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM), pem


def numbered(address: str, number: int) -> str:
    """Where worker `number` (from 1) of a machine at this address is reached: each has a port of its own."""
    host, port = _parted(address)
    return _joined(host, port + number - 1 if port else 0)


class Secured:
    """What a machine of this shared key listens and connects with; `folder` is of this user alone."""

    def __init__(self, key: bytes, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shown, secret = certificate(key)
        self._to_listen = _context(ssl.PROTOCOL_TLS_SERVER, shown, secret, folder)
        self._to_listen.num_tickets = 0  # nothing is resumed: each connection proves the key anew
        self._to_connect = _context(ssl.PROTOCOL_TLS_CLIENT, shown, secret, folder)

    async def listen(self, address: str, hearing: Hearing) -> tuple[asyncio.Server, str]:
        """Answer there what is asked by other machines; the address with the port that it got.

        Close the server, then the hearing. Raises: `settings_invalid`.
        """

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hearing.hear(_stream(reader, writer))

        try:
            host, port = _parted(address)
            server = await asyncio.start_server(
                hear,
                host,
                port,
                ssl=self._to_listen,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=_CLOSE_S,
            )
        except (OSError, OverflowError, ValueError):
            raise EcholiaError("settings_invalid", "ECHOLIA_ADDRESS: cannot listen there") from None
        return server, _joined(host, server.sockets[0].getsockname()[1])

    async def connect(self, address: str) -> Peer:
        """Whoever listens there and has the same key. Raises: OSError."""
        host, port = _parted(address)
        async with asyncio.timeout(HANDSHAKE_S):
            reader, writer = await asyncio.open_connection(
                host,
                port,
                ssl=self._to_connect,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=_CLOSE_S,
            )
        return Peer(_stream(reader, writer))


def _context(protocol: ssl._SSLMethod, shown: bytes, secret: bytes, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate says who it is: one of us, wherever it is reached
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=shown.decode("ascii"))
    with NamedTemporaryFile(dir=folder, suffix=".pem") as file:  # Python loads it from a file alone
        file.write(shown + secret)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> PlainStream:
    # A machine that is gone without a word is noticed some time.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return PlainStream(reader, writer)


def _parted(address: str) -> tuple[str, int]:
    parts = urlsplit(f"//{address}")
    return parts.hostname or "", parts.port or 0


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
