""".env.example documents every setting there is, by its description and default, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from echolia.settings import PREFIX, Settings

SETTING = re.compile(r"^# (.+)\n#?(ECHOLIA_[A-Z_0-9]+)=(.*)$", re.MULTILINE)


@pytest.fixture
def documented(repository: Path) -> dict[str, tuple[str, str]]:
    """The settings of .env.example: the sentence above each and the value shown."""
    text = (repository / ".env.example").read_text()
    assert len(SETTING.findall(text)) == text.count(f"{PREFIX}")
    return {name: (sentence, value) for sentence, name, value in SETTING.findall(text)}


def test_every_setting_is_documented_and_no_other(documented: dict[str, tuple[str, str]]) -> None:
    assert list(documented) == [PREFIX + name.upper() for name in Settings.model_fields]


def test_every_setting_says_what_it_is(documented: dict[str, tuple[str, str]]) -> None:
    for name, field in Settings.model_fields.items():
        assert documented[PREFIX + name.upper()][0] == field.description


def test_every_value_shown_is_the_default(documented: dict[str, tuple[str, str]]) -> None:
    for name, field in Settings.model_fields.items():
        shown = documented[PREFIX + name.upper()][1]
        assert getattr(Settings(**{name: shown}), name) == field.default, name
