"""Vectors by the command line: made, searched, made anew; and words alone without them."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import in_process, result


def test_meaning_is_found_once_vectors_are_made(new_home: Path) -> None:
    result("add", "The heron came at seven and stood in the water.", "--title", "Tuesday", home=new_home)
    result("add", "Interest rates went up again.", "--title", "Wednesday", home=new_home)
    before = result("search", "--semantic", "heron", home=new_home)
    assert (before["by"], [found["title"] for found in before["found"]]) == ("words", ["Tuesday"])
    made = result("embed", "--development", home=new_home)
    assert (made["made"], made["vectors"], made["entries"]) == (2, 2, 2)
    assert result("embed", home=new_home)["made"] == 0
    question = "the heron that stood in the water at seven"
    found = result("search", "--semantic", question, home=new_home)
    assert (found["by"], found["found"][0]["title"]) == ("meaning", "Tuesday")
    assert found["found"][0]["nearness"] > 0.15
    assert result("search", question, home=new_home)["found"] == []
    told = result("ask", "When?", "--with-entries", question, home=new_home)
    assert told["usage"]["input"] > 10
    assert result("embed", "--migrate", "--development", home=new_home)["removed"] == 0


def test_people_are_told_what_was_made_and_what_is_lacking(new_home: Path) -> None:
    result("add", "The heron came at seven.", "--title", "Tuesday", home=new_home)
    said = in_process("embed", "--development", home=new_home)
    assert said.stdout == "1 of 1 entries have a vector; 1 are new.\n"
    result("add", "The heron left at eight.", "--title", "Thursday", home=new_home)
    said = in_process("search", "--semantic", "heron", home=new_home)
    assert "1 entries have no vector" in said.stderr and "Thursday" in said.stdout
    wrong = in_process("search", "--semantic", "--collection", "memories", "heron", home=new_home)
    assert wrong.exit_code == 2 and "--semantic finds entries." in wrong.stderr


def test_vectors_can_be_listed_like_all_that_is_kept(new_home: Path) -> None:
    result("add", "The heron came at seven.", home=new_home)
    result("embed", "--development", home=new_home)
    (one, *_) = result("list", "--collection", "vectors", home=new_home)["records"]
    shown = result("show", one["id"], home=new_home)
    assert {"model"} <= shown["fields"].keys()
