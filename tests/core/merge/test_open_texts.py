"""Texts that keep documents open: whatever was joined or drafted on them before, they stay what they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loro import ExportMode, LoroDoc

from echolia.core.errors import EcholiaError
from echolia.core.merge.text import Draft, Text, read_text


def drafted(current: Text | None, peer: int, position: int, insert: str) -> Text:
    """The delta that inserts so."""
    draft = Draft(current, peer)
    draft.splice(position, 0, insert)
    delta = draft.delta()
    assert delta is not None
    return delta


def whole(text: Text) -> list[object]:
    """What a text holds, by opening its blobs anew."""
    return read_text(text.tree()).canonical_tree()


def grown() -> Text:
    """A text that came from joins, so that its document is open."""
    first = drafted(None, 1, 0, "one")
    return first.join(drafted(first, 1, 3, " two"))


@given(st.data())
def test_texts_that_share_documents_stay_what_they_are(data: st.DataObject) -> None:
    """Any texts are joined, drafted on and closed in any order: each stays as its blobs alone say."""
    texts = [drafted(None, 1, 0, "abc")]
    before = [whole(texts[0])]
    for peer in range(2, data.draw(st.integers(3, 12))):
        one, other = (data.draw(st.sampled_from(texts)) for _ in range(2))
        match data.draw(st.sampled_from(["join", "draft", "abandon", "close"])):
            case "join":
                texts.append(one.join(other))
            case "draft":
                texts.append(drafted(one, peer, len(one.content), str(peer)))
                texts.append(one.join(texts[-1]))
            case "abandon":
                Draft(one, peer).splice(0, 0, "never")
            case "close":
                one.close()
        before += [whole(text) for text in texts[len(before) :]]
    assert [text.canonical_tree() for text in texts] == before
    assert [whole(text) for text in texts] == before


def test_a_text_is_joined_to_more_than_one_other() -> None:
    text = grown()
    left, right = text.join(drafted(text, 2, 0, "< ")), text.join(drafted(text, 3, 7, " >"))
    assert (text.content, left.content, right.content) == ("one two", "< one two", "one two >")
    assert left.join(right).content == "< one two >"
    assert text.canonical_tree() == whole(text)


def test_a_delta_is_joined_to_another_text_than_it_was_drafted_on() -> None:
    text = grown()
    delta = drafted(text, 2, 0, "< ")
    elsewhere = drafted(None, 3, 0, "else ")
    assert elsewhere.join(delta).content == "else "  # it waits for what it builds on
    assert (
        elsewhere.join(delta).join(text).canonical_tree() == elsewhere.join(text.join(delta)).canonical_tree()
    )


def test_an_edit_that_was_refused_leaves_no_trace() -> None:
    text = grown()
    draft = Draft(text, 2)
    draft.splice(0, 0, "gone ")
    with pytest.raises(EcholiaError, match="value_invalid"):
        draft.splice(99, 0, "x")
    assert text.join(drafted(text, 2, 7, " three")).content == "one two three"


def test_what_cannot_be_joined_leaves_the_text_as_it_was() -> None:
    text = grown()
    unreadable = Text((b"no blob",), "")
    with pytest.raises(EcholiaError, match="body_invalid"):
        text.join(unreadable)
    assert text.content == "one two"
    assert text.join(drafted(text, 2, 7, "!")).content == "one two!"


def test_a_text_that_waits_keeps_what_it_waits_with() -> None:
    doc: LoroDoc = LoroDoc()  # type: ignore[no-untyped-call]
    doc.get_text("t").insert(0, "first")
    doc.commit()
    seen, start = doc.oplog_vv, doc.export(ExportMode.Snapshot())
    doc.get_text("t").insert(5, " second")
    doc.commit()
    late = read_text(["text", 1, doc.export(ExportMode.Updates(seen))])
    text = grown().join(late)
    text.close()
    assert len(text.blobs) == 2
    assert "first second" in text.join(read_text(["text", 1, start])).content
