"""Pairing by the devices' code: every vector from the owner's and the guest's side."""

from __future__ import annotations

from typing import Literal

from echolia.client.witnesses import read_vouched
from echolia.core import canonical
from echolia.core.device_log import DeviceLog
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal
from tests.vectors.ends.rules import Dealt, secrets
from tests.vectors.ends.run_rules import entries
from tests.vectors.ends.vector_file import Found, VectorFile
from tests.vectors.reference import h


def code(vector: VectorFile) -> Found:
    """The code, there and back, and the mailbox's token."""
    found = Code.decode(vector.given["code"])
    assert found.encode() == vector.given["code"]
    place = {"server": found.server, "mailbox": found.mailbox, "secret": found.secret}
    return {**place, "token": found.token(), "token_hash": h(found.token())}


def message(vector: VectorFile) -> Found:
    """A message, opened and sealed again by the same nonce."""
    place = Code("", vector.raw("mailbox"), vector.raw("secret"))
    side: Literal["owner", "guest"] = vector.given["side"]
    raw, n = vector.raw("message"), vector.given["n"]
    contents = place.open(side, n, raw)
    assert place.seal(side, n, contents, Dealt(raw[:24])) == raw
    return {"contents": canonical.encode(contents), "nonce": raw[:24]}


def reveal(vector: VectorFile) -> Found:
    """The keys in a reveal that was committed to."""
    found = Reveal.read(vector.raw("reveal"), vector.raw("commit"))
    return {"sign": found.sign, "box": found.box, "eph": found.eph}


def ack(vector: VectorFile) -> Found:
    """The position that the device had verified which adds another."""
    log = DeviceLog.replay(entries(vector), vector.raw("account"))
    fields = canonical.decode(vector.raw("ack"))
    return read_vouched(fields, log, vector.raw("by")).verified._asdict()


def agreement(vector: VectorFile) -> Found:
    """What both sides come to, and the secrets' way from one to the other."""
    owner, guest = Ephemeral(vector.raw("owner_secret")), Ephemeral(vector.raw("guest_secret"))
    shown = Reveal.read(vector.raw("reveal"), h(b"echolia/1/pair-commit", vector.raw("reveal")))
    meeting = (vector.raw("mailbox"), vector.raw("account"), shown, owner.public, vector.raw("log_head"))
    found = Agreement.reach(owner, vector.raw("guest_public"), *meeting)
    assert Agreement.reach(guest, owner.public, *meeting) == found
    entry, given = vector.raw("entry"), secrets(vector.given["secrets"])
    sealed = found.seal_secrets(given, entry, Dealt(vector.raw("nonce")))
    received = vector.raw("sealed") if "sealed" in vector.given else sealed
    assert found.open_secrets(received, entry) == given
    return {"transcript": found.transcript, "digits": found.digits(), "mac": found.mac(), "sealed": sealed}
