"""Declaring collections."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.core.collections import COLLECTIONS, ENTRIES, MEMORIES, TAGS, Collection, Policy, declare
from echolia.core.errors import EcholiaError

LWW: Policy = "lww"


def test_a_declared_collection_knows_its_policies() -> None:
    books = declare("books_2", name="multi", pages="counter")
    assert books.policy("name") == "multi"
    assert books.policy("pages") == "counter"


def test_an_unknown_field_is_named_by_its_code() -> None:
    with pytest.raises(EcholiaError, match="field_unknown"):
        ENTRIES.policy("tittle")


@pytest.mark.parametrize("name", ["", "Books", "2books", "a" * 33, "with space", "a-b", "a\n"])
def test_names_outside_the_rule_are_refused(name: str) -> None:
    with pytest.raises(EcholiaError, match="collection_invalid"):
        declare(name)
    with pytest.raises(EcholiaError, match="collection_invalid"):
        declare("books", **dict.fromkeys([name], LWW))


def test_the_longest_name_is_taken() -> None:
    assert declare("a" * 32).name == "a" * 32


def test_an_unknown_policy_is_refused() -> None:
    wrong: Any = "max"
    with pytest.raises(EcholiaError, match="collection_invalid"):
        declare("books", name=wrong)


def test_a_declaration_stays_as_it_was_made() -> None:
    fields: Any = ENTRIES.fields
    with pytest.raises(TypeError):
        fields["title"] = "lww"


def test_the_first_collections_are_found_by_name() -> None:
    assert {name: collection.name for name, collection in COLLECTIONS.items()} == {
        "entries": "entries",
        "memories": "memories",
        "tags": "tags",
        "conversations": "conversations",
        "messages": "messages",
        "vectors": "vectors",
    }


FITTING: list[tuple[Collection, str, list[object]]] = [
    (TAGS, "confidence", [0, 1, 0.25, None]),
    (TAGS, "color", ["#0af", "", None]),
    (TAGS, "source_type", ["person", None]),
    (TAGS, "name", ["any", 1, None]),
    (MEMORIES, "importance", [-1, 10, 0.5, 2**63, None]),
    (MEMORIES, "kind", ["fact", None]),
    (MEMORIES, "sources", ["0123456789abcdef" * 2]),
]
UNFIT: list[tuple[Collection, str, list[object]]] = [
    (TAGS, "confidence", [1.01, -0.01, 2, True, "0.5", float("nan"), [0.5]]),
    (TAGS, "color", [7, b"red"]),
    (TAGS, "source_type", [1]),
    (MEMORIES, "importance", [True, "high", float("inf")]),
    (MEMORIES, "kind", [["fact"]]),
    (MEMORIES, "sources", ["", "0123", "0123456789ABCDEF" * 2, "0" * 33, bytes(16), None, 7]),
]


@pytest.mark.parametrize(("collection", "field", "values"), FITTING)
def test_values_that_fit_a_field_s_form_are_taken(
    collection: Collection, field: str, values: list[object]
) -> None:
    for value in values:
        collection.check(field, value)


@pytest.mark.parametrize(("collection", "field", "values"), UNFIT)
def test_values_of_another_form_are_refused(collection: Collection, field: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(EcholiaError, match=f"value_invalid: {field} takes"):
            collection.check(field, value)
