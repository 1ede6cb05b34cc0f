"""The models there are, as the operator's file names them; without a file there is one, which echoes.

[providers.anthropic]                     [models.claude]
kind = "anthropic"                        provider = "anthropic"
key_file = "anthropic.keys"               model = "claude-sonnet-4-5"
                                          fallback = ["local"]
[providers.ollama]
kind = "openai"                           [models.local]
base_url = "http://127.0.0.1:11434/v1"    provider = "ollama"
                                          model = "llama3.2"
                                          price = { input = 0, output = 0 }
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from echolia.core.errors import EcholiaError
from echolia.llm.models import ModelName
from echolia.llm.prices import OwnPrice, Price, own_price, table_price
from echolia.llm.providers.choice import Kind
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.port import Ability, Provider

ECHO: Final = "echo"
Make = Callable[[Kind, Endpoint], Provider]
_PROVIDER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MOST_KEYS: Final = 32


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _ProviderSection(_Section):
    """Where models are; the file holds a key a line."""

    kind: Kind
    key_file: Path | None = None
    base_url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#@]*)?)?$")] = ""
    lacks: frozenset[Ability] = frozenset()
    connections: int = Field(100, ge=1, le=10_000)
    connect_seconds: float = Field(10, gt=0, le=600)
    first_byte_seconds: float = Field(120, gt=0, le=3600)
    chunk_seconds: float = Field(60, gt=0, le=3600)


class _PriceSection(_Section):
    """Dollars for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(None, ge=0)
    written: float | None = Field(None, ge=0)


class _ModelSection(_Section):
    """A model by the name that devices ask for."""

    provider: str
    model: str = ""
    max_tokens: int = Field(8192, ge=1, le=1_000_000)
    fallback: list[str] = Field([], max_length=8)
    price: _PriceSection | None = None


class _File(_Section):
    providers: dict[str, _ProviderSection] = Field(min_length=1)
    models: dict[str, _ModelSection] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Model:
    """A model: its name here and at its provider, its longest answer, its price, what is asked instead."""

    name: str
    provider: str
    known_as: str
    max_tokens: int
    price: Price
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models by name, and of each provider by name one connection for each of its keys."""

    models: Mapping[str, Model]
    providers: Mapping[str, tuple[Provider, ...]]

    def model(self, name: str) -> Model:
        """Raises: `model_unknown`."""
        found = self.models.get(name)
        if found is None:
            raise EcholiaError("model_unknown")
        return found

    def abilities(self, model: Model) -> frozenset[Ability]:
        """What an ask of this model may need."""
        return self.providers[model.provider][0].abilities

    async def close(self) -> None:
        """End all connections."""
        for keys in self.providers.values():
            for provider in keys:
                await provider.close()


def open_catalogue(path: Path | None, make: Make) -> Catalogue:
    """The models of the file. Nothing is sent anywhere yet.

    Raises: `settings_invalid`, which says what is wrong without any secret.
    """
    if path is None:
        price = own_price(OwnPrice(0, 0))
        return Catalogue({ECHO: Model(ECHO, ECHO, ECHO, 8192, price)}, {ECHO: (make("echo", Endpoint()),)})
    read = _read(path)
    models = {name: _model(name, section, read) for name, section in read.models.items()}
    providers = {name: _providers(section, path.parent, make) for name, section in read.providers.items()}
    return Catalogue(models, providers)


def _read(path: Path) -> _File:
    try:
        read = _File.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise _invalid("the file cannot be read as TOML") from None
    except ValidationError as error:
        raise _invalid(", ".join(sorted(set(_wrong(error))))) from None
    names = TypeAdapter(ModelName)
    for name in read.providers:
        if not _PROVIDER_NAME.fullmatch(name):
            raise _invalid("a provider's name is of a-z, 0-9 and -")
    for name, model in read.models.items():
        _ = _checked(names, name)
        if model.provider not in read.providers:
            raise _invalid(f"models.{name}.provider is none of the providers")
        if not set(model.fallback) <= read.models.keys() - {name}:
            raise _invalid(f"models.{name}.fallback names no other model")
    return read


def _checked(names: TypeAdapter[str], name: str) -> str:
    try:
        return names.validate_python(name)
    except ValidationError:
        raise _invalid("a model's name is of letters, digits and ._:/@+-") from None


def _wrong(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_input=False, include_context=False, include_url=False):
        yield ".".join(str(part) for part in one["loc"])


def _model(name: str, section: _ModelSection, read: _File) -> Model:
    kind, known_as = read.providers[section.provider].kind, section.model or name
    if section.price is not None:
        price = own_price(OwnPrice(**section.price.model_dump()))
    elif kind == "echo":
        price = own_price(OwnPrice(0, 0))
    else:
        price = table_price(kind, known_as)
    return Model(name, section.provider, known_as, section.max_tokens, price, tuple(section.fallback))


def _providers(section: _ProviderSection, folder: Path, make: Make) -> tuple[Provider, ...]:
    keys = [""] if section.key_file is None else _keys(folder / section.key_file)
    return tuple(make(section.kind, _endpoint(section, key)) for key in keys)


def _endpoint(section: _ProviderSection, key: str) -> Endpoint:
    return Endpoint(
        api_key=key,
        base_url=section.base_url,
        lacks=section.lacks,
        connections=section.connections,
        connect_s=section.connect_seconds,
        first_byte_s=section.first_byte_seconds,
        chunk_s=section.chunk_seconds,
    )


def _keys(path: Path) -> list[str]:
    try:
        lines = path.read_text("ascii").split("\n")
    except (OSError, UnicodeDecodeError):
        raise _invalid(f"{path.name} cannot be read") from None
    keys = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(keys) <= _MOST_KEYS:
        raise _invalid(f"{path.name} has to hold one key a line, at least one")
    return keys


def _invalid(what: str) -> EcholiaError:
    return EcholiaError("settings_invalid", f"ECHOLIA_MODELS: {what}")
