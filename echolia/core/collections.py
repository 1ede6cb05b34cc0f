"""Collections: which fields an object has and by which policy each of them merges.

lww      one value; the last writer wins, by a total key that respects causality
multi    one value; concurrent values stay side by side until a person resolves them
set      values; an addition beats a concurrent removal
counter  an integer that devices add to
text     a text that several devices edit at once
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from echolia.core.errors import EcholiaError

Policy: TypeAlias = Literal["lww", "multi", "set", "counter", "text"]
POLICIES: Final[frozenset[str]] = frozenset(get_args(Policy))
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")

# What the values of a field have to be, where that is more than any value.
Form: TypeAlias = Literal["number", "object_id", "share", "text"]
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Collection:
    """A kind of object; make one with `declare`."""

    name: str
    fields: Mapping[str, Policy]
    forms: Mapping[str, Form] = field(default_factory=lambda: MappingProxyType({}))
    # Programs make its objects of others, and can make them again: what becomes of them is nobody's loss.
    derived: bool = False

    def policy(self, name: str) -> Policy:
        """The policy of a field; raises `field_unknown`."""
        try:
            return self.fields[name]
        except KeyError:
            raise EcholiaError("field_unknown", self.name) from None

    def check(self, name: str, value: object) -> None:
        """Return if a field may be given the value, or a set be given it as a member.

        Raises `value_invalid`. Null empties a field that holds one value, whatever its form.
        """
        form = self.forms.get(name)
        emptied = value is None and self.fields[name] != "set"
        if form is not None and not emptied and not _FITS[form](value):
            raise EcholiaError("value_invalid", f"{name} takes {_SAID[form]}")


def is_object_id(value: object) -> bool:
    """Whether a value names an object: 32 lower-case hexadecimal digits."""
    return isinstance(value, str) and _OBJECT_ID.fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and isfinite(value))  # True is no number


def _is_share(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1  # type: ignore[operator]  # it is a number


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_FITS: Final[Mapping[Form, Callable[[object], bool]]] = MappingProxyType(
    {"number": _is_number, "object_id": is_object_id, "share": _is_share, "text": _is_text}
)
_SAID: Final[Mapping[Form, str]] = MappingProxyType(
    {
        "number": "a number",
        "object_id": "ids of objects: 32 hexadecimal digits",
        "share": "a number from 0 to 1",
        "text": "a text",
    }
)


def declare(name: str, /, **policies: Policy) -> Collection:
    """Declare a collection; names are `^[a-z][a-z0-9_]{0,31}$`. Raises `collection_invalid`.

    A declaration never reaches the server. Fields may be added later; a field's policy should never change
    (values of both policies are then kept side by side: spec/merge.md#fields).
    """
    if NAME.fullmatch(name) is None:
        raise EcholiaError("collection_invalid", "collection name")
    for named, policy in policies.items():
        if NAME.fullmatch(named) is None:
            raise EcholiaError("collection_invalid", f"field name in {name}")
        if policy not in POLICIES:
            raise EcholiaError("collection_invalid", f"policy of {name}.{named}")
    return Collection(name, MappingProxyType(dict(policies)))


ENTRIES: Final = declare(
    "entries",
    title="multi",
    body="text",
    tags="set",
    created="lww",
    starred="lww",
    front="lww",  # front matter exactly as imported
    source="lww",  # a map: kind, path or uuid
    meta="lww",  # a map
)
MEMORIES: Final = replace(
    declare(
        "memories",
        content="multi",
        kind="lww",
        importance="lww",
        sources="set",  # ids of the entries it comes from
        access="counter",
        created="lww",
    ),
    forms=MappingProxyType({"kind": "text", "importance": "number", "sources": "object_id"}),
)
TAGS: Final = replace(
    declare("tags", name="multi", color="lww", confidence="lww", source_type="lww", created="lww"),
    forms=MappingProxyType({"color": "text", "confidence": "share", "source_type": "text"}),
)
CONVERSATIONS: Final = declare("conversations", title="lww", created="lww")
MESSAGES: Final = replace(
    declare("messages", conversation="lww", role="lww", text="lww", model="lww", created="lww"),
    forms=MappingProxyType(
        {"conversation": "object_id", "role": "text", "text": "text", "model": "text", "created": "number"}
    ),
)
# Of an object (`of`, 16 bytes), by a model (its identity, 32 bytes): spec/embeddings.md#vectors-at-rest.
VECTORS: Final = replace(declare("vectors", of="lww", model="lww", made="lww"), derived=True)
COLLECTIONS: Final[Mapping[str, Collection]] = MappingProxyType(
    {
        collection.name: collection
        for collection in (ENTRIES, MEMORIES, TAGS, CONVERSATIONS, MESSAGES, VECTORS)
    }
)
