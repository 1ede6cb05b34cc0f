"""The lock files pin and hash everything, agree with each other and name no source."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("requirements.lock", "requirements-server.lock", "requirements-embeddings.lock")
PIN = re.compile(
    r"^([a-z0-9._-]+)==(\S+)(?: ; (.*?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(lock: Path) -> dict[tuple[str, str], set[str]]:
    """(name, version) of each pin, and its hashes."""
    return {
        (name, version): set(hashes.split()) - {"\\"}
        for name, version, _, hashes in PIN.findall(lock.read_text())
    }


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_pin_a_hash_or_a_comment(name: str, repository: Path) -> None:
    text = (repository / name).read_text()
    assert pins(repository / name)
    rest = [
        line for line in PIN.sub("", text).splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert rest == []


def test_the_server_runs_what_was_tested(repository: Path) -> None:
    tested, served = (pins(repository / name) for name in LOCKS[:2])
    assert set(served) <= set(tested)
    assert not {"pytest", "mypy", "hatchling"} & {name for name, _ in served}


def test_what_embeds_goes_beside_what_was_tested(repository: Path) -> None:
    tested, beside = (dict(pins(repository / name).keys()) for name in (LOCKS[0], LOCKS[2]))
    assert all(tested.get(name, version) == version for name, version in beside.items())
    assert not {"torch", "sentence-transformers", "huggingface-hub"} & beside.keys()


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        (LOCKS[0], ("dev", "llm", "payments")),
        (LOCKS[1], ("llm", "payments")),
        (LOCKS[2], ("embeddings",)),
    ],
)
def test_every_requirement_is_locked(name: str, groups: tuple[str, ...], repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = [
        *(project["dependencies"] if name != LOCKS[2] else ()),
        *(one for group in groups for one in project["optional-dependencies"][group]),
    ]
    versions = dict(pins(repository / name).keys())
    for requirement in map(Requirement, wanted):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, str(requirement)
