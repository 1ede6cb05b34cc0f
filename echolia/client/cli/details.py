"""The options that say more than a text: of entries, memories and tags, each for its own collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from echolia.core.collections import is_object_id

if TYPE_CHECKING:
    from echolia.client import Device

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


class _Detail(NamedTuple):
    """An option of one collection, and the field that it is about."""

    collection: str
    field: str
    option: Decorator
    takes_off: bool = False


_DETAILS: Final[Mapping[str, _Detail]] = {
    "title": _Detail("entries", "title", click.option("--title", help="An entry's title.")),
    "tags": _Detail(
        "entries", "tags", click.option("--tag", "tags", multiple=True, help="A tag of an entry; repeatable.")
    ),
    "untags": _Detail(
        "entries", "tags", click.option("--untag", "untags", multiple=True, help="Take a tag off."), True
    ),
    "star": _Detail(
        "entries", "starred", click.option("--star/--unstar", default=None, help="Mark an entry, or not.")
    ),
    "kind": _Detail("memories", "kind", click.option("--kind", help="What kind of memory it is.")),
    "importance": _Detail(
        "memories", "importance", click.option("--importance", type=float, help="How much a memory matters.")
    ),
    "sources": _Detail(
        "memories",
        "sources",
        click.option(
            "--source", "sources", multiple=True, metavar="ID", help="An entry it comes from; repeatable."
        ),
    ),
    "unsources": _Detail(
        "memories",
        "sources",
        click.option("--unsource", "unsources", multiple=True, metavar="ID", help="Take a source off."),
        True,
    ),
    "color": _Detail("tags", "color", click.option("--color", help="A tag's color.")),
    "confidence": _Detail(
        "tags",
        "confidence",
        click.option("--confidence", type=float, help="How sure a tag's source is, from 0 to 1."),
    ),
    "source_type": _Detail(
        "tags", "source_type", click.option("--source-type", help="Who or what gave a tag.")
    ),
}
_FOR_NEW: Final = ("title", "tags", "kind", "importance", "sources", "color", "confidence", "source_type")


def details(*, of_new: bool) -> Decorator:
    """The options of `add`, or else those of `edit`, which can take off as well."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(_FOR_NEW if of_new else tuple(_DETAILS)):
            command = _DETAILS[name].option(command)
        return command

    return add


async def given(device: Device, collection: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """The edits that the options ask for. A usage error names an option of another collection."""
    from echolia.client import Add, Remove  # noqa: PLC0415 - see session

    fields: dict[str, Any] = {}
    for name, value in words.items():
        if value is None or value == ():
            continue
        of, field, _, takes_off = _DETAILS[name]
        if of != collection:
            raise click.UsageError(f"Only {of} have {_spelled(name)}; this is one of {collection}.")
        if isinstance(value, tuple):
            members = [await _member(device, field, member) for member in dict.fromkeys(value)]
            before = fields.get(field, [])
            removed, added = ([*map(Remove, members)], []) if takes_off else ([], [*map(Add, members)])
            fields[field] = [*removed, *before, *added]  # what is both taken off and added is there
        else:
            fields[field] = None if value == "" and field != "title" else value
    return fields


async def _member(device: Device, field: str, member: str) -> str:
    """A member of a set; of sources the whole id, which need not be here if it is given whole."""
    if field != "sources":
        return member
    id_ = member.lower()
    return id_ if is_object_id(id_) else await device.resolve(id_, "entries")


def _spelled(name: str) -> str:
    return f"--{name.removesuffix('s').replace('_', '-')}"
