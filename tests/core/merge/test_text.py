"""Text: concurrent edits, updates that wait for others, and bytes that are no text."""

from __future__ import annotations

from itertools import permutations

import pytest
from loro import ExportMode, LoroDoc

from echolia.core.errors import EcholiaError
from echolia.core.merge import ReplaceText, SpliceText, canonical_view, decode, encode, join, view
from echolia.core.merge.text import Text, read_text, seed_peer
from tests.core.merge.objects import A, B, Device, joined


def _text(state_of: Device) -> object:
    return view(state_of.state)["fields"]["body"]


def test_edits_in_two_places_both_stay() -> None:
    a, b = Device(A), Device(B)
    b.see(a.write(body=ReplaceText("Monday rain. Tuesday sun.")))
    edit = a.write(body=ReplaceText("Monday heavy rain. Tuesday sun."))
    b.write(body=ReplaceText("Monday rain. Tuesday sunshine."))
    b.see(edit)
    assert _text(b) == "Monday heavy rain. Tuesday sunshine."


def test_positions_count_code_points() -> None:
    a = Device(A)
    a.write(body=ReplaceText("A📊B"))
    a.write(body=SpliceText(2, 1, "é!"))
    assert _text(a) == "A📊é!"


def test_updates_wait_for_what_they_build_on_in_every_order() -> None:
    a, b = Device(A), Device(B)
    first = a.write(body=ReplaceText("one"))
    b.see(first)
    second = b.write(body=SpliceText(3, 0, " two"))
    a.see(second)
    third = a.write(body=SpliceText(7, 0, " three"))
    assert view(join(third, second))["fields"]["body"] == ""
    for order in permutations((first, second, third)):
        late = decode(encode(joined(*order[:2])))
        assert canonical_view(join(late, order[2])) == canonical_view(a.state)
        assert view(join(late, order[2]))["fields"]["body"] == "one two three"


def test_two_devices_that_import_the_same_file_write_it_once() -> None:
    a, b = Device(A), Device(B)
    first, second = a.write(body=ReplaceText("A day.\n")), b.write(body=ReplaceText("A day.\n"))
    edits = a.write(body=SpliceText(5, 0, " long")), b.write(body=SpliceText(0, 1, "One"))
    assert view(joined(first, second, *edits))["fields"]["body"] == "One day long.\n"


def test_two_devices_that_begin_differently_lose_no_text() -> None:
    both = join(Device(A).write(body=ReplaceText("Sun. ")), Device(B).write(body=ReplaceText("Rain. ")))
    assert view(both)["fields"]["body"] in {"Sun. Rain. ", "Rain. Sun. "}


def test_the_seed_is_a_peer_that_loro_takes() -> None:
    assert seed_peer("A day.") == 0x3EE49CB20B6991
    assert seed_peer("a") != seed_peer("b")


def test_an_edit_that_changes_nothing_writes_nothing() -> None:
    a = Device(A)
    a.write(body=ReplaceText("same"))
    assert "body" not in a.write(body=ReplaceText("same")).fields
    assert "body" not in a.write(body=SpliceText(0, 0, "")).fields


def test_a_wholly_new_long_text_is_taken_over() -> None:
    a = Device(A)
    old, new = ("\n".join(f"{word} {n}" for n in range(900)) for word in ("old", "new"))
    a.write(body=ReplaceText(old))
    a.write(body=ReplaceText(new))
    assert _text(a) == new


def test_a_small_edit_of_a_long_text_is_a_small_change() -> None:
    a = Device(A)
    old = "".join(chr(97 + n * n % 26) for n in range(20_000))
    a.write(body=ReplaceText(old))
    assert len(encode(a.write(body=ReplaceText(old[:7000] + "!" + old[7000:])))) < 300


@pytest.mark.parametrize(
    "edit", [SpliceText(4, 0, "x"), SpliceText(0, 4, ""), SpliceText(-1, 0, "x"), SpliceText(0, -1, "x")]
)
def test_positions_outside_the_text_are_refused(edit: SpliceText) -> None:
    a = Device(A)
    a.write(body=ReplaceText("abc"))
    with pytest.raises(EcholiaError, match="value_invalid"):
        a.write(body=edit)


@pytest.mark.parametrize("edit", [SpliceText(0, 0, "\ud800"), ReplaceText("\ud800")])
def test_half_a_surrogate_pair_is_refused(edit: SpliceText | ReplaceText) -> None:
    with pytest.raises(EcholiaError, match="value_invalid"):
        Device(A).write(body=edit)


def _blob() -> bytes:
    text = Device(A).write(body=ReplaceText("some text")).fields["body"]
    assert isinstance(text, Text)
    return text.blobs[0]


def test_damaged_blobs_and_other_codecs_are_refused() -> None:
    blob = _blob()
    damaged = blob[:-1] + bytes([blob[-1] ^ 1])
    for tree in (["text", 1], ["text", 2, blob], ["text", True, blob], ["text", 1, "x"], ["text", 1, damaged],
                 ["text", 1, b""], ["text", 1, blob, b"x"]):  # fmt: skip
        with pytest.raises(EcholiaError, match="body_invalid"):
            read_text(list(tree))


def test_a_document_without_its_history_is_refused() -> None:
    doc: LoroDoc = LoroDoc()  # type: ignore[no-untyped-call]
    before = doc.oplog_vv
    doc.get_text("t").insert(0, "text")
    doc.commit()
    assert read_text(["text", 1, doc.export(ExportMode.Updates(before))]).content == "text"
    shallow = doc.export(ExportMode.ShallowSnapshot(doc.oplog_frontiers))
    with pytest.raises(EcholiaError, match="body_invalid"):
        read_text(["text", 1, shallow])
