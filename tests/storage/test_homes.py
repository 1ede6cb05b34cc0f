"""The operator's file of places: what it may say, and that what is wrong is named and never repeated."""

from __future__ import annotations

import os
from pathlib import Path
from time import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.storage.homes import open_homes
from echolia.storage.hrana.sqld import Sqld
from echolia.storage.hrana.turso import Turso
from echolia.storage.sqlite.provisioner import Files

SECRET = "kanariya"
SQLD = """
[cell-1]
kind = "sqld"
url = "http://127.0.0.1:8080"
admin_url = "http://127.0.0.1:8090"
admin_key_file = "admin.key"
signing_key_file = "signing.pem"
"""
TURSO = """
[turso]
kind = "turso"
organization = "example"
group = "default"
token_file = "turso.token"
"""


def pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    """A private key as a file holds it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


OTHER_DISK = '[other-disk]\nkind = "files"\npath = "users"\n'
DRIVER: Any = None  # nothing is opened here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all secrets, and a data folder."""
    (tmp_path / "admin.key").write_text(SECRET + "\n")
    (tmp_path / "turso.token").write_text(SECRET + "\n")
    (tmp_path / "signing.pem").write_bytes(pem(Ed25519PrivateKey.generate()))
    (tmp_path / "data").mkdir()
    return tmp_path


def settings(folder: Path, text: str | None, new_accounts: str = "files") -> Settings:
    """Settings that name a file of this content."""
    path = folder / "homes.toml"
    if text is not None:
        path.write_text(text)
    return Settings(data=folder / "data", homes=path, new_accounts=new_accounts)


async def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert open_homes(Settings(data=tmp_path), [], time, DRIVER) == {}
    assert Settings(homes="").homes is None
    assert not any(os.scandir(tmp_path))


async def test_each_section_is_a_place(folder: Path) -> None:
    homes = open_homes(settings(folder, SQLD + TURSO + OTHER_DISK, "cell-1"), [], time, DRIVER)
    kinds = [(name, type(home)) for name, home in homes.items()]
    assert kinds == [("cell-1", Sqld), ("turso", Turso), ("other-disk", Files)]
    assert (folder / "data" / "databases.key").stat().st_mode & 0o777 == 0o600
    for home in homes.values():
        assert SECRET not in repr(home) + repr(vars(home))
        await home.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("[cell-1", "is not TOML"),
        ("cell-1 = 5", "has a section whose name is none that a place may have"),
        ("[files]\n", "has a section whose name is none that a place may have"),
        (f'["../{SECRET}"]\n', "has a section whose name is none that a place may have"),
        (f'[a]\nkind = "{SECRET}"\n', "a.kind is not one"),
        ("[a]\n", "a.kind is not one"),
        (SQLD.replace('kind = "sqld"', ""), "cell-1.kind is not one"),
        (SQLD.replace('url = "http://127.0.0.1:8080"\n', ""), "cell-1 lacks url"),
        (SQLD.replace("http://127.0.0.1:8080", SECRET), "cell-1.url is not one"),
        (SQLD.replace("http://127.0.0.1:8090", f"http://a:{SECRET}@b"), "cell-1.admin_url is not one"),
        (SQLD + f'{SECRET} = "x"\n', "cell-1 has a key that this kind does not know"),
        (SQLD.replace("admin.key", f"no/{SECRET}"), "cell-1.admin_key_file cannot be read"),
        (SQLD.replace("signing.pem", "admin.key"), "cell-1.signing_key_file holds no private Ed25519 key"),
        (SQLD.replace("signing.pem", "other.pem"), "cell-1.signing_key_file holds no private Ed25519 key"),
        (SQLD.replace("signing.pem", SECRET), "cell-1.signing_key_file holds no private Ed25519 key"),
        (OTHER_DISK + 'url = "x"\n', "other-disk has a key that this kind does not know"),
        (OTHER_DISK.replace('path = "users"', ""), "other-disk lacks path"),
        (TURSO.replace('"example"', f'"{SECRET}/.."'), "turso.organization is not one"),
        (TURSO.replace("turso.token", "empty"), "turso.token_file cannot be read"),
        (TURSO.replace("turso.token", "two lines"), "turso.token_file cannot be read"),
    ],
)
async def test_what_is_wrong_is_named_without_its_value(folder: Path, text: str | None, said: str) -> None:
    (folder / "other.pem").write_bytes(pem(X25519PrivateKey.generate()))
    (folder / "empty").write_text("\n")
    (folder / "two lines").write_text(f"{SECRET}\n{SECRET}")
    with pytest.raises(EcholiaError) as caught:
        open_homes(settings(folder, text), [], time, DRIVER)
    assert caught.value.code == "settings_invalid"
    assert f"ECHOLIA_HOMES: {said}" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None
    assert not (folder / "data" / "databases.key").exists()


async def test_new_accounts_go_to_a_place_that_there_is(folder: Path) -> None:
    with pytest.raises(EcholiaError, match="ECHOLIA_NEW_ACCOUNTS") as caught:
        open_homes(settings(folder, SQLD, SECRET), [], time, DRIVER)
    assert SECRET not in str(caught.value)
