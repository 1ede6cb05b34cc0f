"""Every wrong turn on the way to a second device, as whoever takes it meets it: what happened, what to do."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest

from echolia.app import running
from echolia.e2ee.pairing import Code
from tests.support.command_line import Terminal, echolia, finished, next_step, paired, result, started
from tests.support.loopback import on_loopback
from tests.support.server import Clock, settings_for

pytestmark = pytest.mark.slow


def refusal(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a command that failed told the person."""
    assert (done.returncode, done.stdout) == (1, b"")
    told = done.stderr.decode()
    assert "Traceback" not in told and told.count("\n") == 1
    return told


def test_digits_that_are_mistyped_and_then_typed_right(new_home: Path, tmp_path: Path) -> None:
    pair = started("pair", "--digits-from-stdin", home=new_home)
    assert pair.stdin is not None and pair.stdout is not None
    shown = ""
    while "echolia join " not in shown:
        shown = pair.stdout.readline()
    join = started("join", shown.split()[-1], "--json", home=tmp_path / "phone")
    digits = next_step(join)["digits"]
    pair.stdin.write(f"{int(digits) ^ 1:06}\n12 34\n{digits}\n")
    pair.stdin.flush()
    assert next_step(join)["step"] == "joined"
    out, errors = pair.communicate(timeout=60)
    assert pair.returncode == 0, errors
    assert "These are not the digits. Tries left: 2." in out
    assert "These are not the digits. Tries left: 1." in out
    assert "is in the account" in out
    assert finished(join)[0] == 0


def test_a_code_that_was_used(new_home: Path, tmp_path: Path) -> None:
    pair = started("pair", "--json", home=new_home)
    code = next_step(pair)["code"]
    join = started("join", code, "--json", home=tmp_path / "phone")
    digits = next_step(join)["digits"]
    next_step(pair)
    # While the pairing goes on somebody else tries the same code.
    taken = "echolia: Another device has taken this code. Show a new one, to your own device alone."
    assert refusal(echolia("join", code, home=tmp_path / "tablet")) == f"{taken} [pairing_taken]\n"
    assert pair.stdin is not None
    pair.stdin.write(f"{digits}\n")
    pair.stdin.flush()
    assert next_step(join)["step"] == "joined"
    assert finished(pair)[0] == finished(join)[0] == 0
    assert refusal(echolia("join", code, home=tmp_path / "tablet")) == f"{taken} [pairing_taken]\n"
    assert len(result("devices", home=new_home)["devices"]) == 2
    paired(new_home, tmp_path / "tablet")  # nothing is left in the way


async def test_a_code_that_expired(tmp_path: Path) -> None:
    clock, laptop = Clock(), tmp_path / "laptop"
    async with running(settings_for(tmp_path / "server"), clock) as gate, on_loopback(gate) as port:
        address = f"http://127.0.0.1:{port}"
        await asyncio.to_thread(echolia, "init", "--server", address, home=laptop)
        pair = await asyncio.to_thread(started, "pair", "--json", home=laptop)
        code = (await asyncio.to_thread(next_step, pair))["code"]
        clock.pass_s(121)
        told = refusal(await asyncio.to_thread(echolia, "join", code, home=tmp_path / "phone"))
        assert told == (
            "echolia: The code has expired, or its pairing has ended. Show a new one: `echolia pair`. "
            "[pairing_expired]\n"
        )
        ended, errors = await asyncio.to_thread(finished, pair)
        assert ended == 1
        assert json.loads(errors)["error"]["code"] == "pairing_expired"


def test_a_code_that_was_given_up(new_home: Path, tmp_path: Path) -> None:
    pair = started("pair", "--json", home=new_home)
    code = next_step(pair)["code"]
    pair.send_signal(signal.SIGINT)
    assert finished(pair)[0] == 130
    assert "[pairing_expired]" in refusal(echolia("join", code, home=tmp_path / "phone"))


def test_a_home_that_exists(new_home: Path, server: str, tmp_path: Path) -> None:
    """It may be of another account, or of this one: nobody's home is taken over."""
    other = tmp_path / "other"
    before = result("init", "--server", server, home=other)["account"]
    pair = started("pair", "--json", home=new_home)
    code = next_step(pair)["code"]
    told = refusal(echolia("join", code, home=other))
    assert told == (
        "echolia: This folder already holds an Echolia home. Choose another with --home. [home_exists]\n"
    )
    assert result("status", home=other)["account"] == before
    pair.send_signal(signal.SIGINT)
    finished(pair)
    paired(new_home, tmp_path / "phone")  # the code was not spent, nor anything else


def test_a_server_that_is_away_or_another(new_home: Path, server: str, tmp_path: Path) -> None:
    for address, code in (
        ("http://127.0.0.1:1", "server_unreachable"),
        (f"{server}/healthz", "not_found"),
    ):
        text = Code(address, bytes(16), bytes(32)).encode()
        told = refusal(echolia("join", text, home=tmp_path / "phone"))
        assert told.endswith(f"[{code}]\n")
        assert f"the code names {address}, which must be Echolia's, and reachable from here" in told
    # Another Echolia server has no such pairing.
    text = Code(server, bytes(16), bytes(32)).encode()
    assert "[pairing_expired]" in refusal(echolia("join", text, home=tmp_path / "phone"))


def test_a_code_with_a_letter_changed(new_home: Path, tmp_path: Path) -> None:
    pair = started("pair", "--json", home=new_home)
    code = next_step(pair)["code"]
    whole = Code.decode(code)
    mangled = Code(whole.server, whole.mailbox, bytes((whole.secret[0] ^ 1,)) + whole.secret[1:]).encode()
    assert "[pairing_failed]" in refusal(echolia("join", mangled, home=tmp_path / "phone"))
    assert "[pairing_code_invalid]" in refusal(echolia("join", code[:-3], home=tmp_path / "phone"))
    # The right one is still good: two guesses are left to whoever mistypes.
    join = started("join", code, "--json", home=tmp_path / "phone")
    assert next_step(join)["step"] == "digits"
    for process in (join, pair):
        process.send_signal(signal.SIGINT)
        finished(process)


def test_a_device_that_was_shut_out(new_home: Path, tmp_path: Path) -> None:
    paired(new_home, tmp_path / "phone")
    phone = result("status", home=tmp_path / "phone")["device"]
    result("revoke", "--yes", phone, home=new_home)
    assert "[device_revoked]" in refusal(echolia("pair", home=tmp_path / "phone"))


def test_a_code_that_is_asked_for(new_home: Path, tmp_path: Path) -> None:
    assert echolia("join", home=tmp_path / "phone").returncode == 2
    pair = started("pair", "--json", home=new_home)
    code = next_step(pair)["code"]
    join = Terminal("join", home=tmp_path / "phone")
    join.wait_for("The code that the other device shows:")
    join.type(f"{code}\n")
    shown = join.wait_for("Type these digits on the other device:  ")
    assert "Traceback" not in shown
    pair.send_signal(signal.SIGINT)
    finished(pair)
    join.wait_for("[pairing_expired]")
    assert join.end() == 1


def test_nobody_types_in_time_and_input_ends(new_home: Path, tmp_path: Path) -> None:
    pair = started("pair", "--json", "--digits-from-stdin", home=new_home)
    join = started("join", next_step(pair)["code"], "--json", home=tmp_path / "phone")
    next_step(join)
    ended, errors = finished(pair)
    assert ended == 1
    assert "standard input ended before the digits came" in json.loads(errors)["error"]["message"]
    ended, errors = finished(join)
    assert (ended, json.loads(errors)["error"]["code"]) == (1, "pairing_expired")
