"""The places of accounts' databases beside this machine's files, as the operator's file names them.

[cell-1]                                  [turso]
kind = "sqld"                             kind = "turso"
url = "http://127.0.0.1:8080"             organization = "example"
admin_url = "http://127.0.0.1:8090"       group = "default"
admin_key_file = "cell-1.admin"           token_file = "turso.token"
signing_key_file = "cell-1.pem"

[other-disk]
kind = "files"
path = "/mnt/other/users"
"""

from __future__ import annotations

import asyncio
import random
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.storage.databases import FILES
from echolia.storage.engine import FileDriver
from echolia.storage.hrana.admin import Admin
from echolia.storage.hrana.names import Names, load_names
from echolia.storage.hrana.sqld import Sqld
from echolia.storage.hrana.tokens import Signer, load_signing_key
from echolia.storage.hrana.turso import DATABASE_URL, Turso
from echolia.storage.hrana.turso_api import Surroundings, TursoApi
from echolia.storage.migrate import Migration
from echolia.storage.provisioner import Provisioner
from echolia.storage.sqlite.provisioner import Files

NAMES_KEY: Final = "databases.key"
_HOME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$")]
_Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _SqldSection(_Section):
    """An sqld; the key files hold the admin API's key and the private key whose public half sqld knows."""

    kind: Literal["sqld"]
    url: _Url
    admin_url: _Url
    admin_key_file: Path
    signing_key_file: Path


class _TursoSection(_Section):
    """A group of databases at Turso; the file holds a token of the platform API."""

    kind: Literal["turso"]
    organization: _Word
    group: _Word
    token_file: Path
    url: _Url = "https://api.turso.tech"
    database_url: _Url = DATABASE_URL


class _FilesSection(_Section):
    """A folder of files beside the data folder's own, on another disk as a rule."""

    kind: Literal["files"]
    path: Path


_AnySection = _SqldSection | _TursoSection | _FilesSection
_SECTION: Final[TypeAdapter[_AnySection]] = TypeAdapter(Annotated[_AnySection, Field(discriminator="kind")])


def open_homes(
    settings: Settings, migrations: Sequence[Migration], clock: Callable[[], float], driver: FileDriver
) -> dict[str, Provisioner]:
    """The places by their names, none where there is no file of them; `clock` is in Unix seconds.

    Inside a running event loop; each is closed by who asked for it. Nothing is sent anywhere yet.
    Raises: `settings_invalid`, which says what is wrong without any value; `StorageError`.
    """
    sections = _sections(settings.homes)
    if settings.new_accounts not in {FILES, *sections}:
        raise EcholiaError("settings_invalid", "ECHOLIA_NEW_ACCOUNTS is none of the places there are")
    if settings.homes is None or not sections:
        return {}
    folder = settings.homes.parent
    made = {name: _made(name, section, folder, clock, driver) for name, section in sections.items()}
    names = load_names(settings.data / NAMES_KEY)
    return {name: make(names, migrations) for name, make in made.items()}


def kinds_of(settings: Settings) -> dict[str, str]:
    """The kind of each place by its name, of the folder's own too. Raises: `settings_invalid`."""
    named = {name: section.kind for name, section in _sections(settings.homes).items()}
    return {FILES: "files", **named}


_Make = Callable[[Names, Sequence[Migration]], Provisioner]


def _made(
    name: str, section: _AnySection, folder: Path, clock: Callable[[], float], driver: FileDriver
) -> _Make:
    """Read the secrets of a place now, so that nothing is opened where one of several is wrong."""
    if isinstance(section, _FilesSection):
        path = folder / section.path
        return lambda _, migrations: Files(path, driver, migrations)
    if isinstance(section, _TursoSection):
        turso, token = section, _secret(name, "token_file", folder / section.token_file)
        return lambda names, migrations: _turso(turso, token, names, migrations, clock)
    sqld, key = section, _secret(name, "admin_key_file", folder / section.admin_key_file)
    try:
        signer = Signer(load_signing_key(folder / section.signing_key_file), clock)
    except (EcholiaError, OSError):
        signer = None
    if signer is None:
        raise _wrong(f"{name}.signing_key_file holds no private Ed25519 key in PEM")
    return lambda names, migrations: Sqld(
        sqld.url, Admin(sqld.admin_url, key), signer, names, migrations, clock
    )


def _turso(
    section: _TursoSection,
    token: str,
    names: Names,
    migrations: Sequence[Migration],
    clock: Callable[[], float],
) -> Turso:
    around = Surroundings(clock, asyncio.sleep, random.random)
    api = TursoApi(section.url, section.organization, section.group, token, around)
    return Turso(api, names, migrations, clock, section.database_url)


def _secret(name: str, key: str, path: Path) -> str:
    try:
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        secret = ""
    if not secret.isprintable() or not secret:
        raise _wrong(f"{name}.{key} cannot be read, or is no single line of ASCII")
    return secret


def _sections(path: Path | None) -> dict[str, _AnySection]:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError:
        wrong = "cannot be read"
    except ValueError:
        wrong = "is not TOML"
    else:
        return {name: _section(name, fields) for name, fields in found.items()}
    raise _wrong(wrong)


def _section(name: str, fields: object) -> _AnySection:
    if not _HOME.fullmatch(name) or name == FILES or not isinstance(fields, Mapping):
        raise _wrong("has a section whose name is none that a place may have")
    try:
        return _SECTION.validate_python(fields)
    except ValidationError as error:
        wrong = ", ".join(sorted(set(_named(name, error))))
    raise _wrong(wrong)


def _named(name: str, error: ValidationError) -> Iterator[str]:
    kinds = (_SqldSection, _TursoSection, _FilesSection)
    known = {field for kind in kinds for field in kind.model_fields}
    for one in error.errors(include_input=False, include_context=False, include_url=False):
        where: tuple[Any, ...] = one["loc"]
        field = next((part for part in reversed(where) if part in known), None)
        if one["type"] == "missing":
            yield f"{name} lacks {field}"
        elif one["type"] == "extra_forbidden":
            yield f"{name} has a key that this kind does not know"
        else:
            yield f"{name}.{field or 'kind'} is not one"


def _wrong(what: str) -> EcholiaError:
    return EcholiaError("settings_invalid", f"ECHOLIA_HOMES: {what}")
