"""One request that each operation of the OpenAPI document would understand: what planting starts from.

Those that would end an account, a device or a pairing are understood and then refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from echolia.core.ids import b64
from echolia.sealed.asks import MEDIA_TYPE
from tests.journeys.canary.asking import GENERATE, STREAM, Asking, full_ask, plain_ask
from tests.journeys.canary.embedding import ONE, SEVERAL, one_ask, several_ask
from tests.journeys.canary.flock import DEVICE, HASH, MESSAGE
from tests.journeys.canary.person import Person
from tests.journeys.canary.purchases import (
    RESTORE,
    VERIFY,
    WEBHOOK,
    notification,
    receipt,
    restore_of,
)
from tests.journeys.canary.wire import PUBLIC
from tests.support.accounts import Keys

JSON: Final = "application/json"
Operation = tuple[str, str]
# Bytes of the right length are kept of these alone, by operation and field: the others' requests are refused.
KEPT: dict[tuple[str, str], bytes] = {
    ("POST /auth/challenge", "device"): DEVICE,
    ("POST /auth/pair-device", "token_hash"): HASH,
    ("POST /auth/pair-device/{id}/messages", "message"): MESSAGE,
    ("POST /sync/push", "runs.0.device"): DEVICE,
}


@dataclass(frozen=True)
class Request:
    """An operation with values for all that it takes; `query` holds every parameter it declares."""

    operation: Operation
    path: str
    body: Any = None
    query: tuple[tuple[str, str], ...] = ()
    asking: Asking | None = None  # who seals the body, where it goes sealed

    @property
    def media_type(self) -> str:
        """What the body is sent as."""
        return JSON if self.asking is None else MEDIA_TYPE

    def encoded(self) -> bytes | None:
        """The body as it is sent; sealed afresh each time, for no seal is taken twice."""
        if self.body is None:
            return None
        return (
            json.dumps(self.body).encode() if self.asking is None else self.asking.seal(self.path, self.body)
        )

    @property
    def name(self) -> str:
        """The operation in words."""
        return " ".join(self.operation)

    def with_body(self, body: Any) -> Request:
        """The same with another body."""
        return replace(self, body=body)


def _models(person: Person) -> list[Request]:
    return [
        Request(("GET", "/llm/keys"), "/llm/keys"),
        Request(("GET", "/llm/models"), "/llm/models"),
        Request(("GET", "/llm/quota"), "/llm/quota"),
        Request(("GET", "/llm/usage"), "/llm/usage", query=(("days", "30"),)),
        Request(("POST", STREAM), STREAM, full_ask(person), asking=person.asking),
        Request(("POST", GENERATE), GENERATE, plain_ask(person), asking=person.asking),
        Request(("GET", "/embeddings/models"), "/embeddings/models"),
        Request(("POST", ONE), ONE, one_ask(person), asking=person.asking),
        Request(("POST", SEVERAL), SEVERAL, several_ask(person), asking=person.asking),
    ]


def understood(person: Person, mailbox: str) -> dict[Operation, Request]:
    """A request for each operation; `mailbox` is an open one of the person's."""
    stranger = Keys(f"{person.name} stranger")
    wrong = b64(bytes(64))
    login = {"device": b64(stranger.id), "challenge": b64(bytes(32)), "signature": wrong}
    ack = {**person.acknowledgement(), "signature": wrong}
    # An entry that is signed by nobody of the account.
    entry = {"entry": b64(b"\xa1\x61\x76\x01"), "signatures": {b64(stranger.id): wrong}}
    box = {"recipient": b64(stranger.id), "generation": 1, "box": b64(bytes(96)), "signature": wrong}
    boxes = "/auth/pair-device/{id}"
    listed = [
        *(Request(("GET", path), path) for path in PUBLIC),
        Request(
            ("POST", "/auth/register"), "/auth/register",
            {"genesis": entry, "key_boxes": [box], "proof_of_work": {"challenge": "c", "nonce": "n"}},
        ),
        Request(("POST", "/auth/challenge"), "/auth/challenge", {"device": b64(stranger.id)}),
        Request(("POST", "/auth/token"), "/auth/token", login),
        Request(("POST", "/auth/refresh"), "/auth/refresh", {"refresh": b64(bytes(32))}),
        Request(("GET", "/auth/devices"), "/auth/devices", query=(("after", "0"),)),
        Request(("POST", "/auth/devices"), "/auth/devices", {**entry, "key_boxes": [box]}),
        Request(("DELETE", "/auth/device/{id}"), f"/auth/device/{b64(stranger.id)}", entry),
        Request(("POST", "/auth/device/{id}/confirm"), f"/auth/device/{b64(stranger.id)}/confirm", entry),
        Request(("POST", "/auth/rotate"), "/auth/rotate", {**entry, "key_boxes": [box]}),
        Request(("POST", "/auth/recovery"), "/auth/recovery", login),
        Request(("POST", "/auth/recovery/devices"), "/auth/recovery/devices",
                {**entry, "key_boxes": [box], "account": b64(person.account.id)}),
        Request(("GET", "/auth/key-boxes"), "/auth/key-boxes", query=(("recipient", "recovery"),)),
        Request(
            ("DELETE", "/auth/account"), "/auth/account",
            {"confirm": b64(person.account.id), "challenge": b64(bytes(32)), "signature": wrong},
        ),
        Request(("POST", "/auth/pair-device"), "/auth/pair-device", {"token_hash": b64(bytes(32))}),
        Request(("POST", f"{boxes}/messages"), f"/auth/pair-device/{mailbox}/messages",
                {"side": "owner", "n": 0, "message": b64(bytes(64))}),
        Request(("GET", f"{boxes}/messages"), f"/auth/pair-device/{mailbox}/messages",
                query=(("side", "owner"), ("n", "0"), ("wait", "0"))),
        Request(("POST", f"{boxes}/confirm"), f"/auth/pair-device/{mailbox}/confirm",
                {**entry, "key_boxes": [box], "message": b64(bytes(64))}),
        Request(("DELETE", boxes), f"/auth/pair-device/{b64(bytes(16))}"),
        Request(("POST", "/sync/push"), "/sync/push", {"runs": [person.json_run()]}, (("reserve", "1"),)),
        Request(("POST", "/sync/pull"), "/sync/pull",
                {"cursor": {"epoch": ack["epoch"], "seq": 0}, "vector": None, "stream": b64(bytes(16)),
                 "max_bytes": 4096, "elide_own": False}),
        Request(("POST", "/sync/ack"), "/sync/ack", ack),
        Request(("GET", "/sync/status"), "/sync/status"),
        Request(("POST", "/sync/checkpoint"), "/sync/checkpoint",
                {**person.checkpoint(), "signature": wrong}),
        Request(("GET", "/sync/checkpoint"), "/sync/checkpoint"),
        Request(("GET", "/sync/live"), "/sync/live", query=(("after", "1.1"), ("ticket", b64(bytes(32))))),
        Request(("POST", "/sync/live/ticket"), "/sync/live/ticket"),
        Request(("GET", "/ledger"), "/ledger"),
        *_purchases(person),
        *_models(person),
    ]  # fmt: skip
    return {request.operation: request for request in listed}


def _purchases(person: Person) -> list[Request]:
    return [
        Request(("GET", "/payments/subscription"), "/payments/subscription"),
        Request(("POST", VERIFY), VERIFY, {"store": "sandbox", "receipt": receipt(person)}),
        Request(("POST", RESTORE), RESTORE, restore_of(person, receipt(person))),
        Request(("POST", WEBHOOK), WEBHOOK, json.loads(notification(person))),
    ]
