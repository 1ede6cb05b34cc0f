"""Rules of the directory on PostgreSQL, and of notices that go through a directory."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_DRIVER: Final = "echolia/storage/postgres/driver.py"
_CONNECTIONS: Final = "echolia/storage/postgres/connections.py"
_ENGINES: Final = "tests/contracts/test_directory_engines.py"
_AWAY: Final = "tests/storage/test_postgres_driver.py"
_TWO: Final = "tests/auth/test_two_processes.py"
_MOVING: Final = "tests/storage/test_moving_in.py"

DIRECTORY: Final = (
    Mutant(
        "batches on PostgreSQL see each other half done",
        _CONNECTIONS,
        "'serializable', false",
        "'read committed', false",
        (_ENGINES, _TWO),
    ),
    Mutant(
        "a batch that met another one is given up",
        _DRIVER,
        "    return _Again(failure) if again else failure\n",
        "    return failure\n",
        (_ENGINES, _TWO),
    ),
    Mutant(
        "a closed connection is used",
        _CONNECTIONS,
        "            check=still_there,\n",
        "",
        (f"{_AWAY}::test_a_restart_is_noticed_before_anything_is_sent",),
    ),
    Mutant(
        "what may be stored already is sent again",
        _DRIVER,
        "        return _Lost() if unit.reads else outcome_unknown()\n",
        "        return _Lost()\n",
        (f"{_AWAY}::test_of_a_write_whose_connection_broke_nothing_is_claimed",),
    ),
    Mutant(
        "a cancelled batch runs on",
        _DRIVER,
        "            while not work.done():\n",
        "            while work is None:\n",
        (_ENGINES,),
    ),
    Mutant(
        "a directory is copied over another one",
        "echolia/storage/postgres/moving_in.py",
        "        if await _count(target, table):\n",
        "        if not table.name:\n",
        (_MOVING,),
    ),
    Mutant(
        "a server serves an empty directory beside a full one",
        "echolia/storage/postgres/directory.py",
        "    if (data / FILE).exists():\n",
        "    if not data.name:\n",
        (_MOVING,),
    ),
    Mutant(
        "a notice that was removed unread is not missed",
        "echolia/web/notices/database.py",
        "                if number > last + 1:\n",
        "                if number < 0:\n",
        ("tests/web/notices/test_database.py",),
    ),
    Mutant(
        "a listener that comes back says nothing",
        "echolia/storage/postgres/channel.py",
        "            began()\n",
        "",
        ("tests/web/notices/test_postgres.py",),
    ),
)
