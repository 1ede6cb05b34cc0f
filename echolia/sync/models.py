"""What sync's requests and answers look like in JSON, and what the service hands around (`spec/sync.md`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qs

from echolia.core import push, runs
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES, b64, unb64
from echolia.core.positions import LogPosition
from echolia.core.runs import MAX_COUNTER, RUN_HEADER_BYTES, RunHeader

MAX_PAGE_BYTES: Final = 8 << 20
DEFAULT_PAGE_BYTES: Final = 1 << 20


class Outcome(NamedTuple):
    """What became of one pushed run."""

    status: Literal["stored", "duplicate", "refused"]
    header: RunHeader | None
    duplicates: int = 0
    seq: int = 0
    received_ms: int = 0
    log: bytes = b""
    code: str = ""
    expected: int | None = None
    at: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The outcome as the push answer carries it."""
        found: dict[str, Any] = {"status": self.status}
        if self.header is not None:
            device, first, count = self.header.device, self.header.first, self.header.count
            found |= {"device": b64(device), "first": first, "count": count, "duplicates": self.duplicates}
        if self.status == "stored":
            found |= {"seq": self.seq, "received_ms": self.received_ms, "log": b64(self.log)}
        if self.code:
            places = {"expected": self.expected, "at": self.at}
            found |= {"code": self.code, **{k: v for k, v in places.items() if v is not None}}
        return found


class PullRequest(NamedTuple):
    """What a device asks for: what follows `after` in `epoch`, or (with `vector`) what its vector lacks.

    With `base`, the runs up to the checkpoint at that position which begin before `before` (None: all).
    """

    epoch: int | None
    after: int
    vector: Mapping[bytes, int] | None
    stream: bytes | None
    max_bytes: int
    elide_own: bool
    base: int | None = None
    before: int | None = None


class Ack(NamedTuple):
    """A device's signed word of how far it has verified the log, and which device log it holds."""

    verified: LogPosition
    devices_n: int
    devices_head: bytes
    signature: bytes


def _invalid(where: str) -> EcholiaError:
    return EcholiaError("invalid_request", where)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise EcholiaError("malformed_json") from None
    if not isinstance(value, dict):
        raise EcholiaError("malformed_json", "expected an object")
    return value


def _number(fields: Mapping[str, Any], name: str, most: int = MAX_COUNTER, default: int | None = None) -> int:
    value = fields.get(name, default)
    if type(value) is not int or not 0 <= value <= most:
        raise _invalid(f"{name}: expected a whole number from 0 to {most}")
    return value


def _bytes(fields: Mapping[str, Any], name: str, length: int | None = None) -> bytes:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _invalid(f"{name}: expected base64url text")
    try:
        return unb64(value, length)
    except EcholiaError as error:
        raise _invalid(f"{name}: {error.detail}") from None


