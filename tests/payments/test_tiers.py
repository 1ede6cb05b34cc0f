"""What tiers let accounts have, and which files of tiers are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.payments.catalogue import open_tiers
from echolia.settings import Settings
from tests.payments.shop import PRO, shop
from tests.support.accounts import Keys


def test_those_that_ship_are_more_from_one_to_the_next() -> None:
    tiers = open_tiers(Settings())
    free, plus, pro = sorted(tiers.by_name.values(), key=lambda tier: tier.rank)
    assert [each.name for each in (free, plus, pro)] == ["free", "plus", "pro"]
    for less, more in ((free, plus), (plus, pro)):
        assert less.quota.bytes < more.quota.bytes
        assert less.models.tokens_per_day < more.models.tokens_per_day
        assert less.devices < more.devices


def test_what_a_tier_leaves_out_is_as_the_settings_say(tmp_path: Path) -> None:
    path = tmp_path / "tiers.toml"
    path.write_text('[gold]\nproducts = ["gold"]\nbytes = 7\n', "utf-8")
    tiers = open_tiers(Settings(tiers=path, quota_objects=3, max_devices=5, llm_concurrent=2))
    gold = tiers.by_product["gold"]
    assert (gold.quota.bytes, gold.quota.objects, gold.devices, gold.models.concurrent) == (7, 3, 5, 2)
    assert tiers.tier("gone") is tiers.free


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[free]\nproducts = ['a']",
        "[Gold]\nproducts = ['a']",
        "[gold]\nproducts = []",
        "[gold]\nproducts = ['a']\nbytes = -1",
        "[gold]\nproducts = ['a']\nbites = 1",
        "[gold]\nproducts = ['a']\n[more]\nproducts = ['a']",
    ],
)
def test_a_file_that_is_wrong_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tiers.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(EcholiaError, match="settings_invalid: ECHOLIA_TIERS"):
        open_tiers(Settings(tiers=path))


async def test_a_tier_s_devices_and_storage_are_enforced(tmp_path: Path) -> None:
    path = tmp_path / "tiers.toml"
    path.write_text(f'[pro]\nproducts = ["{PRO}"]\ndevices = 2\nbytes = 4096\n', "utf-8")
    async with shop(tmp_path / "data", tiers=path, max_devices=1, quota_bytes=1024) as store:
        anna = await store.buyer("anna")
        body = {"token_hash": b64(bytes(32))}
        assert (await anna.ask("POST", "/auth/pair-device", body)).code == "too_many_devices"
        await anna.verify(store.receipt(store.buy(await anna.token(), PRO)))
        assert (await anna.account.pair(anna.asker, anna.asker.token, Keys("phone"))).status == 204
        quota = (await anna.ask("GET", "/sync/status")).json()["quota"]
        assert (quota["tier"], quota["bytes"]["limit"]) == ("pro", 4096)


async def test_another_file_of_tiers_holds_at_once(tmp_path: Path) -> None:
    """What was projected by other settings is projected anew."""
    data, path = tmp_path / "data", tmp_path / "tiers.toml"
    async with shop(data) as store:
        anna = await store.buyer("anna")
        await anna.verify(store.receipt(store.buy(await anna.token(), PRO)))
        assert await anna.tier() == "pro"
        clock = store.clock
    path.write_text(f'[gold]\nproducts = ["{PRO}"]\n', "utf-8")
    async with shop(data, clock, tiers=path) as again:
        anna.asker.app = again.ask.app
        assert await anna.tier() == "gold"
