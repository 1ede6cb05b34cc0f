"""What goes well: each operation answered as its caller hopes, with canaries in everything that is sealed."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from echolia.core.ids import b64
from echolia.core.messages import recovery_message
from tests.journeys.canary.asking import ask_well
from tests.journeys.canary.embedding import embed_well
from tests.journeys.canary.flock import ENTRY, MESSAGE, SECRET
from tests.journeys.canary.listening import listen_well
from tests.journeys.canary.operations import understood
from tests.journeys.canary.person import Person
from tests.journeys.canary.planting import plantings
from tests.journeys.canary.purchases import buy_well
from tests.journeys.canary.wire import Wire
from tests.support.accounts import Keys, entry_json

_STREAM: Final = ("GET", "/sync/live")


def plant_everywhere(person: Person) -> int:
    """Ask every operation with a canary in each part of it in turn; returns how many requests that were."""
    count = 0
    for operation in understood(person, _mailbox(person)):
        # Planting closes and replaces mailboxes: each operation starts with an open one.
        request = understood(person, _mailbox(person))[operation]
        for method, target, headers, body in plantings(request, person.flock):
            streams = (method, target.partition("?")[0]) == _STREAM
            token = "" if streams else person.access
            answer = person.wire(method, target, body=body, headers=headers, token=token)
            person.asking.opened(body, answer)
            count += 1
    return count


def _mailbox(person: Person) -> str:
    mailbox: str = person.open_mailbox().json()["mailbox"]
    return mailbox


def live_well(wire: Wire, name: str) -> Person:
    """An account's life: devices come and go, changes go in and out in every form; all of it succeeds."""
    person = Person(wire, name).register()
    assert person.push_new(3).json()["runs"][0]["status"] == "stored"
    big = len(person.writer.changes) + 1
    person.write(1, 64 * 1024)
    assert person.push(person.writer.run(big)).json()["runs"][0]["status"] == "stored"
    _read(person)
    _ok(person, "DELETE", f"/auth/pair-device/{_mailbox(person)}")
    phone = Keys(f"{name} phone")
    assert person.add(phone).status == 204
    tokens = person.sign_in(phone).json()
    listen_well(person)
    with wire.listening(tokens["access"]) as stream:
        assert person.revoke(phone).status == 204
        stream.recv(65536)
    person.take(wire("POST", "/auth/refresh", {"refresh": person.refresh}).json())
    _ok(person, "POST", "/sync/ack", person.acknowledgement())
    _ok(person, "POST", "/sync/checkpoint", person.checkpoint())
    _start_anew(person)
    _add_without_mailbox(person)
    _change_keys(person)
    for path in (
        "/sync/status",
        "/sync/checkpoint",
        "/auth/devices",
        "/auth/key-boxes",
        "/auth/key-boxes?recipient=recovery",
    ):
        _ok(person, "GET", path)
    converse(person)  # what is in the open mailbox stays there for the search
    ask_well(person)
    embed_well(person)
    buy_well(person)
    _ok(person, "GET", "/ledger")
    gone = Person(wire, f"{name} gone").register()
    gone.push_new(2)
    assert gone.ask("DELETE", "/auth/account", gone.deletion()).status == 204
    return person


def _start_anew(person: Person) -> None:
    base = person.ask("GET", "/sync/status").json()["head"]["seq"]
    for form in ("application/vnd.echolia.page", "application/json"):
        for before in (None, base):
            body = {"base": base, "before": before, "max_bytes": 4096}
            answer = person.wire("POST", "/sync/pull", body, headers={"Accept": form}, token=person.access)
            assert answer.status == 200, answer.body


def _add_without_mailbox(person: Person) -> None:
    tablet = Keys(f"{person.name} tablet")
    signed, body = person.account.add_entry(tablet), person.addition(tablet)
    for _ in range(2):
        _ok(person, "POST", "/auth/devices", body)
    person.account.append(signed)
    assert person.revoke(tablet).status == 204


def _change_keys(person: Person) -> None:
    """A device is confirmed, the account key rotated, and one more device added by the phrase."""
    account = person.account
    phone, new = Keys(f"{person.name} second phone"), Keys(f"{person.name} recovered")
    assert person.add(phone).status == 204
    confirmed = account.confirm_entry(phone)
    _ok(person, "POST", f"/auth/device/{b64(phone.id)}/confirm", entry_json(confirmed))
    account.append(confirmed)
    rotated = account.rotate_entry(person.flock.raw("commitment to a key", ENTRY, 32))
    boxes = [person.box(device, 2) for device in (None, account.first, phone)]
    _ok(person, "POST", "/auth/rotate", {**entry_json(rotated), "key_boxes": boxes})
    account.append(rotated)
    challenge = person.challenge(account.recovery)
    signature = account.recovery.signed(recovery_message(account.recovery.id, challenge))
    body = {"device": b64(account.recovery.id), "challenge": b64(challenge), "signature": b64(signature)}
    assert person.wire("POST", "/auth/recovery", body).status == 200
    added = account.recover_entry(new)
    asked = {**entry_json(added), "account": b64(account.id), "key_boxes": []}
    assert person.wire("POST", "/auth/recovery/devices", asked).status == 204
    account.append(added)


def _read(person: Person) -> None:
    stream = b64(person.writer.changes[0][21:37])
    for form in ("application/vnd.echolia.page", "application/json"):
        bodies: tuple[dict[str, object], ...] = (
            {}, {"stream": stream}, {"elide_own": True}, {"vector": {}}, {"max_bytes": 1},
        )  # fmt: skip
        for body in bodies:
            answer = person.wire("POST", "/sync/pull", body, headers={"Accept": form}, token=person.access)
            assert answer.status == 200, answer.body
    # The same run again, in the form for people.
    run = {"runs": [person.json_run()]}
    assert person.ask("POST", "/sync/push", run).json()["runs"][0]["status"] == "duplicate"


def converse(person: Person) -> None:
    """Both sides put a message and take the other's; the guest knows a token, whose hash is no canary."""
    token = person.flock.raw("guest's token", SECRET, 32)
    opened = person.ask("POST", "/auth/pair-device", {"token_hash": b64(sha256(token).digest())})
    path = f"/auth/pair-device/{opened.json()['mailbox']}/messages"
    guest = {"Authorization": f"Mailbox {b64(token)}"}
    for side, headers in (("owner", {"Authorization": f"Bearer {person.access}"}), ("guest", guest)):
        message = {"side": side, "n": 0, "message": person.flock.coded(f"message of {side}", MESSAGE, 300)}
        assert person.wire("POST", path, message, headers=headers).status == 204
    for side, headers in (("owner", {"Authorization": f"Bearer {person.access}"}), ("guest", guest)):
        assert person.wire("GET", f"{path}?side={side}&n=0", headers=headers).status == 200


def _ok(person: Person, method: str, path: str, body: object = None) -> None:
    answer = person.ask(method, path, body)
    assert answer.status < 300, answer.body
