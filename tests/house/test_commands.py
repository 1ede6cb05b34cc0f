"""What the README tells a newcomer to type exists, and every command explains itself."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

SHELL_BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)


def command_line() -> click.Command:
    """The root of the command line, as the console script finds it."""
    entry = importlib.import_module("echolia.__main__")
    root = entry.main if isinstance(entry.main, click.Command) else entry.cli
    assert isinstance(root, click.Command)
    return root


def every_command(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command, groups included: (), ("serve",), ("device", "revoke"), …"""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from every_command(inner, (*path, name))


def typed_lines(document: Path) -> list[list[str]]:
    """The commands in a document's shell blocks, as words; prompts, comments and variables taken off."""
    commands = []
    for block in SHELL_BLOCK.findall(document.read_text()):
        lines = block.replace("\\\n", " ").splitlines()
        prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        # In a block with prompts, the other lines are answers.
        for line in prompted or lines:
            commands += words_of(line)
    return commands


def words_of(line: str) -> list[list[str]]:
    """The words of each command in a line that may join several by && or | or ;"""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in reader:
        if set(word) <= set("&|;"):
            commands.append([])
        elif commands[-1] or not re.fullmatch(r"[A-Z_]+=.*", word):
            commands[-1].append(word)
    return [words for words in commands if words]


def test_every_command_explains_itself() -> None:
    root = command_line()
    for path in every_command(root):
        result = CliRunner().invoke(root, [*path, "--help"], prog_name="echolia")
        assert result.exit_code == 0, path
        assert "Usage: echolia" in result.output, path
        assert len(result.output.splitlines()) > 3, f"{path} says nothing about itself"


def test_documents_tell_people_commands_that_exist(repository: Path, documents: list[Path]) -> None:
    targets = set(TARGET.findall((repository / "Makefile").read_text()))
    commands = set(every_command(command_line()))
    unknown = []
    for document in documents:
        for words in typed_lines(document):
            program, rest = words[0].rsplit("/", 1)[-1], words[1:]
            named = [word for word in rest if re.fullmatch(r"[a-z][a-z-]*", word)]
            first = tuple(named[:1])
            no_target = program == "make" and not set(named) <= targets
            no_command = program == "echolia" and first not in commands
            if no_target or no_command:
                unknown.append(f"{document.name}: {' '.join(words)}")
    assert not unknown, "\n".join(unknown)


def test_the_readme_opens_with_the_two_commands(repository: Path) -> None:
    typed = typed_lines(repository / "README.md")
    assert ["make", "serve"] in typed
    assert ["make", "test"] in typed


def test_make_help_lists_every_command(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text()
    # By `make test` this is a make below a make, which would announce its folder.
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in listed.splitlines()} == set(TARGET.findall(makefile))


@pytest.mark.parametrize("line", ["make biscuits", "echolia biscuits"])
def test_a_command_that_is_not_there_would_be_noticed(line: str, repository: Path, tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(f"```sh\n{line}   # really\n```\n")
    with pytest.raises(AssertionError, match="biscuits"):
        test_documents_tell_people_commands_that_exist(repository, [document])
