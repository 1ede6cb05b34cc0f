"""Front matter is kept byte for byte and never stops an import, whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echolia.client.importing import front_matter

PIECES = st.sampled_from(
    ["---", "...", "\n", "\r\n", "\r", "\ufeff", "title: x", "a: &a [*a]", "x", " ", "\0", "é"]
)


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=12).map("".join))
@example("---\n---\n")
@example("\ufeff---\r\ntitle: x\r\n---\r\nbody")
@example("---\ntitle: x\n---")
def test_front_and_body_are_the_text(text: str) -> None:
    parts = front_matter.split(text)
    assert parts.front + parts.body == text
    assert front_matter.split(parts.front + parts.body) == parts


def test_fields_are_read() -> None:
    parts = front_matter.split(
        "---\nTitle: A day\ntags: [sea, '#sun', sea, 7]\ndate: 2024-02-03\n---\nText\n"
    )
    assert parts.body == "Text\n"
    assert parts.fields is not None
    assert front_matter.title(parts.fields) == "A day"
    assert front_matter.tags(parts.fields) == ("sea", "sun", "7")
    assert front_matter.created_ms(parts.fields) == 1_706_918_400_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-02-03T04:05:06Z", 1_706_933_106_000),
        ("2024-02-03 06:05:06 +02:00", 1_706_933_106_000),
        ('"2024-02-03T04:05:06"', 1_706_933_106_000),
        ("yesterday", None),
        ("20240203", None),
        ("[2024]", None),
    ],
)
def test_dates(value: str, expected: int | None) -> None:
    parts = front_matter.split(f"---\ncreated: {value}\n---\n")
    assert parts.fields is not None
    assert front_matter.created_ms(parts.fields) == expected


def test_tags_may_be_words_parted_by_commas() -> None:
    assert front_matter.tags({"tags": "sea, sun,, sea"}) == ("sea", "sun")


@pytest.mark.parametrize(
    "block",
    [
        "a: [",
        "a: b: c",
        "\ttabs: x",
        "date: 2024-13-45",
        "n: 0o9",
        "? [a]\n: {? {}: b}",
        "a: !!python/object/apply:os.system [id]",
        "{" * 3000,
        "a: " + "[" * 30000 + "]" * 30000,
        "a: " + "[" * 33 + "]" * 33,
        "- " * 30000,
        "n: " + "9" * 5000,
    ],
)
def test_bad_yaml_is_kept_as_written(block: str) -> None:
    text = f"---\n{block}\n---\nBody"
    parts = front_matter.split(text)
    assert parts.front + parts.body == text
    assert parts.body == "Body"


def test_what_only_looks_like_front_matter_is_body() -> None:
    for text in [
        "---\nnever closed\n",
        "---\njust a sentence\n---\nand more",
        "text\n---\na: b\n---\n",
        "----\na: b\n---\n",
    ]:
        assert front_matter.split(text).body == text


def test_a_block_that_never_ends_is_not_searched_for_ever() -> None:
    text = "---\n" + "a: b\n" * 100_000 + "---\nBody"
    assert front_matter.split(text) == ("", text, {})


@pytest.mark.parametrize(("first", "next_"), [("[x]", "[{}]"), ("{x: y}", "{{<<: [{}]}}")])
def test_aliases_that_would_grow_without_end_do_no_harm(first: str, next_: str) -> None:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {next_.format(', '.join([f'*a{n - 1}'] * 9))}" for n in range(1, 30)]
    parts = front_matter.split("---\n" + "\n".join(lines) + "\ntags: *a29\n---\nBody")
    assert (parts.body, parts.fields) == ("Body", None)
