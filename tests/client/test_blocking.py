"""The blocking face: the whole SDK from a script without async, over real HTTP."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from echolia.client import EcholiaError
from echolia.client.blocking import BlockingDevice
from tests.support.process import ServerProcess


@pytest.mark.slow
def test_a_script_over_http(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "server") as server:
        device, phrase = BlockingDevice.init(tmp_path / "laptop", server.url)
        assert len(phrase.split()) == 24
        with device:
            entries = device.collection("entries")
            ids = [entries.create({"title": f"note {n}"}) for n in range(3)]
            with device.batch() as batch:
                batch.update("entries", ids[0], {"starred": True})
            assert {record.id for record in entries.iterate(page=2)} == set(ids)
            assert device.sync().pushed == 4
            assert device.status().pending == 0
            with device.pair() as pairing:
                joined = phone_joins(tmp_path / "phone", pairing)
            assert joined == 3
            server.stop()
            entries.create({"title": "offline"})
            with pytest.raises(EcholiaError, match="server_unreachable"):
                device.sync()
            server.start()
            assert device.sync().pushed == 1
        with BlockingDevice.open(tmp_path / "laptop") as device:
            device.keep_secrets("passphrase", lambda: "correct horse battery")
        with pytest.raises(EcholiaError, match="passphrase_needed"):
            BlockingDevice.open(tmp_path / "laptop")
        with BlockingDevice.open(tmp_path / "laptop", passphrase="correct horse battery") as device:
            assert device.status().secrets == "passphrase"
        assert "echolia-loop" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(EcholiaError, match="home_missing"):
            BlockingDevice.open(tmp_path / "nowhere")
        assert "echolia-loop" not in {thread.name for thread in threading.enumerate()}


def phone_joins(home: Path, pairing: Any) -> int:
    """Pair a phone; how many entries it then has."""
    digits, counted = list[str](), list[int]()
    shown = threading.Event()

    def phone() -> None:
        with BlockingDevice.join(home, pairing.code) as joining:
            digits.append(joining.digits())
            shown.set()
            with joining.finish() as device:
                device.sync()
                counted.append(device.collection("entries").count())

    thread = threading.Thread(target=phone)
    thread.start()
    pairing.guest()
    assert shown.wait(20)
    pairing.confirm(digits[0])
    thread.join(20)
    return counted[0]


def test_watching_and_closing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "server") as server:
        device, _ = BlockingDevice.init(tmp_path / "laptop", server.url)
        with device:
            note = device.collection("entries").create({"title": "one"})
            for changed in device.watch():
                assert changed.objects == {note}
                break
