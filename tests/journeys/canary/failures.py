"""How to bring about each failure that a healthy server answers, by its code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from hashlib import sha256
from typing import Final

from echolia.core.checkpoints import ChainHead
from echolia.core.ids import b64
from echolia.core.positions import LogPosition
from echolia.core.push import write_push
from tests.journeys.canary.asking import (
    GENERATE,
    PATHS,
    ask_nobody,
    ask_wrongly,
    plain_ask,
    sealed_at_another_time,
    sealed_for_elsewhere,
    sealed_once_sent_twice,
    sealed_otherwise,
    sealed_to_nobody,
    sealed_wrongly,
)
from tests.journeys.canary.embedding import (
    ONE,
    SEVERAL,
    embed_too_late,
    embed_too_much,
    embed_wrongly,
    one_ask,
    several_ask,
)
from tests.journeys.canary.flock import DEVICE, HASH, MESSAGE, SECRET, UNKEPT
from tests.journeys.canary.listening import say_what_nobody_asked_for, unreadable_heads, wrong_tickets
from tests.journeys.canary.operations import JSON
from tests.journeys.canary.person import Person, writer_of
from tests.support.accounts import Keys, entry_json

Bring = Callable[[Person], object]


def _unknown_device(person: Person) -> None:
    stranger = person.flock.coded("device in path", UNKEPT, 16)
    person.ask("DELETE", f"/auth/device/{stranger}", person.revocation(person.account.first))
    writer = writer_of(person.account, Keys("nobody"))
    writer.device = person.flock.raw("device of a run", DEVICE, 16)
    writer.change(person.flock.raw("object", UNKEPT, 16), person.flock.raw("stream", UNKEPT, 16))
    person.push(writer.run())


def _unauthorized(person: Person) -> None:
    person.wire("GET", "/sync/status", token=person.flock.word("token", SECRET))


def _revoked(person: Person) -> None:
    phone = Keys(f"{person.name} phone")
    person.add(phone)
    token = person.sign_in(phone).json()["access"]
    person.ask("DELETE", f"/auth/device/{b64(phone.id)}", person.revocation(phone))
    person.wire("GET", "/sync/status", token=token)
    person.sign_in(phone)
    writer = writer_of(person.account, phone)
    writer.write(1)
    person.push(writer.run())


def _new_device(person: Person) -> None:
    phone = Keys(f"{person.name} phone")
    person.add(phone)
    token = person.sign_in(phone).json()["access"]
    hashed = {"token_hash": person.flock.coded("hash", HASH, 32)}
    person.wire("POST", "/auth/pair-device", hashed, token=token)


def _deleted(person: Person) -> None:
    person.ask("DELETE", "/auth/account", person.deletion())
    person.ask("GET", "/auth/devices")
    person.wire("POST", "/auth/register", person.registration())


def _reused(person: Person) -> None:
    for _ in range(2):
        person.wire("POST", "/auth/refresh", {"refresh": person.refresh})


def _expired(person: Person) -> None:
    _reused(person)  # signs the device out: its access tokens are refused from now on
    person.ask("GET", "/sync/status")


def _wrong_signatures(person: Person) -> None:
    first = person.account.first
    wrong = person.flock.coded("signature", SECRET, 64)
    for path, body in (
        (
            "/auth/token",
            {"device": b64(first.id), "challenge": b64(person.challenge(first)), "signature": wrong},
        ),
        ("/sync/ack", {**person.acknowledgement(), "signature": wrong}),
    ):
        person.ask("POST", path, body)
    person.ask("DELETE", "/auth/account", {**person.deletion(), "signature": wrong})
    person.write()
    frame = bytearray(person.writer.run())
    frame[110:174] = person.flock.raw("run's signature", SECRET, 64)
    person.push(bytes(frame))


def _unknown_challenge(person: Person) -> None:
    challenge, signature = (
        person.flock.coded("challenge", SECRET, 32),
        person.flock.coded("signature", SECRET, 64),
    )
    body = {"device": b64(person.account.first.id), "challenge": challenge, "signature": signature}
    person.wire("POST", "/auth/token", body)


def _bad_entries(person: Person) -> None:
    stranger = Keys(f"{person.name} stranger")
    signed = entry_json(person.account.add_entry(stranger))
    for entry in (signed["entry"], person.flock.coded("entry", UNKEPT, 200)):
        signatures = {name: person.flock.coded("signature", SECRET, 64) for name in signed["signatures"]}
        body = {"genesis": {"entry": entry, "signatures": signatures}}
        person.wire("POST", "/auth/register", body)
        revoked = f"/auth/device/{b64(person.account.first.id)}"
        person.ask(
            "DELETE", revoked, {"entry": entry, "signatures": {person.flock.text("signer"): b64(bytes(64))}}
        )


def _older_head(person: Person) -> None:
    phone, late = Keys(f"{person.name} phone"), Keys(f"{person.name} late")
    mailbox = "/auth/pair-device/{}/confirm"
    former = person.confirmation(late)
    person.add(phone)
    person.ask("POST", mailbox.format(person.open_mailbox().json()["mailbox"]), former)
    _bad_additions(person)


def _last_device(person: Person) -> None:
    first = person.account.first
    person.ask("DELETE", f"/auth/device/{b64(first.id)}", person.revocation(first))


def _mailboxes(person: Person) -> None:
    path = f"/auth/pair-device/{person.open_mailbox().json()['mailbox']}/messages"
    for n in (0, 0, 2):  # another under the same number, and the owner's last, which comes otherwise
        body = {"side": "owner", "n": n, "message": person.flock.coded("message", MESSAGE, 64)}
        person.ask("POST", path, body)
    for _ in range(4):
        token = person.flock.coded("guest's token", SECRET, 32)
        person.wire("GET", f"{path}?side=guest&n=0", headers={"Authorization": f"Mailbox {token}"})
    person.ask("DELETE", f"/auth/pair-device/{person.flock.coded('mailbox', UNKEPT, 16)}")


def _bad_boxes(person: Person) -> None:
    fresh = Person(person.wire, f"{person.name} fresh")
    box = {**fresh.box(), "box": person.flock.coded("box", UNKEPT, 96)}
    person.wire("POST", "/auth/register", {**fresh.registration(), "key_boxes": [box]})
    unknown = {**fresh.box(), "recipient": person.flock.coded("recipient", UNKEPT, 16)}
    person.wire("POST", "/auth/register", {**fresh.registration(), "key_boxes": [unknown]})


def _invalid_runs(person: Person) -> None:
    person.write()
    frame = person.writer.run()
    person.push(frame + person.flock.raw("after the last change", UNKEPT, 40))
    person.push(frame[:174] + person.flock.raw("no change", UNKEPT, 400))
    person.push(person.flock.raw("no run", UNKEPT, 20))


def _gap(person: Person) -> None:
    person.write(5)
    # The second is skipped, for it is of the same device.
    person.push(person.writer.run(3, 4, seen=person.seen()), person.writer.run(5, seen=person.seen()))


def _fork(person: Person) -> None:
    person.push_new(2)
    person.writer.changes.clear()
    person.push_new(2)


def _never_seen(person: Person) -> None:
    epoch = person.push_new().json()["epoch"]
    person.write()
    frame = person.writer.run(2, seen=LogPosition(epoch, 1, person.flock.raw("seen log", UNKEPT, 32)))
    person.push(frame)


def _cursors(person: Person) -> None:
    epoch = person.ask("GET", "/sync/status").json()["epoch"]
    for cursor in ({"epoch": epoch, "seq": 10**6}, {"epoch": epoch % 2**52 + 1, "seq": 0}):
        person.ask("POST", "/sync/pull", {"cursor": cursor})


def _bad_checkpoints(person: Person) -> None:
    person.push_new(2)
    raw = person.flock.raw
    status = person.ask("GET", "/sync/status").json()
    position = LogPosition(status["epoch"], 2, raw("log of a checkpoint", UNKEPT, 32))
    for changed in (
        {"live": raw("live root", UNKEPT, 32)},
        {"heads": {raw("device in heads", UNKEPT, 16): ChainHead(2, raw("chain in heads", UNKEPT, 32))}},
        {"devices_head": raw("device log of a checkpoint", UNKEPT, 32)},
        {"position": position},
        {"position": position._replace(epoch=status["epoch"] % 2**52 + 1)},
    ):
        person.ask("POST", "/sync/checkpoint", person.checkpoint(**changed))
    signed = person.checkpoint()
    for checkpoint in (person.flock.coded("checkpoint", UNKEPT, 300), signed["checkpoint"]):
        signature = person.flock.coded("signature", SECRET, 64)
        person.ask("POST", "/sync/checkpoint", {"checkpoint": checkpoint, "signature": signature})
    person.ask("POST", "/sync/pull", {"base": 10**6})


def _bad_additions(person: Person) -> None:
    phone, late = Keys(f"{person.name} phone"), Keys(f"{person.name} late")
    former = person.addition(late)
    wrong = {**person.addition(phone), "signatures": {person.flock.text("signer"): b64(bytes(64))}}
    box = {**person.box(), "box": person.flock.coded("box", UNKEPT, 96)}
    for body in (wrong, {**person.addition(phone), "key_boxes": [box]}, person.addition(phone), former):
        person.ask("POST", "/auth/devices", body)
    person.ask("POST", "/auth/devices", {**former, "entry": person.flock.coded("entry", UNKEPT, 200)})


def _invalid(person: Person) -> None:
    unreadable_heads(person)
    say_what_nobody_asked_for(person)
    person.ask("POST", "/sync/pull", {person.flock.text("name"): 1})


def _listeners(person: Person) -> None:
    with ExitStack() as open_streams:
        for _ in range(33):
            open_streams.enter_context(person.wire.listening(person.access))


def _oversize(person: Person) -> None:
    word = person.flock.text("oversize")
    for path in ("/auth/register", "/sync/pull"):
        person.ask("POST", path, {word: word * 10_000})
    for path in PATHS:
        person.asking.post(path, word.encode() * 15_000)
    person.push_bytes(word.encode() * ((8 << 20) // len(word.encode()) + 1))


def _other_versions(person: Person) -> None:
    sealed_otherwise(person)
    person.push_bytes(b"\x09" + person.flock.raw("push", UNKEPT, 99))


def _other_types(person: Person) -> None:
    for path in PATHS:
        person.ask("POST", path, plain_ask(person))
    person.ask("POST", ONE, one_ask(person))
    person.ask("POST", SEVERAL, several_ask(person))
    person.push_bytes(b"x", person.flock.word("media type"))


def _asked_wrongly(person: Person) -> None:
    ask_wrongly(person)
    embed_wrongly(person)


BRING: Final[Mapping[str, Bring]] = {
    "malformed_json": lambda person: person.push_bytes(person.flock.text("json").encode(), JSON),
    "malformed_binary": lambda person: person.push_bytes(b"\1\0\0" + person.flock.raw("push", UNKEPT, 99)),
    "invalid_request": _invalid,
    "unsupported_version": _other_versions,
    "unsupported_media_type": _other_types,
    "not_found": lambda person: person.ask("GET", f"/{person.flock.word('path')}"),
    "method_not_allowed": lambda person: person.ask("PATCH", "/sync/push", person.flock.text("body")),
    "body_too_large": _oversize,
    "unauthorized": _unauthorized,
    "token_expired": _expired,
    "token_reused": _reused,
    "device_revoked": _revoked,
    "device_new": _new_device,
    "account_unknown": _deleted,
    "device_unknown": _unknown_device,
    "account_exists": lambda person: person.wire("POST", "/auth/register", person.registration()),
    "signature_invalid": _wrong_signatures,
    "challenge_invalid": _unknown_challenge,
    "device_log_invalid": _bad_entries,
    "device_log_conflict": _older_head,
    "device_last": _last_device,
    "mailbox_unknown": _mailboxes,
    "mailbox_full": _mailboxes,
    "key_box_invalid": _bad_boxes,
    "run_invalid": _invalid_runs,
    "run_gap": _gap,
    "run_skipped": _gap,
    "device_fork": _fork,
    "seen_unknown": _never_seen,
    "cursor_ahead": _cursors,
    "must_rebase": _cursors,
    "checkpoint_invalid": _bad_checkpoints,
    "ticket_invalid": wrong_tickets,
    "listeners_full": _listeners,
    "sealed_invalid": sealed_wrongly,
    "sealed_key_unknown": sealed_to_nobody,
    "sealed_elsewhere": sealed_for_elsewhere,
    "sealed_stale": sealed_at_another_time,
    "sealed_replayed": sealed_once_sent_twice,
    "ask_invalid": _asked_wrongly,
    "model_unknown": ask_nobody,
    "embedding_too_long": embed_too_much,
    "embeddings_late": embed_too_late,
}  # fmt: skip

# --- a server with narrow limits ---------------------------------------------------------------------

NARROW: Final = {
    "register_free_per_minute": "0", "proof_of_work_bits": "1", "max_devices": "1", "body_seconds": "0.3",
    "refresh_per_minute": "3", "free_disk_bytes": str(2**60),
    "quota_bytes": "20000", "quota_objects": "30", "quota_changes_per_minute": "40",
    "quota_reserve_percent": "0", "quota_reserve_bytes": "5000",
    "llm_tokens_per_day": "300", "llm_per_minute": "6",
    "embeddings_per_minute": "4", "embeddings_tokens_per_day": "4",
}  # fmt: skip


def solved(person: Person) -> dict[str, str]:
    """A solution of a fresh puzzle, whose nonce begins with a canary."""
    asked = person.wire("POST", "/auth/register", person.registration()).json()
    start, number = person.flock.word("nonce", SECRET), 0
    while sha256(f"{asked['challenge']}:{start}{number}".encode()).digest()[0] >> (8 - asked["bits"]):
        number += 1
    return {"challenge": asked["challenge"], "nonce": f"{start}{number}"}


def _unsolved(person: Person) -> None:
    for proof in (
        {"challenge": person.flock.text("puzzle", SECRET), "nonce": person.flock.text("nonce", SECRET)},
        {"challenge": person.flock.coded("puzzle", SECRET, 41), "nonce": person.flock.word("nonce", SECRET)},
    ):
        body = Person(person.wire, f"{person.name} unsolved").registration()
        person.wire("POST", "/auth/register", {**body, "proof_of_work": proof})


def _slow_bodies(person: Person) -> None:
    word = person.flock.text("slow body").encode()
    for path in ("/auth/register", "/sync/push", "/llm/stream"):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {person.access}\r\n"
        person.wire.raw(head.encode() + b"Content-Length: 9999\r\n\r\n" + word, end=False)


def _too_often(person: Person) -> None:
    for _ in range(5):
        person.wire("POST", "/auth/refresh", {"refresh": person.flock.coded("refresh", SECRET, 32)})
        person.asking.say(GENERATE, plain_ask(person))
        person.asking.say(ONE, one_ask(person))


def _over_quota(person: Person) -> None:
    """Each quota in turn, with and without the reserve, in pushes that could fit and that never could; and
    more words than a model may be asked in a day.
    """
    for path in PATHS:
        person.asking.say(path, {**plain_ask(person), "max_tokens": 1000})
    person.asking.say(SEVERAL, several_ask(person))
    assert person.push_new(20).status == 200
    kept = len(person.writer.changes)
    for count, body_bytes in ((11, 256), (31, 256), (131, 256), (1, 16384), (1, 32768), (21, 256)):
        person.write(count, body_bytes)
        frame = person.writer.run(kept + 1, seen=person.seen())
        for query in ("", "?reserve=1"):
            person.push_bytes(write_push([frame]), query=query)
        del person.writer.changes[max(kept, _stored(person)) :]
    person.ask("GET", "/sync/status")


def _stored(person: Person) -> int:
    devices = person.ask("GET", "/sync/status").json()["devices"]
    return int(devices[0]["counter"])


BRING_NARROW: Final[Mapping[str, Bring]] = {
    "proof_of_work_required": lambda person: solved(Person(person.wire, f"{person.name} busy")),
    "proof_of_work_invalid": _unsolved,
    "too_many_devices": lambda person: person.open_mailbox(),
    "body_too_slow": _slow_bodies,
    "quota_exceeded": _over_quota,
    "rate_limited": _too_often,
    "unavailable": lambda person: person.wire("GET", "/readyz"),
}
