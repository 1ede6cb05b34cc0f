"""Kill a device between any two lines, then look at what is left. Run as a program by `test_crashes.py`.

    python -m tests.client.crashes SCENARIO POINTS FOLDER

The scenario runs once to count the lines of `echolia/client` that it executes; then again for each of POINTS
lines spread over them, in a fork that gets SIGKILL there. After each, a further fork opens what is left.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from echolia.client import Device, EcholiaError, SpliceText
from tests.client.crash_stage import (
    Stage,
    Work,
    check_home,
    forked,
    lines_of,
    noted,
    opened,
    states,
)
from tests.support.devices import SERVER
from tests.support.exports import held

PASSPHRASES = ("correct horse battery", "battery staple 2")


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


async def move_secrets(folder: Path) -> None:
    """The secrets go under a passphrase, then under another, then back into the file."""
    given = None
    for passphrase in (PASSPHRASES[0], PASSPHRASES[1], None):
        async with await opened(folder, "laptop", passphrase=given) as device:
            await device.keep_secrets(None, passphrase)
        noted(folder, "kept", "", passphrase or "")
        given = passphrase


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
    told = [json.loads(line)[2] for line in lines_of(folder / "done")]
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


async def check_secrets(folder: Path) -> None:
    """The home opens as it was kept before or as it was to be kept, and is whole either way."""
    kept = [json.loads(line) for line in lines_of(folder / "done")]
    last = next((value for kind, _, value in reversed(kept) if kind == "kept"), "")
    order = ("", *PASSPHRASES, "")
    at = len([kind for kind, _, _ in kept if kind == "kept"])
    assert order[at] == last
    for passphrase in dict.fromkeys(order[at : at + 2]):
        try:
            device = await opened(folder, "laptop", passphrase=passphrase or None)
        except EcholiaError as error:
            if error.code not in {"passphrase_needed", "passphrase_wrong"}:
                raise
            continue
        async with device:
            check_home(device)
            await device.keep_secrets("file")
        async with await opened(folder, "laptop"):
            return
    raise AssertionError("neither the former way nor the new one opens it")


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
    phrase: str = json.loads(lines_of(folder / "done")[0])[2]
    return phrase


async def nothing(folder: Path) -> None:
    """Nothing to prepare."""


SCENARIOS: dict[str, tuple[Work, Work, Work]] = {
    "edit": (prepare, edit, check_edit),
    "sync": (prepare_sync, sync, check_sync),
    "init": (nothing, init, check_init),
    "join": (prepare_one, join_account, check_join),
    "secrets": (prepare_one, move_secrets, check_secrets),
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
