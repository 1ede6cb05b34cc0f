"""Creating, deleting, restoring; and an edit that a deletion did not know of."""

from __future__ import annotations

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, ReplaceText, Set, canonical_view, delete, join, restore, view
from tests.core.merge.objects import A, B, Device, joined


def _two_devices() -> tuple[Device, Device]:
    a, b = Device(A), Device(B)
    b.see(a.write(title=Set("plan"), body=ReplaceText("text")))
    return a, b


def _status(state: ObjectState) -> tuple[bool, bool]:
    return state.alive, state.recovered


def test_a_created_object_lives() -> None:
    a, _ = _two_devices()
    assert _status(a.state) == (True, False)


def test_a_deleted_object_lies_in_the_trash_with_all_it_held() -> None:
    a, _ = _two_devices()
    gone = delete(a.state, a.next_dot())
    assert _status(gone) == (False, False)
    assert view(gone)["fields"] == view(a.state)["fields"]


def test_a_deletion_alone_stands_for_every_change_before_it() -> None:
    a, _ = _two_devices()
    gone = delete(a.state, a.next_dot())
    assert canonical_view(join(a.state, gone)) == canonical_view(gone)


def test_an_edit_concurrent_with_the_deletion_is_recovered_in_either_order() -> None:
    a, b = _two_devices()
    gone, edit = delete(a.state, a.next_dot()), b.write(title=Set("better plan"))
    for both in (join(gone, edit), join(edit, gone)):
        assert _status(both) == (False, True)
        assert view(both)["fields"]["title"] == "better plan"


def test_an_edit_that_the_deleter_saw_is_not_recovered() -> None:
    a, b = _two_devices()
    a.see(b.write(title=Set("better plan")))
    assert _status(delete(a.state, a.next_dot())) == (False, False)


def test_two_concurrent_deletions_share_what_they_saw() -> None:
    a, b = _two_devices()
    edit = b.write(title=Set("better plan"))
    both = joined(delete(a.state, a.next_dot()), edit, delete(b.state, b.next_dot()))
    assert _status(both) == (False, False)


def test_deleting_what_was_recovered_confirms_the_deletion() -> None:
    a, b = _two_devices()
    both = join(delete(a.state, a.next_dot()), b.write(title=Set("x")))
    assert _status(delete(both, b.next_dot())) == (False, False)


def test_restoring_brings_the_object_back_for_every_device() -> None:
    a, b = _two_devices()
    gone = delete(a.state, a.next_dot())
    back = restore(gone, a.next_dot())
    assert _status(back) == _status(joined(b.state, back, gone)) == (True, False)
    assert canonical_view(join(gone, back)) == canonical_view(back)


def test_a_deletion_that_did_not_know_the_restoration_loses_to_it() -> None:
    a, b = _two_devices()
    first = delete(a.state, a.next_dot())
    late = delete(b.state, b.next_dot())
    assert _status(joined(first, restore(first, a.next_dot()), late)) == (True, False)


def test_restoring_what_lives_leaves_it_alive() -> None:
    a, _ = _two_devices()
    back = restore(a.state, a.next_dot())
    assert _status(back) == (True, False)
    assert back.life is not None and back.life.length == 1


def test_an_object_in_the_trash_takes_no_edits() -> None:
    a, _ = _two_devices()
    a.see(delete(a.state, a.next_dot()))
    with pytest.raises(EcholiaError, match="object_in_trash"):
        a.write(title=Set("x"))


def test_a_delta_claims_nothing_about_life() -> None:
    a, b = _two_devices()
    edit = b.write(title=Set("x"))
    assert edit.life is None
    assert edit.alive
    gone = delete(a.state, a.next_dot())
    back = restore(gone, a.next_dot())
    assert joined(gone, back, edit).alive
