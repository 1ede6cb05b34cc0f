"""How a home's secrets are kept: under a passphrase, by a keychain, in a file; changed safely, not shown."""

from __future__ import annotations

import asyncio
import os
import shutil
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.vault import Vault
from echolia.core import canonical
from tests.support.devices import SERVER, World
from tests.support.keychains import InMemory, machine

PASSPHRASE = "correct horse battery"


class Killed(BaseException):
    """The process ended here."""


class Dying:
    """Takes `after` durable steps, then dies before or after the next."""

    def __init__(self, after: int, *, before: bool) -> None:
        self._left, self._before = after, before
        self.steps = 0

    def __call__(self, step: Callable[[], object]) -> None:
        """See `Environment.durably`."""
        self.steps += 1
        if self._left == 0 and self._before:
            raise Killed
        step()
        if self._left == 0:
            raise Killed
        self._left -= 1


async def code_of(work: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        await work
    return error.value.code


@pytest.fixture
async def home(world: World) -> Path:
    """A closed home with one entry, its secrets in a file."""
    device, _ = await Device.init(world.folder / "home", SERVER, **world.around("home"))
    await device.phrase_kept()
    await device.collection("entries").create({"title": "kept"})
    await device.aclose()
    return world.folder / "home"


async def put_under(world: World, home: Path, new: str = PASSPHRASE, **more: Any) -> None:
    """Put the home's secrets under a passphrase."""
    async with await Device.open(home, **world.around("home"), **more) as device:
        await device.keep_secrets("passphrase", new)


def with_keychain(world: World, backend: InMemory, name: str = "home") -> dict[str, Any]:
    """What a device on a machine with this keychain is opened with."""
    around = world.around(name)
    return {**around, "environment": replace(around["environment"], keychain=machine(backend))}


async def secrets_of(home: Path, world: World, passphrase: str | None = None, **around: Any) -> list[bytes]:
    """Every secret in a home's vault."""
    vault = await Vault.load(home / "vault", passphrase, (around or world.around("x"))["environment"])
    return [vault.keys.sign_secret, vault.keys.box_secret, vault.secrets.index, *vault.secrets.keys.values()]


# --- under a passphrase ---


async def test_a_passphrase_set_changed_and_removed(world: World, home: Path) -> None:
    secrets = await secrets_of(home, world)
    assert all(secret in (home / "vault").read_bytes() for secret in secrets)
    await put_under(world, home)
    assert await code_of(Device.open(home)) == "passphrase_needed"
    assert await code_of(Device.open(home, passphrase="incorrect horse")) == "passphrase_wrong"
    await put_under(world, home, "battery staple 2", passphrase=PASSPHRASE)
    assert await code_of(Device.open(home, passphrase=PASSPHRASE)) == "passphrase_wrong"
    raw = (home / "vault").read_bytes()
    assert not [secret for secret in secrets if secret in raw]
    assert (home / "vault").stat().st_mode & 0o777 == 0o600
    async with await Device.open(home, passphrase="battery staple 2", **world.around("home")) as device:
        assert (await device.status()).secrets == "passphrase"
        await device.sync()
        assert await device.collection("entries").count() == 1
        await device.keep_secrets()
        assert (await device.status()).secrets == "file"
    assert await secrets_of(home, world) == secrets
    async with await Device.open(home, **world.around("home")) as device:
        assert (await device.status()).secrets == "file"


async def test_a_home_is_made_and_joined_under_a_passphrase(world: World) -> None:
    folder = world.folder / "new"
    device, phrase = await Device.init(folder, SERVER, passphrase=PASSPHRASE, **world.around("new"))
    await device.aclose()
    assert await code_of(Device.init(folder, SERVER, **world.around("new"))) == "passphrase_needed"
    again, same = await Device.init(folder, SERVER, passphrase=PASSPHRASE, **world.around("new"))
    assert same == phrase
    await again.phrase_kept()
    async with again, again.pair() as pairing:
        joining = Device.join(
            world.folder / "phone",
            pairing.code,
            passphrase=bytearray(b"the phone's own"),
            **world.around("phone"),
        )
        async with joining:
            _, digits = await asyncio.gather(pairing.guest(), joining.digits())
            _, phone = await asyncio.gather(pairing.confirm(digits), joining.finish())
        await phone.aclose()
    for home in (folder, world.folder / "phone"):
        assert canonical.decode((home / "vault").read_bytes())["v"] == 2
        assert await code_of(Device.open(home)) == "passphrase_needed"


async def test_whoever_opens_is_asked_only_if_need_be(world: World, home: Path) -> None:
    asked: list[bytearray] = []

    def ask() -> bytearray:
        asked.append(bytearray(PASSPHRASE.encode()))
        return asked[-1]

    async def ask_slowly() -> str:
        return PASSPHRASE

    async with await Device.open(home, passphrase=ask, **world.around("home")) as device:
        assert asked == []
        await device.keep_secrets("passphrase", ask)
    async with await Device.open(home, passphrase=ask, **world.around("home")):
        assert asked == [bytearray(len(PASSPHRASE))] * 2  # what was handed over is overwritten
    async with await Device.open(home, passphrase=ask_slowly, **world.around("home")):
        pass
    assert await code_of(Device.open(home, passphrase=lambda: None)) == "passphrase_needed"


@pytest.mark.parametrize("passphrase", ["short 7", "", "x" * 1025])
async def test_a_passphrase_that_is_none_changes_nothing(world: World, home: Path, passphrase: str) -> None:
    before = (home / "vault").read_bytes()
    assert await code_of(put_under(world, home, passphrase)) == "passphrase_invalid"
    assert (home / "vault").read_bytes() == before


async def test_each_write_has_a_fresh_nonce_and_each_passphrase_a_fresh_salt(
    world: World, home: Path
) -> None:
    seen: list[tuple[bytes, bytes]] = []
    for n, given in enumerate((None, PASSPHRASE, PASSPHRASE)):
        async with await Device.open(home, passphrase=given, **world.around("home", seed=n + 1)) as device:
            await device.keep_secrets("passphrase", PASSPHRASE)
        shutil.copy(home / "vault", world.folder / "backup")
        fields = canonical.decode((home / "vault").read_bytes())
        seen.append((fields["nonce"], fields["head"]["salt"]))
    assert len({nonce for nonce, _ in seen}) == len({salt for _, salt in seen}) == 3
    # A backup that came back goes on with other nonces: the salt, and so the key, is the same.
    for seed in ("one life", "another"):
        shutil.copy(world.folder / "backup", home / "vault")
        around = world.around("home", seed=seed)
        async with await Device.open(home, passphrase=PASSPHRASE, **around) as device:
            device._opened.keep(device._opened.vault)
        fields = canonical.decode((home / "vault").read_bytes())
        assert fields["head"]["salt"] == seen[2][1]
        seen.append((fields["nonce"], b""))
    assert len({nonce for nonce, _ in seen}) == 5


async def test_a_planted_vault_is_refused_before_anybody_is_asked(world: World, home: Path) -> None:
    await put_under(world, home)
    fields = canonical.decode((home / "vault").read_bytes())
    fields["head"]["mem"] = 8192
    (home / "vault").write_bytes(canonical.encode(fields))

    def ask() -> str:
        raise AssertionError("asked")

    assert await code_of(Device.open(home, passphrase=ask)) == "vault_refused"


async def test_damage_is_told_from_a_wrong_passphrase(world: World, home: Path) -> None:
    await put_under(world, home)
    raw = (home / "vault").read_bytes()
    (home / "vault").write_bytes(raw[:-1] + bytes((raw[-1] ^ 1,)))
    assert await code_of(Device.open(home, passphrase=PASSPHRASE)) == "home_damaged"
    assert await code_of(Device.open(home, passphrase="another one")) == "passphrase_wrong"


async def test_the_vault_of_one_home_in_another(world: World, home: Path) -> None:
    await put_under(world, home)
    other, _ = await Device.init(world.folder / "other", SERVER, **world.around("other"))
    await other.aclose()
    shutil.copy(home / "vault", world.folder / "other" / "vault")
    assert await code_of(Device.open(world.folder / "other", passphrase=PASSPHRASE)) == "home_damaged"


async def test_a_new_identity_stays_under_the_passphrase(world: World, home: Path) -> None:
    await put_under(world, home)
    await asyncio.to_thread(shutil.copytree, home, world.folder / "copy")
    async with await Device.open(home, passphrase=PASSPHRASE, **world.around("home")) as one:
        await one.collection("entries").create({"title": "one"})
        await one.sync()
    copy = await Device.open(world.folder / "copy", passphrase=PASSPHRASE, **world.around("copy"))
    async with copy:
        former = copy.id
        await copy.collection("entries").create({"title": "two"})
        await copy.sync()
        assert copy.id != former
    assert await code_of(Device.open(world.folder / "copy")) == "passphrase_needed"
    async with await Device.open(
        world.folder / "copy", passphrase=PASSPHRASE, **world.around("copy")
    ) as again:
        assert again.id != former


# --- stopped anywhere ---


@pytest.mark.parametrize("before", [True, False])
async def test_stopped_while_the_secrets_are_moved(world: World, home: Path, *, before: bool) -> None:
    """Before the one step the former way opens the home, after it the new one; never none, never both."""
    around = world.around("home")
    dying = Dying(0, before=before)
    device = await Device.open(home, **around)
    device._opened.replica.environment = replace(around["environment"], durably=dying)
    with pytest.raises(Killed):
        await device.keep_secrets("passphrase", PASSPHRASE)
    device._opened.lock.release()
    await device._replica.close()
    assert dying.steps == 1
    given = None if before else PASSPHRASE
    async with await Device.open(home, passphrase=given, **world.around("home")) as again:
        assert (await again.status()).secrets == ("file" if before else "passphrase")
        await again.keep_secrets("passphrase", "battery staple 2")
    async with await Device.open(home, passphrase="battery staple 2", **world.around("home")) as again:
        await again.sync()
    assert sorted(await asyncio.to_thread(os.listdir, home)) == ["echolia.db", "lock", "vault"]


async def test_a_full_disk_leaves_the_former_vault(world: World, home: Path) -> None:
    (home / "vault.new").mkdir()  # nothing can be written there
    before = (home / "vault").read_bytes()
    async with await Device.open(home, **world.around("home")) as device:
        with pytest.raises(OSError, match=r"vault\.new"):
            await device.keep_secrets("passphrase", PASSPHRASE)
        assert (await device.status()).secrets == "file"
    assert (home / "vault").read_bytes() == before


# --- by a keychain ---


async def test_a_keychain_that_is_open_is_used_from_the_first_on(world: World) -> None:
    backend, folder = InMemory(), world.folder / "home"
    device, _ = await Device.init(folder, SERVER, **with_keychain(world, backend))
    async with device:
        assert (await device.status()).secrets == "keychain"
        await device.phrase_kept()
    [((service, name), kept)] = backend.kept.items()
    head = canonical.decode((folder / "vault").read_bytes())["head"]
    assert (service, name) == ("echolia", head["id"].hex())
    raw = (folder / "vault").read_bytes()
    secrets = await secrets_of(folder, world, **with_keychain(world, backend))
    assert not [secret for secret in secrets if secret in raw]
    assert kept.encode() not in raw
    async with await Device.open(folder, **with_keychain(world, backend)) as again:
        await again.collection("entries").create({"title": "one"})
        await again.sync()


async def test_a_keychain_that_is_locked_or_drops_things_is_left_alone(world: World) -> None:
    for name in ("locked", "forgets"):
        backend = InMemory()
        setattr(backend, name, True)
        around = with_keychain(world, backend, name)
        device, _ = await Device.init(world.folder / name, SERVER, **around)
        async with device:
            assert (await device.status()).secrets == "file"
            assert await code_of(device.keep_secrets("keychain")) == "keychain_unavailable"
            assert (await device.status()).secrets == "file"
    assert (
        await code_of(Device.init(world.folder / "must", SERVER, kept="keychain", **around))
        == "keychain_unavailable"
    )
    assert not (world.folder / "must" / "vault").exists()


async def test_a_machine_without_a_keychain(world: World, home: Path) -> None:
    async with await Device.open(home, **world.around("home")) as device:
        assert await code_of(device.keep_secrets("keychain")) == "keychain_unavailable"
        assert (await device.status()).secrets == "file"


async def test_a_keychain_is_used_and_left(world: World, home: Path) -> None:
    backend = InMemory()
    async with await Device.open(home, **with_keychain(world, backend)) as device:
        assert (await device.status()).secrets == "file"  # an older home stays as it is until it is told
        await device.keep_secrets("keychain")
    copy = await asyncio.to_thread(shutil.copytree, home, world.folder / "copy")
    assert await code_of(Device.open(home, **world.around("home"))) == "keychain_unavailable"
    backend.locked = True
    assert await code_of(Device.open(home, **with_keychain(world, backend))) == "keychain_unavailable"
    backend.locked = False
    async with await Device.open(home, **with_keychain(world, backend)) as device:
        await device.keep_secrets("file")
    async with await Device.open(home, **world.around("home")):
        pass
    async with await Device.open(copy, **with_keychain(world, backend)) as other:
        assert other.id == device.id  # a copy made before still opens: nothing was deleted


async def test_from_a_keychain_to_a_passphrase_and_back(world: World, home: Path) -> None:
    backend = InMemory()
    around = with_keychain(world, backend)
    async with await Device.open(home, **around) as device:
        await device.keep_secrets("keychain")
        await device.keep_secrets("passphrase", PASSPHRASE)
    backend.locked = True
    async with await Device.open(home, passphrase=PASSPHRASE, **around) as device:
        backend.locked = False
        await device.keep_secrets()
        assert (await device.status()).secrets == "keychain"
    assert len(backend.kept) == 2


# --- hygiene ---


async def test_nothing_of_it_is_shown_and_the_key_is_overwritten(world: World, home: Path) -> None:
    await put_under(world, home)
    async with await Device.open(home, passphrase=PASSPHRASE, **world.around("home")) as device:
        keeping: Any = device._opened.vault.keeping
        key = keeping.key
        assert any(key)
        told = repr(keeping) + repr(device._opened) + repr(device._opened.vault)
        assert bytes(key).hex() not in told and repr(bytes(key))[2:-1] not in told
        assert PASSPHRASE not in told
    assert key == bytearray(32)


async def test_a_failure_carries_nothing_of_it(
    world: World, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await put_under(world, home)
    backend = InMemory()
    backend.locked = True
    for given, around in (
        ("not the right canary", world.around("home")),
        (b"\xffcanary", world.around("home")),
        (None, with_keychain(world, backend)),
    ):
        with pytest.raises(EcholiaError) as refused:
            await Device.open(home, passphrase=given, **around)
        error = refused.value
        told = "".join(traceback.format_exception(error)) + repr(error) + error.detail
        assert "canary" not in told and "secret words" not in told
        assert error.__cause__ is None
    assert "canary" not in caplog.text
