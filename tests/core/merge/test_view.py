"""What an object shows."""

from __future__ import annotations

from echolia.core.collections import declare
from echolia.core.dots import Dot
from echolia.core.merge import Add, ObjectState, Set, join, view
from echolia.core.merge.registers import Dotted
from tests.core.merge.objects import A, B, Device

OLD = declare("notes", title="lww")
NEW = declare("notes", title="multi")


def test_a_field_of_two_policies_shows_the_declared_one() -> None:
    both = join(Device(A, OLD).write(title=Set("old")), Device(B, NEW).write(title=Set("new")))
    assert view(both, NEW)["fields"]["title"] == "new"
    assert view(both, OLD)["fields"]["title"] == view(both)["fields"]["title"] == "old"
    assert view(both, NEW)["conflicts"] == ["title"]


def test_a_write_after_a_changed_declaration_continues_its_own_part() -> None:
    a = Device(A, OLD)
    a.write(title=Set("old"))
    a.collection = NEW
    a.write(title=Set("new"))
    a.write(title=Set("newer"))
    assert view(a.state, NEW)["fields"]["title"] == "newer"


def test_sets_show_in_the_order_of_their_bytes() -> None:
    a = Device(A)
    a.write(labels=[Add("b"), Add("aa"), Add(1), Add("a"), Add(b"a")])
    assert view(a.state)["fields"]["labels"] == [1, b"a", "a", "b", "aa"]


def test_a_field_whose_values_all_went_shows_nothing() -> None:
    state = ObjectState("notes", {}, None, {"x": Dotted("multi", {A: 1}, {}), "y": Dotted("set", {A: 1}, {})})
    assert view(state)["fields"] == {"x": None, "y": []}


def test_dots_are_device_and_counter() -> None:
    assert Dot(A, 1) < Dot(A, 2) < Dot(B, 1)