def _map(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise _invalid(f"{name}: expected an object")
    return value


def _known(fields: Mapping[str, Any], names: set[str]) -> None:
    if not fields.keys() <= names:
        raise _invalid("a field is not known here")


def read_pull(body: bytes) -> PullRequest:
    """The pull request of a JSON body; raises `malformed_json` or `invalid_request`."""
    fields = _object(body) if body else {}
    if fields.get("base") is not None:
        return _read_base_pull(fields)
    _known(fields, {"cursor", "vector", "stream", "max_bytes", "elide_own"})
    epoch, after, vector = None, 0, None
    if fields.get("cursor") is not None:
        cursor = _map(fields, "cursor")
        epoch, after = _number(cursor, "epoch"), _number(cursor, "seq")
    if fields.get("vector") is not None:
        if epoch is not None:
            raise _invalid("cursor and vector exclude each other")
        entries = _map(fields, "vector")
        vector = {_device(name): _number(entries, name) for name in entries}
    stream = None if fields.get("stream") is None else _bytes(fields, "stream", ID_BYTES)
    elide = fields.get("elide_own", False)
    if not isinstance(elide, bool):
        raise _invalid("elide_own: expected true or false")
    return PullRequest(epoch, after, vector, stream, _page_bytes(fields), elide)


def _read_base_pull(fields: dict[str, Any]) -> PullRequest:
    _known(fields, {"base", "before", "max_bytes"})
    before = None if fields.get("before") is None else _number(fields, "before")
    return PullRequest(None, 0, None, None, _page_bytes(fields), False, _number(fields, "base"), before)


def _page_bytes(fields: Mapping[str, Any]) -> int:
    return max(1, _number(fields, "max_bytes", MAX_PAGE_BYTES, DEFAULT_PAGE_BYTES))


def _device(name: str) -> bytes:
    try:
        return unb64(name, ID_BYTES)
    except EcholiaError:
        raise _invalid("vector: expected device ids") from None


def read_reserve(query: bytes) -> bool:
    """Whether a push asks for the quota's reserve; raises `invalid_request`."""
    # As text: of bytes, what is no ASCII once it is unquoted would be a fault.
    match parse_qs(query.decode("latin-1"), keep_blank_values=True).get("reserve"):
        case None:
            return False
        case ["1"]:
            return True
    raise _invalid("reserve: expected 1")


def read_ack(body: bytes) -> Ack:
    """The acknowledgement of a JSON body; raises `malformed_json` or `invalid_request`."""
    fields = _object(body)
    _known(fields, {"epoch", "seq", "log", "devices", "signature"})
    devices = _map(fields, "devices")
    verified = LogPosition(_number(fields, "epoch"), _number(fields, "seq"), _bytes(fields, "log", 32))
    return Ack(
        verified,
        _number(devices, "n", 2**32 - 1),
        _bytes(devices, "head", 32),
        _bytes(fields, "signature", 64),
    )


def read_checkpoint(body: bytes) -> tuple[bytes, bytes]:
    """The checkpoint of a JSON body and its signature; raises `malformed_json` or `invalid_request`."""
    fields = _object(body)
    _known(fields, {"checkpoint", "signature"})
    return _bytes(fields, "checkpoint"), _bytes(fields, "signature", 64)


def read_json_push(body: bytes) -> list[bytes]:
    """The frames of a push in JSON; raises `malformed_json` or `invalid_request`."""
    fields = _object(body)
    _known(fields, {"runs"})
    listed = fields.get("runs")
    if not isinstance(listed, list) or not 1 <= len(listed) <= push.MAX_RUNS:
        raise _invalid(f"runs: expected a list of 1 to {push.MAX_RUNS}")
    return [_frame(run) for run in listed]


def _frame(run: Any) -> bytes:
    if not isinstance(run, dict) or not isinstance(run.get("changes"), list):
        raise _invalid("runs: expected objects with changes")
    _known(run, {"version", "suite", "device", "first", "prev", "seen", "signature", "changes"})
    if _number(run, "version") != runs.VERSION or _number(run, "suite") != runs.SUITE:
        raise EcholiaError("unsupported_version", "run version and suite must be 1")
    seen = _map(run, "seen")
    header = RunHeader(
        suite=runs.SUITE,
        device=_bytes(run, "device", ID_BYTES),
        first=_number(run, "first"),
        count=len(run["changes"]),
        prev=_bytes(run, "prev", 32),
        seen=LogPosition(_number(seen, "epoch"), _number(seen, "seq"), _bytes(seen, "log", 32)),
        signature=_bytes(run, "signature", 64),
    )
    parts = [header.pack()]
    for change in run["changes"]:
        if not isinstance(change, dict):
            raise _invalid("changes: expected objects")
        parts += (_bytes(change, "header"), _bytes(change, "body"))
    return b"".join(parts)


def position_json(position: LogPosition) -> dict[str, Any]:
    """A log position without its epoch, as `head` carries it."""
    return {"seq": position.seq, "log": b64(position.log)}


def ack_json(device: bytes, ack: Ack) -> dict[str, Any]:
    """An acknowledgement as the status carries it."""
    return {
        "device": b64(device),
        "epoch": ack.verified.epoch,
        **position_json(ack.verified),
        "devices": {"n": ack.devices_n, "head": b64(ack.devices_head)},
        "signature": b64(ack.signature),
    }


def page_json(page: push.Page) -> dict[str, Any]:
    """A page as people and debuggers get it."""
    head = {"epoch": page.head.epoch, "head": position_json(page.head)}
    return {"more": page.more, **head, "runs": [_item_json(item) for item in page.items]}


def _item_json(item: push.Item) -> dict[str, Any]:
    content = bytes(item.content)
    header = runs.read_header(content)
    found: dict[str, Any] = {
        "seq": item.seq,
        "received_ms": item.received_ms,
        "form": ("whole", "elided", "partial")[item.form],
        "version": runs.VERSION,
        "suite": header.suite,
        "device": b64(header.device),
        "first": header.first,
        "count": header.count,
        "prev": b64(header.prev),
        "seen": {"epoch": header.seen.epoch, **position_json(header.seen)},
        "signature": b64(header.signature),
    }
    if item.form == push.ELIDED:
        return found | {"chain": b64(content[RUN_HEADER_BYTES:])}
    if item.form == push.WHOLE:
        changes = runs.read_changes(content, header, runs.change_ends(content, header))
        return found | {"changes": [{"header": b64(c.header), "body": b64(c.body)} for c in changes]}
    return found | {"changes": [_part_json(part) for part in push.read_parts(content, header)]}


def _part_json(part: bytes | runs.Change) -> dict[str, str]:
    if isinstance(part, bytes):
        return {"leaf": b64(part)}
    return {"header": b64(part.header), "body": b64(part.body)}
