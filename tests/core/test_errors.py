"""The table of codes: every code is stable in form, says what to do, and carries nothing that was sent."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from echolia.core.errors import CODES, EcholiaError


def raised_codes(package: Path) -> set[str]:
    """Every literal code that some module raises EcholiaError with."""
    found = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="EcholiaError"), args=[ast.Constant(value=str(code)), *_]):
                    found.add(code)
    return found


def test_codes_are_snake_case_and_mean_a_sentence() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in CODES)
    assert all(meaning[0].isupper() and meaning.endswith(".") for meaning in CODES.values())


def test_no_two_codes_mean_the_same() -> None:
    assert len(set(CODES.values())) == len(CODES)


def test_every_code_that_is_raised_is_in_the_table(repository: Path) -> None:
    raised = raised_codes(repository / "echolia")
    assert "run_invalid" in CODES and "phrase_invalid" in raised
    assert raised <= set(CODES)


def test_an_error_tells_its_code_its_detail_and_what_to_do() -> None:
    error = EcholiaError("run_gap", "expected 7")
    assert (error.code, error.detail, str(error)) == ("run_gap", "expected 7", "run_gap: expected 7")
    assert error.meaning == CODES["run_gap"]
    assert str(EcholiaError("internal")) == "internal"


def test_a_code_nobody_wrote_down_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="unknown error code"):
        EcholiaError("no_such_code")
