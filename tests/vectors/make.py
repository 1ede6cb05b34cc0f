"""Writes every vector: `python -m tests.vectors.make`; the same bytes each time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.vectors.cases import (
    checkpoints,
    device_logs,
    embeddings,
    envelopes,
    exports,
    generations,
    key_boxes,
    log_pages,
    pairings,
    primitives,
    pushes,
    quotas,
    runs_refused,
    runs_taken,
    sealed_keys,
    sealed_requests,
    sealed_responses,
    signed_messages,
    vaults,
)
from tests.vectors.world import Vector, jsonable

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "vectors"
MAKERS = (
    primitives.cases,
    signed_messages.cases,
    runs_taken.cases,
    runs_refused.cases,
    pushes.cases,
    quotas.cases,
    log_pages.cases,
    envelopes.cases,
    key_boxes.cases,
    device_logs.cases,
    generations.cases,
    pairings.cases,
    checkpoints.cases,
    vaults.cases,
    exports.cases,
    sealed_requests.cases,
    sealed_responses.cases,
    sealed_keys.cases,
    embeddings.cases,
)


def vectors() -> Iterator[Vector]:
    """Every vector that is made here."""
    for maker in MAKERS:
        yield from maker()


def text(vector: Vector) -> str:
    """The file of a vector."""
    fields = {
        "spec": 1,
        "topic": vector.topic,
        "note": vector.note,
        "input": vector.input,
        "expect": vector.expect,
    }
    return json.dumps(jsonable(fields), indent=1, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """The content of every file by its path below `spec/vectors`; ValueError for a name given twice."""
    found: dict[str, str] = {}
    for vector in vectors():
        path = f"{vector.topic}/{vector.case}.json"
        if path in found:
            raise ValueError(f"two vectors are called {path}")
        found[path] = text(vector)
    return found


def stale(made: dict[str, str]) -> list[Path]:
    """Files in the folders made here that nothing makes any more."""
    topics = {path.partition("/")[0] for path in made}
    there = (file for topic in topics for file in (FOLDER / topic).glob("*.json"))
    return sorted(file for file in there if str(file.relative_to(FOLDER)) not in made)


def main() -> None:
    """Write what is made, remove what is no longer made."""
    made = files()
    for path, content in made.items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(content, encoding="utf-8")
    for file in stale(made):
        file.unlink()


if __name__ == "__main__":
    main()
