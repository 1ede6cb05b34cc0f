"""Real documents go from a folder to a laptop, through a server to a phone, and arrive byte for byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from echolia.client import Device
from echolia.client.cli.describe import raw_text
from tests.journeys.corpus import collect, wanted
from tests.support.command_line import paired, result, server_process

pytestmark = pytest.mark.slow


class Clock:
    """How long each part took, printed for whoever runs with -s or -rP; nothing is judged by it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def part(self, name: str, count: int) -> Iterator[None]:
        """Time a part that handles `count` notes."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        self.lines.append(f"{name:16} {seconds:7.2f} s  {count / seconds:9.0f} notes/s")


def texts(home: Path) -> dict[str, bytes]:
    """Each imported file in a home: relative path → what it holds."""
    return asyncio.run(_texts(home))


async def _texts(home: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    async with await Device.open(home) as device:
        async for record in device.collection("entries").iterate():
            source = record.fields["source"]
            assert isinstance(source, dict)
            assert not record.conflicts, source["key"]
            found[str(source["key"])] = raw_text(record)
    return found


def test_a_corpus_arrives_byte_for_byte(tmp_path: Path) -> None:
    folder, laptop, phone = tmp_path / "documents", tmp_path / "laptop", tmp_path / "phone"
    corpus = collect(folder, wanted())
    clock, count = Clock(), len(corpus)
    with server_process(tmp_path / "server") as address:
        result("init", "--server", address, home=laptop)
        with clock.part("import", count):
            report = result("import", str(folder), home=laptop)
        assert (report["new"], report["skipped"]) == (count, [])
        with clock.part("import again", count):
            assert result("import", str(folder), home=laptop)["unchanged"] == count
        with clock.part("sync, laptop", count):
            assert result("sync", home=laptop)["pushed"] == count
        paired(laptop, phone)
        with clock.part("sync, phone", count):
            assert result("sync", home=phone)["pulled"] == count
        assert result("import", str(folder), home=phone)["unchanged"] == count
        assert result("sync", home=phone)["pushed"] == 0
    assert texts(laptop) == corpus
    assert texts(phone) == corpus
    sizes = {home.name: _bytes(home) for home in (laptop, phone, tmp_path / "server")}
    print(f"\n{count} documents, {sum(map(len, corpus.values())):,} bytes", *clock.lines, sep="\n")  # noqa: T201
    print("  ".join(f"{name} {size:,} bytes" for name, size in sizes.items()))  # noqa: T201


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_two_devices_that_import_the_same_folder_hold_it_once(tmp_path: Path) -> None:
    """Both import before either has synced: the same objects come to be twice, and must come to one."""
    folder, laptop, phone = tmp_path / "documents", tmp_path / "laptop", tmp_path / "phone"
    corpus = collect(folder, 40)
    with server_process(tmp_path / "server") as address:
        result("init", "--server", address, home=laptop)
        paired(laptop, phone)
        for home in (laptop, phone):
            assert result("import", str(folder), home=home)["new"] == len(corpus)
        for home in (laptop, phone, laptop):
            result("sync", home=home)
    assert texts(laptop) == corpus
    assert texts(phone) == corpus
