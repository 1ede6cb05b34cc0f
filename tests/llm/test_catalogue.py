"""The file of models: what it may say, and that what is wrong in it is named without any secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.core.errors import EcholiaError
from echolia.llm.catalogue import Catalogue, open_catalogue
from echolia.llm.providers.choice import make
from echolia.llm.providers.echo import EchoProvider
from echolia.llm.providers.port import Usage

PROVIDER = '[providers.here]\nkind = "echo"\n'
GOOD = f"""{PROVIDER}
[providers.anthropic]
kind = "anthropic"
key_file = "keys"

[models.claude]
provider = "anthropic"
model = "claude-sonnet-4-5"
max_tokens = 4096
fallback = ["small"]

[models.small]
provider = "here"
model = "echo"
price = {{ input = 1.5, output = 2, cached = 0.1 }}
"""
SECRET = "sk-nobody-may-read-this"


def opened(folder: Path, text: str, keys: str = f"{SECRET}\n\n{SECRET}-2\n") -> Catalogue:
    """The catalogue of this file."""
    (folder / "keys").write_text(keys)
    (folder / "models.toml").write_text(text)
    return open_catalogue(folder / "models.toml", make)


async def test_without_a_file_there_is_one_that_echoes() -> None:
    catalogue = open_catalogue(None, make)
    assert list(catalogue.models) == ["echo"]
    assert isinstance(catalogue.providers["echo"][0], EchoProvider)
    assert catalogue.model("echo").price.cost(Usage(1000, 1000)) == 0


async def test_a_file_of_models(tmp_path: Path) -> None:
    catalogue = opened(tmp_path, GOOD)
    claude, small = catalogue.model("claude"), catalogue.model("small")
    assert (claude.known_as, claude.max_tokens, claude.fallback) == ("claude-sonnet-4-5", 4096, ("small",))
    assert len(catalogue.providers["anthropic"]) == 2
    # Three dollars a million in and fifteen out, a tenth of it for what was read from the cache.
    assert claude.price.cost(Usage(1000, 100)) == 3000 + 1500
    assert claude.price.cost(Usage(1000, 100, cached=1000)) == 300 + 1500
    assert claude.price.table.startswith("genai-prices ")
    assert small.price.cost(Usage(1000, 10, cached=400)) == 900 + 40 + 20
    assert small.price.table == "own"
    await catalogue.close()


async def test_what_costs_a_fraction_costs_one(tmp_path: Path) -> None:
    assert opened(tmp_path, GOOD).model("small").price.cost(Usage(1, 0)) == 2


MODEL = '\n[models.a]\nprovider = "here"\nmodel = "echo"\n'
WRONG = {
    "no toml": ("[providers", "TOML"),
    "no models": (PROVIDER, "models"),
    "an unknown member": (f"{PROVIDER}mood = 1{MODEL}", "providers.here.mood"),
    "an unknown kind": (f'[providers.here]\nkind = "oracle"{MODEL}', "providers.here.kind"),
    "a provider that is not there": (f"{PROVIDER}\n[models.a]\nprovider = \"away\"\n", "models.a.provider"),
    "a fallback that is not there": (f"{PROVIDER}{MODEL}fallback = [\"b\"]\n", "models.a.fallback"),
    "a fallback to itself": (f"{PROVIDER}{MODEL}fallback = [\"a\"]\n", "models.a.fallback"),
    "a price below nothing": (f"{PROVIDER}{MODEL}price = {{ input = -1, output = 1 }}\n", "price.input"),
    "a model's name": (f'{PROVIDER}\n[models."a b"]\nprovider = "here"\n', "a model's name"),
    "a provider's name": (
        '[providers.He]\nkind = "echo"\n[models.a]\nprovider = "He"\n', "a provider's name"
    ),
    "a key file that is not there": (
        f'[providers.here]\nkind = "openai"\nkey_file = "gone"{MODEL}price = {{ input = 0, output = 0 }}\n',
        "gone cannot be read",
    ),
    "a model without a price": (
        '[providers.here]\nkind = "openai"\nkey_file = "keys"\n[models.nobody]\nprovider = "here"\n', "price"
    ),
    "an address that is none": (f'[providers.here]\nkind = "echo"\nbase_url = "ftp://x"{MODEL}', "base_url"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_named(tmp_path: Path, case: str) -> None:
    text, named = WRONG[case]
    with pytest.raises(EcholiaError, match="settings_invalid") as refused:
        opened(tmp_path, text)
    assert named in refused.value.detail
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("keys", ["", "\n\n", "ü\n", "k\n" * 33])
async def test_a_key_file_holds_keys(tmp_path: Path, keys: str) -> None:
    with pytest.raises(EcholiaError, match="settings_invalid"):
        opened(tmp_path, GOOD, keys)
