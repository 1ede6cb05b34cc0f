"""What the server does for a device that is up to date costs the same, however long the log is."""

from __future__ import annotations

from pathlib import Path

from echolia.sync.models import read_pull
from tests.support.steps import counted
from tests.sync.conftest import ACCOUNT, EPOCH, Log, open_log

FEW, MANY = 40, 800
MORE = 1.2  # a tree that is one level deeper
TURNS = ("status", "nothing to pull", "push of one")


async def steps_of(folder: Path, runs: int) -> dict[str, int]:
    """Instructions of the account's database, by what was asked of a server that has just opened it."""
    log = await open_log(folder, new=True)
    for _ in range(runs):
        log.laptop.write()
        await log.service.push(log.caller(log.laptop), [log.laptop.run(len(log.laptop.changes))])
    await log.databases.close()
    log.databases = (opened := await open_log(folder)).databases
    log.service = opened.service
    found = {}
    async with log.databases.lease(ACCOUNT) as database:
        connection = database.db._connection  # type: ignore[attr-defined]  # the SQLite driver's
        with counted(connection) as steps:
            for turn in TURNS:
                before = steps.count
                await ask(log, turn, runs)
                found[turn] = steps.count - before
    await log.databases.close()
    return found


async def ask(log: Log, turn: str, runs: int) -> None:
    """One of the things that are measured."""
    caller = log.caller(log.laptop)
    if turn == "status":
        assert (await log.service.status(caller))["head"]["seq"] == runs
    elif turn == "push of one":
        log.laptop.write()
        await log.service.push(caller, [log.laptop.run(runs + 1)])
    else:
        request = read_pull(f'{{"cursor": {{"epoch": {EPOCH}, "seq": {runs}}}}}'.encode())
        assert (await log.service.pull(caller, request)).items == []


async def test_it_costs_no_more_in_a_long_log(tmp_path: Path) -> None:
    few, many = await steps_of(tmp_path / "few", FEW), await steps_of(tmp_path / "many", MANY)
    assert {turn: many[turn] for turn in TURNS if many[turn] > MORE * few[turn]} == {}
    assert min(many["status"], many["push of one"]) > 0
