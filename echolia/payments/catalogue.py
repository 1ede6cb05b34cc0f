"""The tiers that can be bought: which products are of which, and what each lets an account have."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.web.context import ModelQuota, Quota
from echolia.web.tiers import (
    FREE,
    MOST_DEVICES,
    default_embeddings,
    default_models,
    default_tier,
    with_reserve,
)

SHIPPED: Final = Path(__file__).with_name("tiers.toml")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_Amount = Annotated[int, Field(ge=0, le=2**50)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    products: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]] = Field(min_length=1)
    bytes: _Amount | None = None
    objects: _Amount | None = None
    changes_per_minute: _Amount | None = None
    devices: int | None = Field(None, ge=1, le=MOST_DEVICES)
    llm_tokens_per_day: _Amount | None = None
    llm_micro_usd_per_month: _Amount | None = None
    llm_concurrent: int | None = Field(None, ge=0, le=1000)
    embeddings_tokens_per_day: _Amount | None = None
    embeddings_concurrent: int | None = Field(None, ge=0, le=1000)


@dataclass(frozen=True, slots=True)
class Tier:
    """What an account of a tier may have; of two the one with the greater `rank` is more."""

    name: str
    rank: int
    quota: Quota
    models: ModelQuota
    embeddings: ModelQuota
    devices: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All tiers, by name and by product; `free` is of those who pay nothing.

    `digest` is another where a product is of another tier.
    """

    free: Tier
    by_name: Mapping[str, Tier]
    by_product: Mapping[str, Tier]
    digest: str

    def tier(self, name: str) -> Tier:
        """The tier of a name; the free one where there is none of it any more."""
        return self.by_name.get(name, self.free)


def open_tiers(settings: Settings) -> Catalogue:
    """The tiers of the settings' file, or those that ship. Raises: `settings_invalid`."""
    path = settings.tiers or SHIPPED
    try:
        raw = path.read_bytes()
        sections = TypeAdapter(dict[str, _Section]).validate_python(tomllib.loads(raw.decode()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise _invalid("the file cannot be read as TOML") from None
    except ValidationError as error:
        raise _invalid(", ".join(_wrong(error))) from None
    if wrong := [name for name in sections if name == FREE or not _NAME.fullmatch(name)]:
        raise _invalid(f"{len(wrong)} names of tiers are not of a-z, 0-9 and -, or are {FREE}")
    free = Tier(
        FREE, 0, default_tier(settings), default_models(settings), default_embeddings(settings),
        settings.max_devices,
    )  # fmt: skip
    tiers = [_tier(settings, name, rank + 1, sections[name]) for rank, name in enumerate(sections)]
    products = [(product, tier) for tier in tiers for product in sections[tier.name].products]
    if len(dict(products)) < len(products):
        raise _invalid("a product is of two tiers")
    return Catalogue(
        free, {tier.name: tier for tier in [free, *tiers]}, dict(products), sha256(raw).hexdigest()[:16]
    )


def _tier(settings: Settings, name: str, rank: int, section: _Section) -> Tier:
    free, models = default_tier(settings), default_models(settings)
    quota = Quota(
        name,
        _or(section.bytes, free.bytes),
        _or(section.objects, free.objects),
        _or(section.changes_per_minute, free.changes_per_minute),
    )
    asks = ModelQuota(
        name,
        _or(section.llm_tokens_per_day, models.tokens_per_day),
        _or(section.llm_micro_usd_per_month, models.micro_usd_per_month),
        _or(section.llm_concurrent, models.concurrent),
    )
    embedded = default_embeddings(settings)
    embeddings = ModelQuota(
        name,
        _or(section.embeddings_tokens_per_day, embedded.tokens_per_day),
        concurrent=_or(section.embeddings_concurrent, embedded.concurrent),
    )
    devices = _or(section.devices, settings.max_devices)
    return Tier(name, rank, with_reserve(settings, quota), asks, embeddings, devices)


def _or(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given


def _wrong(error: ValidationError) -> Sequence[str]:
    found = error.errors(include_input=False, include_context=False, include_url=False)
    return sorted({".".join(str(part) for part in one["loc"]) for one in found})


def _invalid(what: str) -> EcholiaError:
    return EcholiaError("settings_invalid", f"ECHOLIA_TIERS: {what}")
