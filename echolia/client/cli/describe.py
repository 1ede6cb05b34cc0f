"""How a record is described: its flags, its JSON, its text; and how one is found by a short id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from echolia.client.cli.output import json_line, local_time, plain, plain_line
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client import Choice, Device, Receipt, Record, Source

# The field that holds what a person writes, in the collections that come with Echolia.
TEXT_FIELD: Final = {"entries": "body", "memories": "content", "tags": "name"}


async def find(device: Device, prefix: str) -> Record:
    """The record whose id starts so; raises `object_unknown` or `object_ambiguous`."""
    full = await device.resolve(prefix.lower())
    for name in device.collections:
        try:
            return await device.collection(name).get(full)
        except EcholiaError as error:
            if error.code != "object_unknown":
                raise
    raise EcholiaError("object_unknown")


def flags(record: Record) -> list[str]:
    """What is special about a record, in single words."""
    named = {
        "trash": not record.alive,
        "pending": record.pending,
        "conflict": bool(record.conflicts),
        "recovered": record.recovered,
        "quarantined": record.quarantined,
    }
    return [name for name, holds in named.items() if holds]


def created_ms(record: Record) -> int | None:
    """When it was made, as far as it says."""
    created = record.fields.get("created")
    return created if isinstance(created, int) else None


def summary(record: Record) -> dict[str, Any]:
    """A record for a list, in JSON: without its text."""
    return {
        "id": record.id,
        "collection": record.collection,
        "title": record.title,
        "created_ms": created_ms(record),
        "updated_ms": record.updated_ms,
        "tags": record.fields.get("tags", []),
        "flags": flags(record),
    }


def whole(record: Record, sources: Sequence[Source] = (), memories: Sequence[Record] = ()) -> dict[str, Any]:
    """A record in JSON with all it holds, where a memory's sources are, and which memories come from it."""
    return {
        **summary(record),
        "fields": dict(record.fields),
        "conflicts": conflicts_json(record.conflicts),
        "sources": [
            {"id": one.id, "standing": one.standing, "title": one.record.title if one.record else None}
            for one in sources
        ],
        "memories": [memory.id for memory in memories],
    }


def conflicts_json(conflicts: Mapping[str, Sequence[Choice]]) -> dict[str, Any]:
    """The values that compete, with who wrote them and when the server received them."""
    return {
        name: [{"value": choice.value, "device": choice.device, "at_ms": choice.at_ms} for choice in choices]
        for name, choices in conflicts.items()
    }


def writer(own: str, device: str) -> str:
    """Who wrote something: this device, another, or nobody alone."""
    return "this device" if device == own else f"device {device[:8]}" if device else ""


def value_line(value: object) -> str:
    """A value on one line: a text as it is, anything else as JSON has it."""
    return plain_line(value) if isinstance(value, str) else json_line({"": value})[5:-1]


def text_of(record: Record) -> str:
    """What a person wrote, as it stands."""
    value = record.fields.get(TEXT_FIELD.get(record.collection, "body"))
    return value if isinstance(value, str) else ""


def raw_text(record: Record) -> bytes:
    """An imported file as it was: front matter and body, byte for byte."""
    front = record.fields.get("front")
    return ((front if isinstance(front, str) else "") + text_of(record)).encode()


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """A receipt in JSON."""
    return {"on": list(receipt.on), "lacking": list(receipt.lacking), "pending": receipt.pending}


def on_devices(receipt: Receipt) -> str:
    """A receipt for people."""
    if receipt.devices == 1:
        return "on this device, the only one" + (", and not sent yet" if receipt.pending else "")
    if receipt.pending:
        return f"on this device only, of {receipt.devices}"
    if not receipt.lacking:
        return f"on all {receipt.devices} devices"
    lacking = ", ".join(device[:8] for device in receipt.lacking)
    return f"on {len(receipt.on)} of {receipt.devices} devices; not yet on {lacking}"


def page(
    record: Record, receipt: Receipt, sources: Sequence[Source] = (), memories: Sequence[Record] = ()
) -> str:
    """A record for people: title, what there is to say of it, who holds it, text."""
    lines = [plain_line(record.title) or "(no title)", *_undecided(record)]
    told = [
        record.id,
        local_time(created_ms(record)),
        *_tags(record),
        *_details(record),
        *(f"[{flag}]" for flag in flags(record)),
    ]
    lines += ["  ".join(part for part in told if part), on_devices(receipt)]
    lines += [f"from  {one.id[:8]}  {_standing(one)}" for one in sources]
    lines += [f"memory  {memory.id[:8]}  {plain_line(memory.title)}" for memory in memories]
    text = plain(text_of(record))
    return "\n".join([*lines, "", text.removesuffix("\n")]) if text else "\n".join(lines)


def _undecided(record: Record) -> Iterator[str]:
    """What waits for a decision, and how to decide."""
    short = record.id[:8]
    if record.recovered:
        yield f"! deleted while it was edited; `echolia resolve {short} --restore` or `--discard` decides"
    for name, choices in record.conflicts.items():
        yield f"! {name} differs; `echolia resolve {short} --field {name} --take …` decides:"
        for number, choice in enumerate(choices, 1):
            when = f", {local_time(choice.at_ms)}" if choice.at_ms else ""
            yield f"    {number}  {value_line(choice.value)}   (device {choice.device[:8]}{when})"


def _tags(record: Record) -> list[str]:
    tags = record.fields.get("tags")
    return [f"#{plain_line(str(tag))}" for tag in tags] if isinstance(tags, list) else []


# What memories and tags say besides their text.
_DETAILS: Final = {
    "memories": ("kind", "importance", "access"),
    "tags": ("color", "confidence", "source_type"),
}


def _details(record: Record) -> list[str]:
    said = [(name, record.fields.get(name)) for name in _DETAILS.get(record.collection, ())]
    return [f"{name.replace('_', ' ')} {value_line(value)}" for name, value in said if value is not None]


def _standing(source: Source) -> str:
    """Where a source is, and its title if it is here."""
    marks = {"here": "", "trash": "[trash]", "gone": "[gone]", "not_here": "[not here]"}
    title = plain_line(source.record.title) if source.record else ""
    return f"{title}  {marks[source.standing]}".strip()
