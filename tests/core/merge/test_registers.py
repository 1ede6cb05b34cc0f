"""Each policy's rule for two people, or two devices, who write at once."""

from __future__ import annotations

from echolia.core.clock import Key
from echolia.core.merge import Add, Increment, Remove, Set, join, view
from echolia.core.merge.registers import Register
from tests.core.merge.objects import A, B, Device, joined, values_of


def test_of_two_concurrent_writes_the_later_stamp_wins() -> None:
    a, b = Device(A), Device(B)
    early, late = a.write(1000, color=Set("red")), b.write(2000, color=Set("blue"))
    assert view(join(early, late))["fields"]["color"] == "blue"
    assert view(join(late, early))["fields"]["color"] == "blue"


def test_of_two_equal_stamps_the_greater_device_wins() -> None:
    a, b = Device(A), Device(B)
    one, other = a.write(1000, color=Set("red")), b.write(1000, color=Set("blue"))
    assert view(join(other, one))["fields"]["color"] == "blue"


def test_a_write_beats_what_it_replaces_even_with_a_clock_behind() -> None:
    a, b = Device(A), Device(B)
    b.see(a.write(9000, color=Set("red")))
    b.write(10, color=Set("blue"))
    assert view(b.state)["fields"]["color"] == "blue"


def test_one_key_with_two_values_goes_by_bytes_not_by_order() -> None:
    key = Key(1, 0, A, 1)
    one, other = Register(key, True), Register(key, 1)
    assert one.join(other).value is other.join(one).value is True


def test_concurrent_titles_stay_side_by_side() -> None:
    a, b = Device(A), Device(B)
    b.see(a.write(title=Set("draft")))
    both = join(a.write(title=Set("mine")), b.write(title=Set("yours")))
    assert view(both)["fields"]["title"] == ["mine", "yours"]
    assert view(both)["conflicts"] == ["title"]


def test_a_resolution_replaces_exactly_what_its_writer_saw() -> None:
    a, b, c = Device(A), Device(B), Device(bytes([67]) * 16)
    a.write(title=Set("mine"))
    a.see(b.write(title=Set("yours")))
    unseen = c.write(title=Set("third"))
    resolution = a.write(title=Set("ours"))
    assert view(a.state)["conflicts"] == []
    assert view(joined(unseen, resolution, b.state))["fields"]["title"] == ["ours", "third"]


def test_the_same_title_from_two_devices_is_no_conflict() -> None:
    a, b = Device(A), Device(B)
    both = join(a.write(title=Set("same")), b.write(title=Set("same")))
    assert view(both)["fields"]["title"] == "same"
    assert view(both)["conflicts"] == []


def test_values_of_different_types_are_different_values() -> None:
    a, b = Device(A), Device(B)
    both = join(a.write(title=Set(1)), b.write(title=Set(True)))
    assert view(both)["conflicts"] == ["title"]


def test_an_addition_beats_a_concurrent_removal() -> None:
    a, b = Device(A), Device(B)
    b.see(a.write(labels=Add("x")))
    both = join(a.write(labels=Remove("x")), b.write(labels=Add("x")))
    assert view(both)["fields"]["labels"] == ["x"]


def test_a_removal_takes_what_it_saw() -> None:
    a, b = Device(A), Device(B)
    first = a.write(labels=[Add("x"), Add("y"), Add("z")])
    b.see(first)
    removal = b.write(labels=[Remove("x"), Remove("unknown")])
    assert view(join(removal, first))["fields"]["labels"] == ["y", "z"]


def test_adding_again_leaves_one_write_of_the_value() -> None:
    a, b = Device(A), Device(B)
    b.see(a.write(labels=Add("x")))
    b.write(labels=Add("x"))
    assert [write[:2] for write in values_of(b.state, "labels")] == [(B, 1)]


def test_edits_of_one_field_apply_in_order() -> None:
    a = Device(A)
    a.write(labels=[Add("x"), Remove("x"), Add("y")])
    assert view(a.state)["fields"]["labels"] == ["y"]


def test_counts_of_devices_add_up_and_repeat_harmlessly() -> None:
    a, b = Device(A), Device(B)
    one, other = a.write(reads=Increment(5)), b.write(reads=Increment(-2))
    more = a.write(reads=[Increment(), Increment()])
    assert view(joined(more, other, one, more, other))["fields"]["reads"] == 5
