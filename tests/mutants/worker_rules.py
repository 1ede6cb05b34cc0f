"""Rules of several processes: who owns an account, who may write to it, where requests go."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_PLACEMENT: Final = "echolia/workers/placement.py"
_FENCING: Final = "echolia/storage/fencing.py"
_SEVERAL: Final = "tests/workers/test_several.py"
_PLACED: Final = "tests/workers/test_placement.py"
_NETWORKS: Final = "tests/web/test_networks.py"
_COUNTS: Final = "tests/web/test_redis_counts.py"

WORKERS: Final = (
    Mutant(
        "a former owner writes",
        _FENCING,
        "            _, *results = await self._db.batch([self._assertion, *statements])\n",
        "            _, *results = await self._db.batch([Statement('SELECT 1'), *statements])\n",
        (f"{_SEVERAL}::test_only_the_last_owner_of_a_database_reads_and_writes",),
    ),
    Mutant(
        "a former owner opens a database",
        _FENCING,
        "    if await fence_of(db) != fence:\n",
        "    if await fence_of(db) is None:\n",
        (f"{_SEVERAL}::test_only_the_last_owner_of_a_database_reads_and_writes",),
    ),
    Mutant(
        "an account is handed over while requests of it run",
        _PLACEMENT,
        "        await owned.idle.wait()\n",
        "",
        (f"{_PLACED}::test_it_is_handed_over_once_nothing_runs_in_it",),
    ),
    Mutant(
        "what somebody has is claimed",
        "echolia/workers/store.py",
        '    "UPDATE slots SET owner = ?1, fence = fence + 1 WHERE slot = ?2 AND fence = ?3"\n'
        '    " AND (owner IS NULL OR owner = ?4) RETURNING fence"\n',
        '    "UPDATE slots SET owner = ?1, fence = fence + 1 WHERE slot = ?2 AND (?3 >= 0 OR ?4 IS NULL)"\n'
        '    " RETURNING fence"\n',
        (f"{_PLACED}::test_of_many_who_claim_one_gets_it",),
    ),
    Mutant(
        "who has not beaten for long goes on serving",
        _PLACEMENT,
        "        return owned is not None and owned.open and not self._silent()\n",
        "        return owned is not None and owned.open\n",
        (f"{_PLACED}::test_who_was_taken_for_dead_gives_up_what_others_have",),
    ),
    Mutant(
        "an owner is not told of a device that came by another process",
        "echolia/auth/service/membership.py",
        "        await self.devices.grown_elsewhere(account)\n",
        "",
        (f"{_SEVERAL}::test_a_device_that_recovery_added_anywhere_may_push",),
    ),
    Mutant(
        "what is given up goes on over there",
        "echolia/workers/channel.py",
        "            self._stream.send(cbor2.dumps([number, None, []]))\n",
        "            answer.cancel()\n",
        ("tests/workers/test_channel.py::test_what_is_given_up_has_stopped",),
    ),
    Mutant(
        "each process counts networks for itself",
        "echolia/web/networks.py",
        "        if window is not None and window.used > self._limits.most(name):\n",
        "        if window is not None and window.used > 2 * self._limits.most(name):\n",
        (f"{_NETWORKS}::test_processes_count_together",),
    ),
    Mutant(
        "what does not answer is asked at each request",
        "echolia/web/networks.py",
        "        if self._shared is None or self._monotonic() < self._ask_again:\n",
        "        if self._shared is None:\n",
        (f"{_NETWORKS}::test_while_they_are_away_a_process_counts_for_itself_and_says_so_once",),
    ),
    Mutant(
        "processes blind networks under keys of their own",
        "echolia/app.py",
        '    origins = Origins(settings.trusted_proxies, clock, daily_keys(settings.data, "networks"))\n',
        "    origins = Origins(settings.trusted_proxies, clock)\n",
        (f"{_COUNTS}::test_two_processes_share_each_limit",),
    ),
    Mutant(
        "a failing Redis fails a request",
        "echolia/web/redis_counts.py",
        "        except Exception:  # noqa: BLE001  # whatever it answers: no request fails because of it\n",
        "        except ValueError:\n",
        (f"{_COUNTS}::test_killed_in_the_middle_each_process_goes_on_alone",),
    ),
    Mutant(
        "Redis is waited for as long as it likes",
        "echolia/app.py",
        "RedisCounts(settings.redis_url, settings.redis_seconds)",
        "RedisCounts(settings.redis_url, 600)",
        (f"{_COUNTS}::test_one_that_accepts_and_never_answers_holds_nobody_up",),
    ),
    Mutant(
        "a count in Redis never ends",
        "echolia/web/redis_counts.py",
        "if left_ms < 0 then\n",
        "if left_ms < -2 then\n",
        (f"{_COUNTS}::test_a_key_without_an_end_is_given_one",),
    ),
    Mutant(
        "the key of a day outlives it",
        "echolia/web/shared_keys.py",
        "                    other.unlink(missing_ok=True)\n",
        "                    pass\n",
        (
            "tests/web/test_shared_keys.py::test_processes_share_the_key_of_a_day_and_the_next_day_s_removes_it",
        ),
    ),
    Mutant(
        "who does not answer for its metrics is asked again and again",
        "echolia/workers/polling.py",
        "        if task is None:\n",
        "        if task is not None or True:\n",
        ("tests/workers/test_metrics.py::test_who_does_not_answer_is_asked_once_and_left_out",),
    ),
    Mutant(
        "series of two workers look like one",
        "echolia/web/scraping.py",
        '{**labels, "worker": str(worker)}',
        "labels",
        ("tests/workers/test_metrics.py::test_any_process_tells_the_numbers_of_all",),
    ),
)
