"""Kill a device between any two lines, then look at what is left. Run as a program by `test_crashes.py`.

    python -m tests.client.crashes SCENARIO POINTS FOLDER

The scenario runs once to count the lines of `echolia/client` that it executes; then again for each of POINTS
lines spread over them, in a fork that gets SIGKILL there. After each, a further fork opens what is left.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import echolia.client
from echolia.client import Device, EcholiaError, SpliceText, ledger
from echolia.core.merge import canonical_view, decode, join
from echolia.core.runs import chain_start
from tests.support.devices import SERVER, World, environment
from tests.support.exports import held
from tests.support.server import Clock, served

TRACED = str(Path(echolia.client.__file__).parent)
Work = Callable[[Path], Awaitable[None]]


class Executioner:
    """Counts the lines that run in `echolia/client`, in all threads, and kills the process at the n-th."""

    def __init__(self, kill_at: int) -> None:
        self.count, self._kill_at = 0, kill_at

    def begin(self) -> None:
        """Start counting."""
        threading.settrace(self._on_call)
        sys.settrace(self._on_call)

    def _on_call(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._on_line if frame.f_code.co_filename.startswith(TRACED) else None

    def _on_line(self, frame: FrameType, event: str, _: Any) -> Any:
        self.count += 1
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._on_line


def forked(work: Work, folder: Path, kill_at: int | None) -> tuple[int, str]:
    """Run in a fork; gives (lines counted, "" or "killed" or what went wrong). `kill_at` None: no tracing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        report = _run(work, folder, kill_at)
        os.write(write, json.dumps(report).encode()[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return 0, "killed" if os.WTERMSIG(status) == signal.SIGKILL else "crashed"
    count, problem = json.loads(said)
    return count, problem


def _run(work: Work, folder: Path, kill_at: int | None) -> tuple[int, str]:
    executioner = Executioner(kill_at or 0)
    try:
        if kill_at is not None:
            executioner.begin()
        asyncio.run(work(folder))  # type: ignore[arg-type]  # every scenario is a coroutine
    except BaseException:  # noqa: BLE001  # whatever it was, the parent has to hear of it
        return executioner.count, traceback.format_exc()
    finally:
        sys.settrace(None)
    return executioner.count, ""


class Stage:
    """One folder with a server and devices, opened for one scenario."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._stack = folder, AsyncExitStack()

    async def __aenter__(self) -> World:
        clock = Clock(1_795_000_000.0 + os.getpid())
        ask = await self._stack.enter_async_context(served(self.folder / "server", clock))
        return World(ask, clock, self.folder, self._stack)

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def noted(folder: Path, kind: str, id_: str, value: str) -> None:
    """Write down, outside the home, what the device has said is done."""
    with (folder / "done").open("ab", buffering=0) as file:
        file.write(json.dumps([kind, id_, value]).encode() + b"\n")


async def opened(folder: Path, name: str, world: World | None = None) -> Device:
    """A device of the folder; without a world it cannot reach a server."""
    # Its dice are seeded by the process, since a device that is killed must not repeat its nonces either.
    around = world.around(name) if world else {"environment": environment(os.getpid(), Clock())}
    return await Device.open(folder / name, **around)


# --- scenarios ------------------------------------------------------------------------------------


async def prepare(folder: Path) -> None:
    """An account with two devices that share one entry."""
    async with Stage(folder) as world:
        laptop = await world.first()
        phone = await world.added(laptop)
        shared = await laptop.collection("entries").create({"title": "shared", "body": "start"})
        for device in (laptop, phone, laptop):
            await device.sync()
        noted(folder, "create", shared, "shared")


async def prepare_sync(folder: Path) -> None:
    """The same with news on both sides."""
    await prepare(folder)
    async with Stage(folder) as world:
        for name in ("laptop", "phone"):
            device = await opened(folder, name, world)
            await edits_of(device, folder, name)
            if name == "phone":
                await device.sync()
            await device.aclose()


async def edits_of(device: Device, folder: Path, name: str) -> None:
    """Some edits of each kind, each written down once the device has said it is done."""
    entries = device.collection("entries")
    shared = json.loads((folder / "done").read_bytes().splitlines()[0])[1]
    for number in range(3):
        title = f"{name}{number}x"
        id_ = await entries.create({"title": title, "body": title, "tags": ["one", "two"]})
        noted(folder, "create", id_, title)
        await entries.update(shared, {"body": [SpliceText(0, 0, title)]})
        noted(folder, "body", shared, title)
    ids = await entries.create_many([{"title": f"{name}many{n}x"} for n in range(3)])
    for number, id_ in enumerate(ids):
        noted(folder, "create", id_, f"{name}many{number}x")
    await entries.delete(ids[0])
    noted(folder, "trash", ids[0], "")


async def edit(folder: Path) -> None:
    """Edits without a server."""
    async with await opened(folder, "laptop") as device:
        await edits_of(device, folder, "again")


async def sync(folder: Path) -> None:
    """A sync with news in both directions."""
    async with Stage(folder) as world, await opened(folder, "laptop", world) as device:
        await device.sync()


async def init(folder: Path) -> None:
    """A new account."""
    async with Stage(folder) as world:
        device, phrase = await Device.init(folder / "laptop", SERVER, **world.around("laptop"))
        noted(folder, "phrase", "", phrase)
        await device.phrase_kept()
        await device.aclose()


async def prepare_one(folder: Path) -> None:
    """An account with one device and one entry."""
    async with Stage(folder) as world:
        laptop = await world.first()
        id_ = await laptop.collection("entries").create({"title": "shared", "body": "start"})
        await laptop.sync()
        noted(folder, "create", id_, "shared")


async def join_account(folder: Path) -> None:
    """A phone joins; both devices are killed at the same time."""
    async with Stage(folder) as world, await opened(folder, "laptop", world) as laptop:
        await world.added(laptop)


async def prepare_leaving(folder: Path) -> None:
    """Two accounts on one server, one of them exported."""
    async with Stage(folder) as world:
        laptop, phrase = await Device.init(folder / "laptop", SERVER, **world.around("laptop"))
        noted(folder, "phrase", "", phrase)
        async with laptop:
            for start in (0, 60):
                titles = [{"title": f"note {n}", "body": f"{n} " * 80} for n in range(start, start + 60)]
                await laptop.collection("entries").create_many(titles)
                await laptop.sync()
            await laptop.export(folder / "done.echolia")
        other, _ = await Device.init(folder / "other", SERVER, **world.around("other"))
        await other.aclose()


async def export(folder: Path) -> None:
    """An export with evidence."""
    async with Stage(folder) as world, await opened(folder, "laptop", world) as device:
        await device.export(folder / "out.echolia")


async def take_in(folder: Path) -> None:
    """The export joins the other account."""
    async with Stage(folder) as world, await opened(folder, "other", world) as device:
        await device.take_in(folder / "done.echolia", _phrase(folder))


# --- what must hold afterwards --------------------------------------------------------------------


def check_home(device: Device) -> None:
    """The outbox continues the chain without a gap, and every object shows what it should."""
    database, identity = device._replica.database, device._replica.identity
    head = ledger.heads(database).get(identity.device)
    counter, chain = head or (0, chain_start(identity.account, identity.device))
    for row in database.rows("SELECT counter, change, chain FROM outbox ORDER BY counter"):
        counter, chain = counter + 1, ledger.chained(chain, row[1])
        assert row[::2] == (counter, chain)
    for id_, confirmed, shown in database.rows("SELECT id, confirmed, shown FROM objects"):
        states = [decode(raw) for raw in (confirmed,) if raw is not None]
        pending = database.rows("SELECT plaintext FROM outbox WHERE object = ? ORDER BY counter", id_)
        states += [decode(raw) for (raw,) in pending]
        whole = states[0]
        for state in states[1:]:
            whole = join(whole, state)
        assert canonical_view(whole) == canonical_view(decode(confirmed if shown is None else shown))
        assert bool(pending) == (shown is not None)


async def check_done(device: Device, folder: Path, only: str = "") -> None:
    """Everything that was said to be done is there, and can be found."""
    entries = device.collection("entries")
    lines = (folder / "done").read_bytes().splitlines()
    trashed = {id_ for kind, id_, _ in map(json.loads, lines) if kind == "trash"}
    for kind, id_, value in map(json.loads, lines):
        if not value.startswith(only):
            continue
        record = await entries.get(id_)
        if kind == "create":
            assert record.title == value
            found = [one.record.id for one in await entries.search(value)] if record.alive else []
            assert (id_ in found) == record.alive or id_ in trashed
        elif kind == "body":
            assert value in str(record.fields["body"])


def states(device: Device) -> dict[bytes, bytes]:
    """The canonical form of every object that the device shows."""
    rows = device._replica.database.rows("SELECT id, coalesce(shown, confirmed) FROM objects")
    return {id_: canonical_view(decode(raw)) for id_, raw in rows}


async def check_edit(folder: Path) -> None:
    """The home alone."""
    async with await opened(folder, "laptop") as device:
        check_home(device)
        await check_done(device, folder)


async def check_sync(folder: Path) -> None:
    """The home alone, then both devices after syncing again."""
    async with Stage(folder) as world:
        laptop, phone = await opened(folder, "laptop", world), await opened(folder, "phone", world)
        check_home(laptop)
        await check_done(laptop, folder, "laptop")
        for device in (laptop, phone, laptop):
            await device.sync()
        assert (await laptop.status()).pending == 0
        assert states(laptop) == states(phone)
        for device in (laptop, phone):
            check_home(device)
            await check_done(device, folder)
            await device.aclose()


async def check_init(folder: Path) -> None:
    """Calling it again gives the same account and phrase, or says that the home is finished."""
    told = [json.loads(line)[2] for line in _lines(folder / "done")]
    async with Stage(folder) as world:
        try:
            device, phrase = await Device.init(folder / "laptop", SERVER, **world.around("laptop"))
        except EcholiaError as error:
            if error.code != "home_exists" or not told:
                raise
        else:
            assert told in ([], [phrase])
            await device.phrase_kept()
            await device.aclose()
        async with await opened(folder, "laptop", world) as device:
            await device.collection("entries").create({"title": "works"})
            assert (await device.sync()).pushed == 1


async def check_join(folder: Path) -> None:
    """The phone is in the account, or can join it again."""
    async with Stage(folder) as world, await opened(folder, "laptop", world) as laptop:
        await laptop.sync()
        try:
            phone = await opened(folder, "phone", world)
        except EcholiaError as error:
            if error.code != "home_missing":
                raise
            phone = await world.added(laptop, seed=os.getpid())
        await phone.sync()
        assert states(laptop) == states(phone)
        assert phone.id in {device.id for device in await laptop.devices()}
        await phone.aclose()


async def check_export(folder: Path) -> None:
    """It is there and whole, or goes on and is whole then."""
    target = folder / "out.echolia"
    async with Stage(folder) as world, await opened(folder, "laptop", world) as device:
        if not target.exists():
            await device.export(target)
        check_home(device)
    found = held(target, _phrase(folder))
    assert (found.counts["object"], found.counts["run"]) == (120, 2)
    assert not target.with_name("out.echolia.part").exists()


async def check_taken_in(folder: Path) -> None:
    """Taking it in again brings what is missing, and nothing twice."""
    async with Stage(folder) as world, await opened(folder, "other", world) as device:
        check_home(device)
        before = len(states(device))
        done = await device.take_in(folder / "done.echolia", _phrase(folder))
        assert (done.unchanged, done.new, done.updated) == (before, 120 - before, 0)
        assert len(await device.archives()) == 1
        check_home(device)
        await device.sync()
        assert len(states(device)) == 120


def _phrase(folder: Path) -> str:
    phrase: str = json.loads(_lines(folder / "done")[0])[2]
    return phrase


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


async def nothing(folder: Path) -> None:
    """Nothing to prepare."""


SCENARIOS: dict[str, tuple[Work, Work, Work]] = {
    "edit": (prepare, edit, check_edit),
    "sync": (prepare_sync, sync, check_sync),
    "init": (nothing, init, check_init),
    "join": (prepare_one, join_account, check_join),
    "export": (prepare_leaving, export, check_export),
    "take_in": (prepare_leaving, take_in, check_taken_in),
}


def main(scenario: str, points: int, folder: Path) -> int:
    """Print what went wrong; 0 if nothing did."""
    before, work, after = SCENARIOS[scenario]
    template = folder / "template"
    template.mkdir(parents=True)
    _, problem = forked(before, template, None)
    assert not problem, problem
    total, problem = forked(work, Path(shutil.copytree(template, folder / "whole")), 0)
    assert not problem, problem
    step, killed = max(1, total // points), 0
    for kill_at in range(1 + total % step // 2, total, step):
        stage = Path(shutil.copytree(template, folder / str(kill_at)))
        _, outcome = forked(work, stage, kill_at)
        killed += outcome == "killed"
        if outcome not in {"killed", ""}:  # "": it ran fewer lines than the first time, and ended
            problem += f"--- during, to be killed at line {kill_at}\n{outcome}\n"
        _, wrong = forked(after, stage, None)
        if wrong:
            problem += f"--- after a kill at line {kill_at}\n{wrong}\n"
        shutil.rmtree(stage)
    sys.stdout.write(f"{problem}{killed} kills in {total} lines\n")
    return 1 if problem else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
