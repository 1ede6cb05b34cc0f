"""The commands that ask models, as people and scripts type them, against a real server."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from tests.cli.conftest import Json, Run
from tests.support.command_line import Terminal, in_process, next_step, result, started


def test_a_question_and_its_answer(run: Run, run_json: Json) -> None:
    asked = run("ask", "Good morning!")
    assert asked.exit_code == 0, asked.stderr
    assert asked.stdout.endswith("Good morning!\n")
    assert "tokens read" in asked.stderr
    told = run_json("ask", "--model", "echo", stdin="from a pipe")
    assert told["text"].endswith("from a pipe")
    assert (told["model"], told["reason"]) == ("echo", "stop")
    assert run_json("ask", "Hm", "--max-tokens", "1")["reason"] == "length"


def test_a_conversation_goes_on_and_is_kept(new_home: Path) -> None:
    def said(question: str) -> dict[str, object]:
        return result("ask", question, "--in", "Mornings", home=new_home)

    first, second = said("I am Anna."), said("Who am I?")
    assert first["conversation"] == second["conversation"]
    before = first["usage"]["input"]  # type: ignore[index]
    assert second["usage"]["input"] > before  # type: ignore[index]
    kept = result("list", "--collection", "messages", home=new_home)["records"]
    assert len(kept) == 4
    result("sync", home=new_home)
    assert result("status", home=new_home)["pending"] == 0


def test_entries_go_along_where_they_are_asked_for(new_home: Path) -> None:
    result("add", "The heron came at seven.", "--title", "Tuesday", home=new_home)
    result("add", "Nothing about birds.", "--title", "Wednesday", home=new_home)
    alone = result("ask", "When?", home=new_home)
    told = result("ask", "When?", "--with-entries", "heron", home=new_home)
    assert told["usage"]["input"] - alone["usage"]["input"] > 10
    refused = in_process("ask", "When?", "--with-entries", "stork", home=new_home)
    assert "[object_unknown]" in refused.stderr


def test_what_there_is_and_what_it_took(new_home: Path) -> None:
    (model,) = result("models", home=new_home)["models"]
    assert model["name"] == "echo"
    assert "echo" in in_process("models", home=new_home).stdout
    assert "Nothing was asked." in in_process("usage", home=new_home).stderr
    result("ask", "Hm", home=new_home)
    (row,) = result("usage", home=new_home)["usage"]
    assert (row["model"], row["requests"], row["status"]) == ("echo", 1, "ok")
    table = in_process("usage", "--days", "1", home=new_home)
    assert "echo" in table.stdout
    assert "tokens of today" in table.stderr


def test_what_goes_wrong_has_its_name(run: Run) -> None:
    assert "[model_unknown]" in run("ask", "Hm", "--model", "nobody").stderr
    assert run("ask").exit_code == 2
    assert run("ask", "Hm", "--max-tokens", "0").exit_code == 2
    assert "[body_too_large]" in run("ask", "-", stdin="x" * 300_000).stderr


def test_an_answer_cannot_take_the_terminal_over(run: Run) -> None:
    assert "\x1b" not in run("ask", "\x1b[31mred").stdout


def test_other_programs_by_the_proxy(new_home: Path) -> None:
    proxy = started("proxy", "--port", "0", "--json", home=new_home)
    told = next_step(proxy)
    request = urllib.request.Request(
        f"{told['base_url']}/chat/completions",
        json.dumps({"model": "echo", "messages": [{"role": "user", "content": "Hm"}]}).encode(),
        {"Authorization": f"Bearer {told['api_key']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answered:
        answer = json.load(answered)
    assert answer["choices"][0]["message"]["content"].endswith("Hm")
    proxy.terminate()
    proxy.communicate(timeout=30)


def test_ctrl_c_ends_the_proxy(new_home: Path) -> None:
    proxy = Terminal("proxy", "--port", "0", home=new_home)
    proxy.wait_for("Ctrl-C ends.")
    assert proxy.interrupt() == 130
