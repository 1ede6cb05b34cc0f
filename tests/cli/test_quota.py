"""What people and programs are told when the server takes no more, or soon will not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from echolia.client import Allowance, Held, Quota
from echolia.client.cli.quota import held_error, held_line, hints
from tests.support.command_line import in_process, result, server_process

MIB = 1 << 20
NONE = Allowance(7, None)


FULL = "The account's quota is used up. Delete or upgrade; reading still works. "
TOO_MUCH = "Too many requests. Wait as long as Retry-After says. "
DISK = "The server's disk is full. Nothing was lost; sync again later. "
LARGE = "The body is larger than this endpoint takes. Send less at a time. "
ASK = ". Delete what you need no longer, or ask for more."


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (
            Held("quota_exceeded", "bytes", Allowance(1023 * MIB, 1024 * MIB), 3600, 12),
            f"{FULL}storage: 1,023.0 MiB of 1.0 GiB; 12 changes wait here. [quota_exceeded]",
        ),
        (
            Held("quota_exceeded", "objects", Allowance(1000, 1000), 3600, 1),
            f"{FULL}objects: 1,000 of 1,000; 1 change waits here. [quota_exceeded]",
        ),
        (
            Held("rate_limited", "changes_per_minute", Allowance(9, 10), 41.2, 3),
            f"{TOO_MUCH}changes a minute: 9 of 10; 3 changes wait here; sync again in 41 s. [rate_limited]",
        ),
        (
            Held("storage_full", "", None, 0, 2),
            f"{DISK}2 changes wait here; sync again in 1 s. [storage_full]",
        ),
        (
            Held("body_too_large", "bytes", Allowance(5, 900), 0, 1),
            f"{LARGE}storage: 5 bytes of 900 bytes; 1 change waits here. [body_too_large]",
        ),
    ],
)
def test_what_is_held_back_is_said_with_what_to_do(held: Held, told: str) -> None:
    assert held_line(held) == told
    error = held_error(held)
    assert told == f"{error.meaning} {error.detail}. [{error.code}]"


@pytest.mark.parametrize(
    ("quota", "lines"),
    [
        (None, []),
        (Quota("x", NONE, NONE, Allowance(100, 100)), []),
        (Quota("x", Allowance(899, 1000), Allowance(8, 9), NONE), []),
        (
            Quota("x", Allowance(2 * MIB, 2 * MIB), Allowance(900, 1000), NONE),
            [
                f"100 % used of the account's storage: 2.0 MiB of 2.0 MiB{ASK}",
                f"90 % used of the account's objects: 900 of 1,000{ASK}",
            ],
        ),
    ],
)
def test_a_quota_that_is_nearly_used_up_is_told(quota: Quota | None, lines: list[str]) -> None:
    assert hints(quota) == lines


@pytest.mark.slow
def test_a_full_account_by_command(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = {"quota_bytes": "2500", "quota_reserve_bytes": "4000"}
    with server_process(tmp_path / "data", **settings) as server:
        result("init", "--server", server, home=home)
        first = result("add", "some words", home=home)["id"]
        told = result("sync", home=home)
        assert told["held"] is None
        assert told["quota"]["bytes"] == {"used": 0, "limit": 2500, "reserve": 4000}
        for _ in range(9):
            result("add", "more words", home=home)
        failed = in_process("sync", "--json", home=home)
        assert failed.exit_code == 1
        done, error = json.loads(failed.stdout), json.loads(failed.stderr)["error"]
        assert (done["held"]["code"], done["held"]["what"]) == ("quota_exceeded", "bytes")
        assert done["pushed"] + done["held"]["waiting"] == 9
        assert error["code"] == "quota_exceeded"
        assert f"{done['held']['waiting']} changes wait here" in error["message"]
        for_people = in_process("sync", home=home)
        assert for_people.exit_code == 1
        assert "Sent 0, received 0 changes." in for_people.stdout
        assert "% used of the account's storage" in for_people.stdout
        assert "[quota_exceeded]" in for_people.stderr
        assert "held back  The account's quota is used up." in in_process("status", home=home).stdout
        assert result("status", home=home)["held"]["code"] == "quota_exceeded"
        result("rm", first, "--yes", home=home)
        after = in_process("sync", "--json", home=home)
        assert (after.exit_code, json.loads(after.stdout)["pushed"]) == (0, done["held"]["waiting"] + 1)
        assert result("status", home=home)["held"] is None
