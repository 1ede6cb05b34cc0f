"""Edits: those that fit a field's policy, those that do not, and deltas that hold only what they must."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from echolia.core.collections import ENTRIES, MEMORIES, TAGS
from echolia.core.errors import EcholiaError
from echolia.core.merge import (
    Add,
    FieldEdit,
    FieldEdits,
    Increment,
    Remove,
    ReplaceText,
    Set,
    SpliceText,
    decode,
    encode,
    view,
)
from tests.core.merge.objects import A, Device

FITTING: dict[str, tuple[type, ...]] = {
    "title": (Set,),
    "color": (Set,),
    "labels": (Add, Remove),
    "reads": (Increment,),
    "body": (ReplaceText, SpliceText),
}
EDITS: tuple[FieldEdit, ...] = (
    Set("x"), Add("x"), Remove("x"), Increment(1), ReplaceText("x"), SpliceText(0, 0, "x"),
)  # fmt: skip


@pytest.mark.parametrize("field", FITTING)
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: type(edit).__name__)
def test_an_edit_fits_its_policy_or_is_refused(field: str, edit: FieldEdit) -> None:
    if isinstance(edit, FITTING[field]):
        assert field in Device(A).write(**{field: edit}).fields
        return
    with pytest.raises(EcholiaError, match="field_policy"):
        Device(A).write(**{field: edit})


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(EcholiaError, match="field_unknown"):
        Device(A).write(colour=Set("red"))


DEEP: Any = "x"
for _ in range(17):
    DEEP = [DEEP]
BAD = (
    datetime(2026, 1, 1, tzinfo=UTC),
    {1, 2},
    2**63,
    -(2**63) - 1,
    {1: "x"},
    {b"k": 1},
    "\ud800",
    DEEP,
    object(),
)


@pytest.mark.parametrize("value", BAD, ids=range(len(BAD)))
@pytest.mark.parametrize(
    ("field", "edit"), [("color", Set), ("title", Set), ("labels", Add), ("labels", Remove)]
)
def test_values_that_cannot_be_kept_are_refused(field: str, edit: Any, value: Any) -> None:
    with pytest.raises(EcholiaError, match="value_invalid"):
        Device(A).write(**{field: edit(value)})


@pytest.mark.parametrize("amount", [2**53, -(2**53), True, 1.5])
def test_amounts_that_cannot_be_counted_are_refused(amount: Any) -> None:
    with pytest.raises(EcholiaError, match="value_invalid"):
        Device(A).write(reads=Increment(amount))


def test_what_is_given_to_a_field_has_its_form_and_what_is_taken_away_need_not() -> None:
    tag, memory = Device(A, TAGS), Device(A, MEMORIES)
    wrong: list[tuple[Device, str, FieldEdits]] = [
        (tag, "confidence", Set(1.5)),
        (tag, "confidence", [Set(0.5), Set(2)]),
        (memory, "sources", Add("entry")),
    ]
    for refused, field, edit in wrong:
        with pytest.raises(EcholiaError, match=f"value_invalid: {field} takes"):
            refused.write(**{field: edit})
    tag.write(confidence=Set(0.5))
    memory.write(sources=Remove("entry"))
    assert view(tag.state)["fields"] == {"confidence": 0.5}


def test_a_delta_holds_the_edited_fields_and_its_own_dot() -> None:
    a = Device(A)
    a.write(title=Set("t"), color=Set("red"))
    delta = a.write(color=Set("blue"))
    assert list(delta.fields) == ["color"]
    assert delta.dots == {A: 2}


def test_a_field_without_edits_is_left_out() -> None:
    a = Device(A)
    a.write(title=Set("t"))
    assert not a.write(title=[], labels=()).fields
    assert view(a.state)["fields"] == {"title": "t"}


def test_writing_changes_nothing_it_is_given() -> None:
    a = Device(A)
    a.write(title=Set("t"), labels=Add("x"), reads=Increment(), body=ReplaceText("b"))
    before, kept = encode(a.state), a.state
    a.write(title=Set("u"), labels=Remove("x"), reads=Increment(), body=ReplaceText("c"))
    assert encode(kept) == before


def test_an_entry_is_written_and_read_as_its_author_left_it() -> None:
    a = Device(A, ENTRIES)
    source = {"kind": "markdown", "path": "2026/a day.md"}
    created = a.write(
        title=Set("A day"),
        body=ReplaceText("It rained.\n"),
        tags=[Add("rain"), Add("day")],
        created=Set(1_700_000_000_000),
        starred=Set(False),
        source=Set(source),
    )
    read = decode(encode(created))
    assert view(read, ENTRIES) == {
        "collection": "entries",
        "alive": True,
        "recovered": False,
        "conflicts": [],
        "fields": {
            "body": "It rained.\n",
            "created": 1_700_000_000_000,
            "source": source,
            "starred": False,
            "tags": ["day", "rain"],
            "title": "A day",
        },
    }
