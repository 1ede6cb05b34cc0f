"""The recovery drill: a phrase still opens the account, shown without any of it leaving this device."""

from __future__ import annotations

from hmac import compare_digest

from echolia.client import key_boxes
from echolia.client.device_entries import fetch_device_log
from echolia.client.generations import boxes_with_log, follow
from echolia.client.opening import OpenHome
from echolia.client.session import Session
from echolia.core.device_entries import RECOVERY
from echolia.core.errors import EcholiaError
from echolia.e2ee.recovery import recovery_keys


async def drill(opened: OpenHome, session: Session, phrase: str) -> int:
    """Return the generation of the account key that the phrase opens, which is the newest.

    The server is asked for its box for recovery, as a recovery would; the words stay here. Raises
    `phrase_invalid`, `phrase_other` (another account's, or replaced since), `key_box_withheld`,
    `key_box_invalid`.
    """
    keys, replica = recovery_keys(phrase), opened.replica
    await fetch_device_log(replica, session)
    await follow(opened, session)
    log = await fetch_device_log(replica, session)
    if not compare_digest(keys.sign_public + keys.box_public, log.recovery_sign + log.recovery_box):
        raise EcholiaError("phrase_other")
    boxes, log = await boxes_with_log(replica, session, log, RECOVERY)
    secrets = key_boxes.opened(boxes, log, RECOVERY, keys)
    await follow(opened, session)
    if not (opened.vault.secrets.inside(secrets) and secrets.inside(opened.vault.secrets)):
        raise EcholiaError("key_box_invalid", "the phrase opens other keys than this device has")
    now_ms = replica.environment.now_ms()
    await replica.run(replica.database.put, "drilled_ms", now_ms)
    return secrets.generation
