"""Key boxes as a device makes and reads them (`spec/keys.md#key-boxes`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from echolia.client.session import Session, bytes_of
from echolia.core.device_entries import RECOVERY
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.core.messages import key_box_message
from echolia.core.signing import verify
from echolia.e2ee.keys import AccountSecrets, KeyPairs, open_key_box, seal_key_box


def sealed(secrets: AccountSecrets, signer: KeyPairs, recipient: str, box_public: bytes) -> dict[str, Any]:
    """A signed box in JSON for a recipient, a device id in base64url or "recovery"."""
    box = seal_key_box(secrets, box_public)
    message = key_box_message(secrets.account, secrets.generation, box_public, box)
    said = {"recipient": recipient, "generation": secrets.generation}
    return {**said, "box": b64(box), "signature": b64(signer.sign(message))}


def for_everybody(secrets: AccountSecrets, signer: KeyPairs, log: DeviceLog) -> list[dict[str, Any]]:
    """A box for each device that is not revoked, and for recovery."""
    recipients = {RECOVERY: log.recovery_box, **{b64(each.device): each.box for each in log.active()}}
    return [sealed(secrets, signer, name, public) for name, public in recipients.items()]


async def fetched(session: Session) -> list[Mapping[str, Any]]:
    """The boxes that the server has; raises `server_invalid`."""
    return listed((await session.ask("GET", "/auth/key-boxes")).get("boxes"))


def listed(boxes: object) -> list[Mapping[str, Any]]:
    """Boxes of a server's answer; raises `server_invalid`."""
    if not isinstance(boxes, list) or not all(isinstance(box, dict) for box in boxes):
        raise EcholiaError("server_invalid", "expected key boxes")
    return boxes


def opened(
    boxes: Iterable[Mapping[str, Any]], log: DeviceLog, recipient: str, keys: KeyPairs
) -> AccountSecrets:
    """The newest generation's secrets out of the recipient's box.

    Raises `key_box_withheld` where it is not among the boxes, `key_box_invalid` for one that no device of
    the log vouches for, or that holds other keys than the log says.
    """
    box = of(boxes, recipient, log.generation)
    sealed_box = check_signed(box, log, keys.box_public)
    secrets = open_key_box(sealed_box, keys)
    said = all(each.commits_to(log.account, secrets.keys.get(each.generation, b"")) for each in log.rotations)
    if not said or (secrets.account, secrets.generation) != (log.account, log.generation):
        raise EcholiaError("key_box_invalid", "other keys than the device log says")
    return secrets


def of(boxes: Iterable[Mapping[str, Any]], recipient: str, generation: int) -> Mapping[str, Any]:
    """The recipient's box of a generation; raises `key_box_withheld`."""
    for box in boxes:
        if box.get("recipient") == recipient and box.get("generation") == generation:
            return box
    raise EcholiaError("key_box_withheld", f"generation {generation}")


def check_signed(box: Mapping[str, Any], log: DeviceLog, recipient_box: bytes) -> bytes:
    """The sealed bytes of a box that a device of the log signed; raises `key_box_invalid`."""
    try:
        signer = log.devices.get(unb64(str(box.get("signer"))))
        sealed_box, signature = bytes_of(box, "box"), bytes_of(box, "signature", 64)
        generation = int(box["generation"])
    except (EcholiaError, KeyError, TypeError, ValueError):
        raise EcholiaError("key_box_invalid", "its form") from None
    message = key_box_message(log.account, generation, recipient_box, sealed_box)
    if signer is None or not verify(signer.sign, message, signature):
        raise EcholiaError("key_box_invalid", "no device of the account signed it")
    return sealed_box
