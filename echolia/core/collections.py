"""Collections: which fields an object has and by which policy each of them merges.

lww      one value; the last writer wins, by a total key that respects causality
multi    one value; concurrent values stay side by side until a person resolves them
set      values; an addition beats a concurrent removal
counter  an integer that devices add to
text     a text that several devices edit at once
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from echolia.core.errors import EcholiaError

Policy: TypeAlias = Literal["lww", "multi", "set", "counter", "text"]
POLICIES: Final[frozenset[str]] = frozenset(get_args(Policy))
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class Collection:
    """A kind of object; make one with `declare`."""

    name: str
    fields: Mapping[str, Policy]

    def policy(self, field: str) -> Policy:
        """The field's policy; raises `field_unknown`."""
        try:
            return self.fields[field]
        except KeyError:
            raise EcholiaError("field_unknown", self.name) from None


def declare(name: str, /, **policies: Policy) -> Collection:
    """Declare a collection; names are `^[a-z][a-z0-9_]{0,31}$`. Raises `collection_invalid`.

    A declaration never reaches the server. Fields may be added later; a field's policy should never change
    (values of both policies are then kept side by side: spec/merge.md#fields).
    """
    if NAME.fullmatch(name) is None:
        raise EcholiaError("collection_invalid", "collection name")
    for field, policy in policies.items():
        if NAME.fullmatch(field) is None:
            raise EcholiaError("collection_invalid", f"field name in {name}")
        if policy not in POLICIES:
            raise EcholiaError("collection_invalid", f"policy of {name}.{field}")
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
MEMORIES: Final = declare(
    "memories",
    content="multi",
    kind="lww",
    importance="lww",
    sources="set",  # object ids of entries
    access="counter",
    created="lww",
)
TAGS: Final = declare("tags", name="multi", color="lww", confidence="lww", source_type="lww", created="lww")
COLLECTIONS: Final[Mapping[str, Collection]] = MappingProxyType(
    {collection.name: collection for collection in (ENTRIES, MEMORIES, TAGS)}
)
