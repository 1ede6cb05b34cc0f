"""How a record is described: its flags, its JSON, its text; and how one is found by a short id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from echolia.client.cli.output import local_time, plain, plain_line
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client import Device, Receipt, Record

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


def whole(record: Record) -> dict[str, Any]:
    """A record in JSON with all it holds; the values of a conflict with who wrote them."""
    conflicts = {
        name: [{"value": choice.value, "device": choice.device} for choice in choices]
        for name, choices in record.conflicts.items()
    }
    return {**summary(record), "fields": dict(record.fields), "conflicts": conflicts}


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


def page(record: Record, receipt: Receipt) -> str:
    """A record for people: title, what there is to say of it, who holds it, text."""
    lines = [plain_line(record.title) or "(no title)"]
    for name, choices in record.conflicts.items():
        lines.append(f"! {name} differs; `echolia edit {record.id[:8]}` decides:")
        lines += [f"    {plain_line(str(choice.value))}   (device {choice.device[:8]})" for choice in choices]
    told = [
        record.id,
        local_time(created_ms(record)),
        *_tags(record),
        *(f"[{flag}]" for flag in flags(record)),
    ]
    lines += ["  ".join(part for part in told if part), on_devices(receipt)]
    text = plain(text_of(record))
    return "\n".join([*lines, "", text.removesuffix("\n")]) if text else "\n".join(lines)


def _tags(record: Record) -> list[str]:
    tags = record.fields.get("tags")
    return [f"#{plain_line(str(tag))}" for tag in tags] if isinstance(tags, list) else []
