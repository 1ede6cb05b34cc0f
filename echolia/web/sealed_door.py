"""Where sealed requests come in: keys are shown, requests opened, each once (`spec/sealed.md`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.signing import PUBLIC_KEY_BYTES
from echolia.sealed.asks import MEDIA_TYPE, MEMBERS, account_hash
from echolia.sealed.documents import LABEL, Pins, document_of
from echolia.sealed.frames import unframed_request
from echolia.sealed.key_ring import LINK_BYTES, KeyRing, new_chain
from echolia.sealed.requests import open_request
from echolia.sealed.responses import ResponseSealer
from echolia.storage.secret_files import load_key
from echolia.web.context import Dice
from echolia.web.lean import LeanRequest
from echolia.web.replays import Replays, Seen

BODY_BYTES: Final = 256 * 1024
FRESH_MS: Final = 120_000
_NONCE_BYTES: Final = 32
# Requests that are opened in one go of the loop: each takes it a third of a millisecond.
_AT_ONCE: Final = 8


class Identity(NamedTuple):
    """The key that signs which keys may be sealed to, and the public half of the one that may follow it."""

    signing: Ed25519PrivateKey
    next: bytes

    @property
    def pins(self) -> Pins:
        """What devices pin."""
        return Pins(self.signing.public_key().public_bytes_raw(), self.next)


class Sealing(NamedTuple):
    """What all processes of a data folder have in common: the keys, and what was seen of requests."""

    ring: KeyRing
    replays: Replays


class Unsealed(NamedTuple):
    """What was asked, and what seals the answer."""

    ask: Any
    answer: ResponseSealer

    def __repr__(self) -> str:
        """Nothing of what was asked."""
        return "Unsealed()"


def sealing_alone(clock_ms: Callable[[], int], dice: Dice) -> Sealing:
    """For the one process there is, or for the first of several."""
    return Sealing(KeyRing(new_chain(dice(LINK_BYTES), clock_ms()), clock_ms), Seen(clock_ms))


def load_identity(folder: Path) -> Identity:
    """The server's identity in the folder (mode 0600), made where there is none.

    `next.key` may lie elsewhere, as long as `next.pub` stays. Raises: `settings_invalid`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signing = Ed25519PrivateKey.from_private_bytes(load_key(folder / "identity.key"))
    public = folder / "next.pub"
    if not public.exists():
        following = Ed25519PrivateKey.from_private_bytes(load_key(folder / "next.key"))
        part = public.with_suffix(".part")
        part.write_text(following.public_key().public_bytes_raw().hex() + "\n", "ascii")
        part.rename(public)
    return Identity(signing, _public(public))


def _public(path: Path) -> bytes:
    try:
        public = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        public = b""
    if len(public) != PUBLIC_KEY_BYTES:
        raise EcholiaError("settings_invalid", f"{path.name} does not hold a public key")
    return public


class SealedDoor:
    """Shows keys and opens requests; `clock_ms` is the host's time."""

    def __init__(self, sealing: Sealing, identity: Identity, clock_ms: Callable[[], int], dice: Dice) -> None:
        self._ring, self._replays = sealing
        self._identity = identity
        self._clock_ms = clock_ms
        self._dice = dice
        self._shown: tuple[bytes, bytes] = (b"", b"")
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def keys(self) -> bytes:
        """The answer to who asks for the keys: JSON, the same for everybody."""
        document = document_of(self._identity.pins, self._ring.shown())
        if self._shown[0] != document:
            self._shown = (document, self._identity.signing.sign(LABEL + document))
        told = {"document": b64(document), "signature": b64(self._shown[1])}
        return json.dumps(told, separators=(",", ":")).encode()

    async def open(self, request: LeanRequest, path: str) -> Unsealed:
        """What is in a request to this path.

        Raises: `unsupported_media_type`, `sealed_invalid`, `unsupported_version`, `sealed_key_unknown`,
        `sealed_elsewhere`, `sealed_stale`, `sealed_replayed`, `unavailable`.
        """
        if request.media_type != MEDIA_TYPE:
            raise EcholiaError("unsupported_media_type", MEDIA_TYPE)
        async with self._turns:
            await asyncio.sleep(0)  # others, who have nothing to be opened, come in between
            opened = open_request(request.body, self._ring.secret_of, self._dice(_NONCE_BYTES))
        said = unframed_request(opened.plain)
        iat_ms = _checked(said)
        if said["path"] != path or said["account"] != b64(account_hash(request.caller.account)):
            raise EcholiaError("sealed_elsewhere")
        if abs(self._clock_ms() - iat_ms) > FRESH_MS:
            raise EcholiaError("sealed_stale")
        if not await self._replays.first(opened.enc, iat_ms + 2 * FRESH_MS):
            raise EcholiaError("sealed_replayed")
        return Unsealed(said["ask"], opened.answer)


def _checked(said: Mapping[str, Any]) -> int:
    iat_ms = said.get("iat_ms")
    if said.keys() != MEMBERS or type(iat_ms) is not int:
        raise EcholiaError("sealed_invalid", "the JSON's members")
    return iat_ms
