"""Exporting a home into one encrypted file: resumable, with the server's evidence where there is a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from echolia.client import ledger
from echolia.client.exporting.contents import keys_record, log_records, object_record, some_objects
from echolia.client.exporting.fetching import Fetching
from echolia.client.exporting.part import SUFFIX, Part, left_at
from echolia.client.exporting.report import Exported
from echolia.client.faults import home_faults
from echolia.client.replica import Replica
from echolia.client.session import Session
from echolia.core.errors import EcholiaError
from echolia.core.export_records import KEYS
from echolia.e2ee.exports import new_head

# What is being written ("object" or "run"), how much of it there is, of how much.
OnProgress = Callable[[str, int, int], None]
# What concerns this home or its disk; anything else concerns the server, which an export does not need.
_OWN: Final = frozenset({"disk_full", "home_damaged", "home_locked"})


class SealedExport:
    """One export of a home to `target`; see `Device.export`."""

    def __init__(
        self, replica: Replica, session: Session, target: Path, passphrase: str | None,
        on_progress: OnProgress | None,
    ) -> None:  # fmt: skip
        self._replica, self._session, self._target = replica, session, target
        self._passphrase = passphrase
        self._on_progress = on_progress or (lambda _what, _done, _total: None)
        self._objects = Counter[str]()

    async def run(self, sync: Callable[[], Awaitable[object]] | None, *, force: bool) -> Exported:
        """Write it; `sync` brings home and server together first (None: the server is not asked)."""
        target = self._target
        if target.is_dir() or (not force and (target.exists() or target.is_symlink())):
            raise EcholiaError("export_exists", target.name)
        why = "offline" if sync is None else await _failed(sync)
        part, resumed = await self._replica.run(self._begin)
        try:
            await self._home(part)
            fetching = Fetching(self._replica, self._session, part, self._told_runs)
            if why and why != "mass_change":
                await self._replica.run(fetching.keep_left)
            else:
                why = await _failed(fetching.run) or why
            await self._replica.run(part.finish, fetching.reached, self._replica.identity.keys)
            counts, at = part.tally.counts, fetching.reached
            await self._replica.run(part.publish, self._target)
        finally:
            part.close()
        return await self._replica.run(
            self._report, resumed, counts["run"], None if at is None else at.seq, why
        )

    def _begin(self) -> tuple[Part, bool]:
        """The part to write: what a former run left, if this one may go on from it, or a new one."""
        database, identity, environment = (
            self._replica.database, self._replica.identity, self._replica.environment
        )  # fmt: skip
        path, recovery = self._target.with_name(self._target.name + SUFFIX), ledger.device_log(database)
        left = left_at(path)
        if left is not None and left.account != identity.account:
            raise EcholiaError("export_exists", path.name)
        if left is not None and left.recovery_box == recovery.recovery_box:
            try:
                key = left.open_with_device(identity.keys.box_secret)
                if left.has_passphrase is (self._passphrase is not None):
                    if self._passphrase is not None:
                        left.open_with_passphrase(self._passphrase)
                    return Part.go_on(path, left, key, environment), True
            except EcholiaError as error:
                if error.code not in {"export_locked", "export_invalid"}:
                    raise
        head, key = new_head(
            identity.account, environment.now_ms(), recovery.recovery_box, identity.keys.box_secret,
            self._passphrase, environment.dice,
        )  # fmt: skip
        return Part.begin(path, head, key, environment), False

    async def _home(self, part: Part) -> None:
        """All that is here."""
        await self._replica.run(self._log, part)
        total = await self._replica.run(self._replica.database.value, "SELECT count(*) FROM objects")
        after: int | None = 0
        while after is not None:
            after = await self._replica.run(self._some, part, after)
            self._on_progress("object", self._objects.total(), total)

    def _log(self, part: Part) -> None:
        for record in log_records(self._replica.database):
            part.add(record)
        left = part.peek()
        if left is not None and left.kind == KEYS:
            part.keep()  # sealed anew it would never be the same, and it fits the log before it
        else:
            part.add(keys_record(self._replica.database, self._replica.identity))

    def _some(self, part: Part, after: int) -> int | None:
        found, after_these = some_objects(self._replica.database, after)
        for one in found:
            part.add(object_record(one))
            self._objects[one["collection"]] += 1
        return after_these

    def _told_runs(self, done: int, total: int) -> None:
        self._on_progress("run", done, total)

    def _report(self, resumed: bool, runs: int, seq: int | None, why: str) -> Exported:
        database = self._replica.database
        with home_faults():
            size = self._target.stat().st_size
        return Exported(
            path=self._target,
            bytes=size,
            objects=dict(sorted(self._objects.items())),
            devices=len(ledger.device_log(database).devices),
            runs=runs,
            evidence_seq=seq,
            incomplete=why,
            quarantined=database.value("SELECT count(DISTINCT object) FROM quarantine"),
            unsent=database.value("SELECT count(*) FROM outbox"),
            resumed=resumed,
        )


async def _failed(step: Callable[[], Awaitable[object]]) -> str:
    """The code of what kept the server from its part; "" if nothing did."""
    try:
        await step()
    except EcholiaError as error:
        if error.code in _OWN:
            raise
        return error.code
    return ""
