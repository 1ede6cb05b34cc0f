"""Rules of databases that live on a server: nothing half, nothing unchecked, nothing unscoped."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_HRANA: Final = "echolia/storage/hrana"
_PIPELINE: Final = ("tests/storage/hrana/test_pipeline.py",)
_ISOLATION: Final = ("tests/storage/hrana/test_isolation.py",)

_ON_SQLD: Final = "tests/storage/hrana/test_user_databases.py"

STORAGE: Final = (
    Mutant(
        "a step runs on its own where its transaction was taken away",
        f"{_HRANA}/pipeline.py",
        '"conds": [_ok(at), _INSIDE]',
        '"conds": [_ok(at)]',
        _PIPELINE,
    ),
    Mutant(
        "a transaction that is left open counts as success",
        f"{_HRANA}/pipeline.py",
        "        if self._inside and self._results[-2] is None:\n",
        "        if self._inside and self._results[-2] is self:\n",
        _PIPELINE,
    ),
    Mutant(
        "a server's failure counts as a refusal",
        f"{_HRANA}/faults.py",
        "if status < 500 else OutcomeUnknown",
        "if status < 600 else OutcomeUnknown",
        _PIPELINE,
    ),
    Mutant(
        "an error repeats what is no code",
        f"{_HRANA}/faults.py",
        "    if not isinstance(code, str) or not _CODE.fullmatch(code):\n",
        "    if not isinstance(code, str):\n",
        _PIPELINE,
    ),
    Mutant(
        "a database's name goes into an address unchecked",
        f"{_HRANA}/names.py",
        "    if not _NAME.fullmatch(name):\n",
        "    if not name:\n",
        _ISOLATION,
    ),
    Mutant(
        "a token opens every database",
        f"{_HRANA}/tokens.py",
        '{"id": name, "a": "rw",',
        '{"a": "rw",',
        _ISOLATION,
    ),
    Mutant(
        "another machine's full disk gives up this one's reserve",
        "echolia/storage/reserve.py",
        "        except PlaceFull:\n            raise\n",
        "",
        ("tests/storage/test_reserve.py",),
    ),
    Mutant(
        "what an interrupted creation left on an sqld is not found",
        "echolia/storage/databases.py",
        "        place = await self.registry.put(account, self.new_home, UNFINISHED)\n",
        "        place = await self.registry.put(account, self.new_home, self.upgrades.latest)\n",
        (f"{_ON_SQLD}::test_a_creation_that_the_place_did_not_end_is_remembered",),
    ),
    Mutant(
        "a whole database is cleared as if it were none",
        "echolia/storage/hrana/sqld.py",
        "        if empty.rows != [(1,)]:\n            return False\n",
        "",
        (f"{_ON_SQLD}::test_what_a_creation_left_is_found_without_a_list",),
    ),
    Mutant(
        "a server does not start while a cell is away",
        "echolia/storage/databases.py",
        "            except StorageError:\n                away.add(home)\n",
        "            except KeyError:\n                away.add(home)\n",
        (f"{_ON_SQLD}::test_what_a_creation_left_is_found_without_a_list",),
    ),
)
