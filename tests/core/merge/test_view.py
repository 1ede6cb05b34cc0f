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


def test_a_value_given_to_a_field_of_two_policies_settles_it_for_both_declarations() -> None:
    a, b = Device(A, OLD), Device(B, NEW)
    b.see(a.write(title=Set("old")))
    b.write(title=Set("new"))
    assert view(b.state, NEW)["conflicts"] == []
    a.see(b.state)
    assert view(a.state, OLD)["fields"]["title"] == "new"
    a.write(title=Set("newer"))
    b.see(a.state)
    assert view(b.state, NEW) == view(a.state, OLD)
    assert view(b.state, NEW)["fields"]["title"] == "newer"


def test_parts_of_a_field_whose_values_only_look_alike_are_in_conflict() -> None:
    both = join(Device(A, OLD).write(title=Set(1)), Device(B, NEW).write(title=Set(True)))
    assert view(both, NEW)["conflicts"] == ["title"]
    both = join(Device(A, OLD).write(title=Set(1)), Device(B, NEW).write(title=Set(1)))
    assert view(both, NEW)["conflicts"] == []


def test_sets_show_in_the_order_of_their_bytes() -> None:
    a = Device(A)
    a.write(labels=[Add("b"), Add("aa"), Add(1), Add("a"), Add(b"a")])
    assert view(a.state)["fields"]["labels"] == [1, b"a", "a", "b", "aa"]


def test_a_field_whose_values_all_went_shows_nothing() -> None:
    state = ObjectState("notes", {}, None, {"x": Dotted("multi", {A: 1}, {}), "y": Dotted("set", {A: 1}, {})})
    assert view(state)["fields"] == {"x": None, "y": []}


def test_dots_are_device_and_counter() -> None:
    assert Dot(A, 1) < Dot(A, 2) < Dot(B, 1)
