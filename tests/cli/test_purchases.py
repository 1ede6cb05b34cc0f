"""Buying without a store: the commands of a device, of the sandbox store and of whoever runs the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from echolia.__main__ import cli
from echolia.client.blocking import BlockingDevice
from echolia.core.errors import EcholiaError
from tests.support.command_line import in_process, result, server_process
from tests.support.former import make, rows, versions

PRO = "echolia.pro.monthly"


class Selling(NamedTuple):
    """A running server with the sandbox store: its folder and address."""

    data: Path
    url: str

    def operate(self, *words: str) -> Result:
        """A command of whoever runs it."""
        words = (*words, "--data", str(self.data))
        return CliRunner().invoke(cli, words, prog_name="echolia")

    def told(self, *words: str) -> dict[str, Any]:
        """The same in JSON."""
        done = self.operate(*words, "--json")
        assert done.exit_code == 0, done.stderr
        loaded: dict[str, Any] = json.loads(done.stdout)
        return loaded

    def happens(self, event: str, *words: str) -> dict[str, Any]:
        """Something happens in the sandbox store."""
        return self.told("payments", "sandbox", event, "--server", self.url, *words)


@pytest.fixture(scope="module")
def selling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Selling]:
    """The server."""
    folder = tmp_path_factory.mktemp("selling")
    with server_process(
        folder, sandbox_store="1", jobs_seconds="0.2", account_per_minute="1000000"
    ) as address:
        yield Selling(folder, address)


def home_on(selling: Selling, home: Path) -> Path:
    """A home with an account of its own."""
    result("init", "--server", selling.url, home=home)
    return home


def subscription(home: Path, *words: str) -> dict[str, Any]:
    """What a device says of it."""
    return result("subscription", *(words or ("show",)), home=home)


def test_a_newcomer_buys_renews_upgrades_and_lapses(selling: Selling, tmp_path: Path) -> None:
    home = home_on(selling, tmp_path / "laptop")
    assert subscription(home)["tier"] == "free"
    token = subscription(home)["account_tokens"]["sandbox"]
    bought = selling.happens("buy", "--account-token", token)
    assert bought["delivered"]
    told = subscription(home)
    assert (told["tier"], told["purchases"][0]["status"]) == ("plus", "active")
    seen = []
    for event, more in (
        ("renew", ()),
        ("upgrade", ("--product", PRO)),
        ("cancel", ()),
        ("resume", ()),
        ("fail", ()),
        ("lapse", ()),
        ("renew", ()),
        ("refund", ()),
        ("reverse", ()),
    ):
        selling.happens(event, "--purchase", bought["purchase"], *more)
        told = subscription(home)
        seen.append((event, told["tier"], told["purchases"][0]["status"]))
    assert seen == [
        ("renew", "plus", "active"),
        ("upgrade", "pro", "active"),
        ("cancel", "pro", "canceled"),
        ("resume", "pro", "active"),
        ("fail", "pro", "grace"),
        ("lapse", "free", "expired"),
        ("renew", "pro", "active"),
        ("refund", "free", "revoked"),
        ("reverse", "pro", "active"),
    ]
    text = in_process("subscription", "show", home=home)
    assert "Tier pro, paid until" in text.stdout
    assert token in text.stderr


def test_a_receipt_is_handed_over_and_restored(selling: Selling, tmp_path: Path) -> None:
    laptop, other = home_on(selling, tmp_path / "laptop"), home_on(selling, tmp_path / "other")
    bought = selling.happens("buy", "--silent")
    receipt = tmp_path / "receipt"
    receipt.write_text(bought["receipt"] + "\n")
    assert subscription(laptop, "verify", str(receipt))["tier"] == "plus"
    refused = in_process("subscription", "verify", str(receipt), home=other)
    assert refused.stderr.endswith("[purchase_owned]\n")
    assert subscription(other, "restore", str(receipt))["tier"] == "plus"
    told = subscription(laptop)
    assert (told["tier"], [move["store"] for move in told["moved"]]) == ("free", ["sandbox"])
    assert "Another account restored" in in_process("subscription", "show", home=laptop).stderr
    with BlockingDevice.open(laptop) as device:
        assert device.payments.restore("sandbox", bought["receipt"]).tier == "plus"
        assert device.payments.verify_receipt("sandbox", bought["receipt"]).purchases[0].entitles
        assert device.payments.subscription().tier == "plus"
        with pytest.raises(EcholiaError, match="receipt_invalid"):
            device.payments.verify_receipt("sandbox", "forged")


def test_whoever_runs_the_server_sees_counts_and_no_identifier(selling: Selling, tmp_path: Path) -> None:
    home = home_on(selling, tmp_path / "laptop")
    token = subscription(home)["account_tokens"]["sandbox"]
    bought = selling.happens("buy", "--account-token", token)
    subscription(home)
    told = selling.told("payments", "show")
    (purchases,) = told["purchases"]
    assert (purchases["store"], purchases["environment"]) == ("sandbox", "sandbox")
    assert purchases["purchases"] >= 1
    with BlockingDevice.open(home) as device:
        account = device.account
    one = selling.told("payments", "show", account[:8])
    assert [each["status"] for each in one["subscriptions"]] == ["active"]
    shown = selling.operate("payments", "show").stdout + selling.operate("payments", "show", account).stdout
    assert "status active" in shown
    assert token not in shown
    assert bought["purchase"] not in shown
    assert selling.told("payments", "replay")["notifications"] >= 1
    assert subscription(home)["tier"] == "plus"
    assert selling.told("payments", "reconcile")["purchases"] >= 1
    kinds = {job["kind"] for job in selling.told("jobs", "list")["jobs"]}
    assert kinds >= {"missed", "voided", "ending", "unacknowledged"}
    assert "missed" in selling.operate("jobs", "list").stdout
    assert selling.told("jobs", "list", "--dead")["jobs"] == []
    assert selling.told("jobs", "retry") == {"jobs": 0}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["payments", "show", "0000000"], "account_unknown"),
        (["payments", "show", "00"], "usage"),
        (["payments", "sandbox", "renew", "--purchase", "none"], "receipt_invalid"),
    ],
)
def test_wrong_words_are_told(selling: Selling, words: list[str], code: str) -> None:
    done = selling.operate(*words)
    assert done.exit_code != 0
    assert f"[{code}]" in done.stderr


def test_where_no_server_was_there_is_nothing_to_see(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["jobs", "list", "--data", str(tmp_path)], prog_name="echolia")
    assert done.exit_code == 1
    assert "[storage_missing]" in done.stderr


@pytest.mark.parametrize("words", [["jobs", "list"], ["jobs", "retry"], ["payments", "show"]])
def test_a_directory_of_an_older_version_is_left_to_the_server(tmp_path: Path, words: list[str]) -> None:
    path = make("directory", versions("directory")[-1], tmp_path / "directory.db")
    before = rows(path, {"schema_migrations": ["version"]})
    done = CliRunner().invoke(cli, [*words, "--data", str(tmp_path)], prog_name="echolia")
    assert done.exit_code == 1
    assert "[migration_behind]" in done.stderr and "Start the server once" in done.stderr
    assert rows(path, {"schema_migrations": ["version"]}) == before


def test_who_is_not_reached_finds_it_by_asking(selling: Selling, tmp_path: Path) -> None:
    home = home_on(selling, tmp_path / "laptop")
    token = subscription(home)["account_tokens"]["sandbox"]
    bought = selling.told(
        "payments", "sandbox", "buy", "--account-token", token, "--server", "http://127.0.0.1:1"
    )
    assert not bought["delivered"]
    assert subscription(home)["tier"] == "free"
    selling.told("payments", "reconcile")
    with BlockingDevice.open(home) as device:
        while device.payments.subscription().tier == "free":
            pass  # the server's jobs run every fifth of a second
