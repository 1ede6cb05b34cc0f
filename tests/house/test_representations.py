"""No class shows a secret by `repr`: what is printed, logged or collected from a crash is a representation.

Each record of the package (dataclass, named tuple, pydantic model) is made without its own checks, with a
canary wherever a field is named as a secret, and shown.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

import pytest
from pydantic import BaseModel, Field, create_model

import echolia

# Words of field names, between underscores.
SECRET: Final = frozenset(
    {
        "secret", "secrets", "key", "keys", "entropy", "seed", "dh", "index", "successor", "phrase",
        "passphrase", "password", "mac", "digits", "access", "refresh", "token", "tokens", "ticket", "text",
        "authorization", "headers", "query", "plaintext", "streams", "redis",
    }
)  # fmt: skip
# Fields whose names say secret and that are none, and why.
PUBLIC: Final = {
    ("web.context", "Standing", "keys"): "public keys by device",
    ("web.error_responses", "Problem", "headers"): "of an answer: type, length, when to come back",
    ("client.cli.session", "Session", "passphrase"): "whom to ask for it",
    ("client.importing.notes", "Note", "key"): "where a note stands in its source",
    ("auth.store.ledger", "Held", "tokens"): "how many tokens each device has",
    ("auth.models", "OpenMailbox", "token_hash"): "a hash of 32 random bytes",
    ("storage.copying", "Table", "key"): "the columns of a primary key",
    ("sync.ledger", "_Headers", "streams"): "the server's: pseudonyms that it sees",
}
CANARY: Final = b"canary-of-32-secret-bytes-in-it!"
TYPES: Final = ("bytes", "str", "Keys", "Secrets", "Mapping")


class Shown(NamedTuple):
    """A field that `repr` shows, of a class of a module."""

    module: str
    of: str
    field: str


OF_AN_EXTRA = {"numpy", "onnx"}


def records() -> Iterator[type]:
    """Every record of the package; the malicious server's own are no promise to anybody."""
    for module in pkgutil.walk_packages(echolia.__path__, "echolia."):
        if module.name.endswith("__main__") or module.name.startswith("echolia.hostile"):
            continue
        for _, each in inspect.getmembers(_loaded(module.name), inspect.isclass):
            if each.__module__ == module.name and fields(each):
                yield each


def _loaded(name: str) -> ModuleType | None:
    """The module; None where it needs what `make embeddings` installs and nobody has."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name not in OF_AN_EXTRA:
            raise
        return None


def fields(record: type) -> dict[str, str]:
    """A record's fields and their types as text; none for any other class."""
    if dataclasses.is_dataclass(record):
        return {each.name: str(each.type) for each in dataclasses.fields(record)}
    if issubclass(record, BaseModel):
        return {name: str(each.annotation) for name, each in record.model_fields.items()}
    if issubclass(record, tuple) and hasattr(record, "_fields"):
        return {name: str(record.__annotations__.get(name, "")) for name in record._fields}
    return {}


def secret(record: type) -> set[str]:
    """Those that may hold a secret, by their names and types."""
    return {
        name
        for name, kind in fields(record).items()
        if set(name.strip("_").split("_")) & SECRET and any(each in kind for each in TYPES)
    }


def shown(record: type) -> list[Shown]:
    """The secret fields that `repr` of a record shows."""
    module = record.__module__.removeprefix("echolia.")
    return [Shown(module, record.__name__, name) for name in secret(record) if _shows(record, name)]


def _shows(record: type, name: str) -> bool:
    return CANARY.decode() in repr(_made(record, name))


def _made(record: type, name: str) -> object:
    values: dict[str, Any] = {each: CANARY if each == name else None for each in fields(record)}
    if issubclass(record, BaseModel):
        return record.model_construct(**values)
    if issubclass(record, tuple):
        return cast("Any", record)._make(values.values())
    made = object.__new__(record)
    for each, value in values.items():
        object.__setattr__(made, each, value)
    return made


def test_no_record_shows_a_secret() -> None:
    found = {each for record in records() for each in shown(record)}
    assert {tuple(each) for each in found} == set(PUBLIC)


def test_the_records_that_hold_secrets_are_among_them() -> None:
    holding = {record.__name__ for record in records() if secret(record)}
    assert holding >= {
        "KeyPairs", "AccountSecrets", "ObjectKey", "Draft", "Code", "Ephemeral", "Agreement", "Vault",
        "Identity", "Tokens", "Refresh", "Ticket", "Request", "StreamRequest", "Settings",
    }  # fmt: skip


@dataclasses.dataclass
class _Leaky:
    token: str


class _LeakyTuple(NamedTuple):
    token: str


_LeakyModel = create_model("_LeakyModel", token=(str, Field()))


@pytest.mark.parametrize("record", [_Leaky, _LeakyTuple, _LeakyModel])
def test_one_that_shows_it_is_noticed(record: type) -> None:
    assert [each.field for each in shown(record)] == ["token"]
