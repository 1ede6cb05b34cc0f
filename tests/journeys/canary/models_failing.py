"""Failures of models and of their providers: each told inside the seal, and nowhere else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from tests.journeys.canary.asking import PATHS, plain_ask
from tests.journeys.canary.embedding import ONE, embed_when_full, one_ask
from tests.journeys.canary.person import Person
from tests.journeys.canary.upstream import FAULTS
from tests.journeys.canary.watched import Watched

BringModel = Callable[[Watched, Person], None]
# What a final chunk may say, but for what every answer may.
IN_THE_SEAL: Final = frozenset(
    {
        "ask_invalid", "model_unknown", "model_lacks", "quota_exceeded", "storage_failed",
        "embedding_too_long", "embeddings_late", "embeddings_busy", *FAULTS.values(),
    }
)  # fmt: skip


def _failing(_: Watched, person: Person, code: str) -> None:
    """Each way in which a provider comes to this failure."""
    for does in (does for does, meant in FAULTS.items() if meant == code):
        for path in PATHS:
            person.asking.say(path, plain_ask(person, does, f"openai-{does}"))


def _lacking(_: Watched, person: Person) -> None:
    tool = {"name": person.flock.word("tool"), "description": person.flock.text("tool"), "schema": {}}
    for path in PATHS:
        person.asking.say(path, {**plain_ask(person, model="openai-fails"), "tools": [tool]})


def _full(server: Watched, person: Person) -> None:
    stranger = Person(server.wire, f"{person.name} too").register()
    embed_when_full(server, person, stranger)


def _broken(server: Watched, person: Person) -> None:
    """What asks are counted in is gone."""
    database = sqlite3.connect(server.data / "directory.db", isolation_level=None)
    database.execute("DROP TABLE llm_leases")
    database.close()
    for path in PATHS:
        person.asking.say(path, plain_ask(person, model="openai-well"))
    person.asking.say(ONE, one_ask(person))
    person.ask("GET", "/llm/quota")


BREAK_MODELS: Final[Mapping[str, BringModel]] = {
    "model_lacks": _lacking,
    **{code: partial(_failing, code=code) for code in sorted(set(FAULTS.values()))},
    "embeddings_busy": _full,
    "storage_failed": _broken,
}
