"""What auth's requests and answers look like in JSON (`spec/auth.md`, `spec/pairing.md`); bytes are
base64url.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from echolia.web.wire import Hash, Id, Signature, Wire, base64url

# A device log of some hundred entries, and the keys of a hundred generations.
MESSAGE_BYTES = 128 * 1024
BOX_BYTES = 4 * 1024
MAX_GENERATION = 2**32 - 1


Entry = Annotated[bytes, *base64url(most=1024)]
Box = Annotated[bytes, *base64url(most=BOX_BYTES)]
Message = Annotated[bytes, *base64url(most=MESSAGE_BYTES)]
Recipient = Annotated[str, Field(pattern=r"^(recovery|[A-Za-z0-9_-]{22})$")]
Side = Literal["owner", "guest"]


class LogEntry(Wire):
    """A device log entry and its signatures, by `recovery` or device id."""

    entry: Entry
    signatures: Annotated[dict[str, Signature], Field(max_length=3)]


class KeyBox(Wire):
    """The account secrets, sealed to one recipient and signed by the device that sends it."""

    recipient: Recipient
    generation: Annotated[int, Field(ge=1, le=MAX_GENERATION)]
    box: Box
    signature: Signature


KeyBoxes = Annotated[list[KeyBox], Field(max_length=64)]


class AddDevice(LogEntry):
    """An `add` entry, and key boxes for the new device."""

    key_boxes: KeyBoxes = Field(default_factory=list)


class Rotation(LogEntry):
    """A `rotate` entry, and a key box for every device and for recovery."""

    key_boxes: KeyBoxes


class RecoveredDevice(AddDevice):
    """An `add` entry of recovery's, and key boxes that the new device signed."""

    account: Id


class Solution(Wire):
    """A solved puzzle."""

    challenge: Annotated[str, Field(max_length=256)]
    nonce: Annotated[str, Field(max_length=64)]


class Register(Wire):
    """A new account."""

    genesis: LogEntry
    # Verified before any proof of work is: few, so that a stranger cannot have many signatures checked.
    key_boxes: list[KeyBox] = Field(default_factory=list, max_length=4)
    proof_of_work: Solution | None = None


class Tokens(Wire):
    """Access and refresh token of a device."""

    access: str = Field(repr=False)
    refresh: Hash = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a scheme, no secret
    expires_in: int
    account: Id
    device: Id


class Registered(Wire):
    """The new account and its first device, signed in."""

    account: Id
    device: Id
    tokens: Tokens


class ChallengeWish(Wire):
    """Which device wants to sign in."""

    device: Id


class Challenge(Wire):
    """What to sign, within how many seconds."""

    challenge: Hash
    expires_in: int


class SignIn(Wire):
    """A signed challenge."""

    device: Id
    challenge: Hash
    signature: Signature


class Refresh(Wire):
    """The refresh token; it is spent by this."""

    refresh: Hash = Field(repr=False)


class Device(Wire):
    """A device of the account, as the log says."""

    device: Id
    sign: Hash
    box: Hash
    added_n: int
    revoked: bool
    confirmed: bool
    new_until_ms: int | None = None


class Devices(Wire):
    """The devices, and a page of the log: its `n` entries in all, the hash of its last."""

    devices: list[Device]
    log: list[LogEntry]
    n: int
    head: Hash
    more: bool


class SignedKeyBox(KeyBox):
    """A key box and the device that signed it."""

    signer: Id


class SignedKeyBoxes(Wire):
    """The account's key boxes."""

    boxes: list[SignedKeyBox]


class Recovered(Wire):
    """What a recovery phrase opens: the account's whole device log, and the boxes for recovery."""

    account: Id
    log: list[LogEntry]
    n: int
    head: Hash
    boxes: list[SignedKeyBox]


class Deletion(Wire):
    """The account's id once more, and a fresh challenge signed for this."""

    confirm: Id
    challenge: Hash
    signature: Signature


class OpenMailbox(Wire):
    """The hash of the token by which the new device will be known."""

    token_hash: Hash


class Mailbox(Wire):
    """An open mailbox and for how many seconds."""

    mailbox: Id
    expires_in: int


class Posted(Wire):
    """A sealed message of one side."""

    side: Side
    n: Annotated[int, Field(ge=0, le=2)]
    message: Message


class Received(Wire):
    """A sealed message of the other side."""

    message: Message


class Confirm(AddDevice):
    """The same, and the owner's last message."""

    message: Message
