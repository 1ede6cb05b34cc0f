"""Rules of several processes: who owns an account, who may write to it, where requests go."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_PLACEMENT: Final = "echolia/workers/placement.py"
_FENCING: Final = "echolia/storage/fencing.py"
_SEVERAL: Final = "tests/workers/test_several.py"
_PLACED: Final = "tests/workers/test_placement.py"
_CENSUS: Final = "echolia/workers/census.py"
_SECURED: Final = "echolia/workers/secured.py"
_FORMER: Final = "tests/storage/test_moves_of_former_owners.py"
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
        "        await self._owned[number].idle.wait()\n",
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
        "a former owner finishes a move",
        "echolia/storage/moving.py",
        "registry.switch(account, place.home, to, fence):\n",
        "registry.switch(account, place.home, to):\n",
        (f"{_FORMER}::test_a_former_owner_switches_nothing",),
    ),
    Mutant(
        "a former owner writes into a copy that the next has finished",
        "echolia/storage/moving.py",
        "            copy = copy if fence is None else fenced_copy(copy, fence)\n",
        "",
        (f"{_FORMER}::test_a_former_owner_writes_nothing_into_what_the_next_has_copied",),
    ),
    Mutant(
        "who has lost an account removes what it takes for left over",
        "echolia/storage/moving.py",
        "        self._databases.fence(account)  # who has lost it does not know what is left over\n",
        "",
        (f"{_FORMER}::test_who_knows_that_it_is_lost_removes_nothing",),
    ),
    Mutant(
        "what was another's meanwhile is taken for ours all the time",
        _PLACEMENT,
        "            if number not in ours or ours[number].fence != owned.fence:\n",
        "            if number not in ours:\n",
        (f"{_PLACED}::test_what_was_another_s_meanwhile_is_begun_anew",),
    ),
    Mutant(
        "who was taken for dead lives again before it has looked",
        _PLACEMENT,
        "                await self._look()\n                await self._join(begun_ms)\n",
        "                await self._join(begun_ms)\n",
        (f"{_PLACED}::test_who_was_taken_for_dead_gives_up_what_others_have",),
    ),
    Mutant(
        "who has beaten meanwhile is buried",
        "echolia/workers/store.py",
        '"DELETE FROM workers WHERE worker = ? AND beat_ms = ?"\n',
        '"DELETE FROM workers WHERE worker = ? AND beat_ms <= ? + 1"\n',
        (f"{_PLACED}::test_who_has_beaten_since_it_was_looked_at_is_not_buried",),
    ),
    Mutant(
        "what prepares a slot waits for itself",
        _PLACEMENT,
        "        early = preparing and slot_of(account) in self._preparing and not self._silent()\n",
        "        early = False\n",
        (f"{_PLACED}::test_only_what_prepares_a_slot_enters_it_early",),
    ),
    Mutant(
        "others' clocks are believed",
        _CENSUS,
        "            self._seen[worker.id] = (worker.beat_ms, since_ms)\n",
        "            self._seen[worker.id] = (worker.beat_ms, worker.beat_ms)\n",
        ("tests/workers/test_census.py",),
    ),
    Mutant(
        "who could not look for long takes others for dead",
        _CENSUS,
        "            self._seen.clear()  # who could not look itself for so long cannot tell\n",
        "            pass\n",
        ("tests/workers/test_census.py::test_who_has_not_looked_for_long_does_not_judge",),
    ),
    Mutant(
        "a copied data folder is taken for the same machine",
        _CENSUS,
        "    return sha256(made + where.encode()).digest()[:HOST_BYTES]\n",
        "    return sha256(made + where[:0].encode()).digest()[:HOST_BYTES]\n",
        ("tests/workers/test_census.py::test_a_copy_of_the_folder_is_another_machine",),
    ),
    Mutant(
        "anybody is heard by another machine",
        _SECURED,
        "    context.verify_mode = ssl.CERT_REQUIRED\n",
        "    context.verify_mode = ssl.CERT_NONE\n",
        ("tests/workers/test_secured.py",),
    ),
    Mutant(
        "older TLS is spoken",
        _SECURED,
        "    context.minimum_version = ssl.TLSVersion.TLSv1_3\n",
        "    context.minimum_version = ssl.TLSVersion.TLSv1_2\n",
        ("tests/workers/test_secured.py::test_nothing_older_than_tls_1_3_is_spoken",),
    ),
    Mutant(
        "a machine with another key serves",
        "echolia/workers/agreement.py",
        "    wrong = sorted(name for name, print_ in ours.items() if there[name] != print_)\n",
        "    wrong = sorted(name for name, print_ in ours.items() if name not in there)\n",
        ("tests/workers/test_agreement.py::test_a_key_that_is_missing_or_another_is_named",),
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
        "echolia/limiting.py",
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
        "echolia/limiting.py",
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
        "echolia/storage/secret_files.py",
        "                    other.unlink(missing_ok=True)\n",
        "                    pass\n",
        (
            "tests/storage/test_daily_keys.py::test_processes_share_the_key_of_a_day_and_the_next_day_s_removes_it",
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
