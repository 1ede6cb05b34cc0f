"""Whether what a push would store still fits the account's quota (`spec/sync.md#quota`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from echolia.sync import objects
from echolia.sync.objects import Remembering
from echolia.sync.store import LogState, NewRun
from echolia.web.context import Entitlements, Quota, Refusal
from echolia.web.limits import Amounts
from echolia.web.tiers import OneTier

# A full account stays full until somebody deletes or pays: nobody need ask more often.
FULL_RETRY_S: Final = 3600
BYTES: Final = "bytes"
OBJECTS: Final = "objects"
CHANGES: Final = "changes_per_minute"


class Share(NamedTuple):
    """One of the things that a quota limits: how much is used, and how much there may be (0: no limit)."""

    what: str
    used: int
    limit: int
    reserve: int = 0

    def fits(self, needed: int, reserve: bool) -> bool:
        """Whether so much more may come, with the reserve's room or without."""
        return not self.limit or self.used + needed <= self._allowed(reserve)

    def refusal(self, needed: int, reserve: bool, retry_after_s: int) -> Refusal:
        """Why so much more does not fit."""
        members = {"what": self.what, "used": self.used, "limit": self.limit, "needed": needed}
        if self.what != CHANGES:
            members["reserve"] = self.reserve
        detail = f"{self.what}: {self.used} of {self.limit} used, {needed} needed"
        if needed > self._allowed(reserve):
            return Refusal("body_too_large", detail, members=members)
        code = "rate_limited" if self.what == CHANGES else "quota_exceeded"
        return Refusal(code, detail, retry_after_s=retry_after_s, members=members)

    def as_json(self) -> dict[str, Any]:
        """The share as the status carries it."""
        told = {"used": self.used, "limit": self.limit or None}
        return told if self.what == CHANGES else {**told, "reserve": self.reserve}

    def _allowed(self, reserve: bool) -> int:
        return self.limit + (self.reserve if reserve else 0)


@dataclass(frozen=True, slots=True)
class Quotas:
    """Holds pushes to the quotas of their accounts; `minute` counts changes, in this process."""

    entitlements: Entitlements
    minute: Amounts

    async def admit(
        self,
        db: Remembering,
        stored_bytes: int,
        before: LogState,
        after: LogState,
        new: Sequence[NewRun],
        reserve: bool,
    ) -> None:
        """Take note of runs that are about to be stored and take the log from `before` to `after`.

        `stored_bytes` are there before. `reserve`: they may have the reserve's room. Raises, with nothing
        noted: `body_too_large`, `quota_exceeded`, `rate_limited`.
        """
        quota = await self.entitlements.quota(before.account)
        size = after.total_bytes - before.total_bytes
        stored = Share(BYTES, stored_bytes, quota.bytes, quota.reserve_bytes)
        if not stored.fits(size, reserve):
            raise stored.refusal(size, reserve, FULL_RETRY_S)
        if quota.objects:
            await self._admit_objects(db, quota, before, after, new, reserve)
        who, changes = before.account.hex(), after.position.seq - before.position.seq
        minute = self._changes(quota, who)
        if not minute.fits(changes, reserve):
            raise minute.refusal(changes, reserve, self.minute.ends_in_s(who))
        self.minute.add(who, changes)

    async def _admit_objects(
        self,
        db: Remembering,
        quota: Quota,
        before: LogState,
        after: LogState,
        new: Sequence[NewRun],
        reserve: bool,
    ) -> None:
        """A log of no more changes than objects are allowed holds no more objects: nothing is counted."""
        if after.position.seq <= quota.objects:
            return
        if objects.known(db).most(after.position.seq) <= quota.objects:
            return
        held, more = await objects.counted(db, before.position.seq, [run.frame for run in new])
        share = Share(OBJECTS, held, quota.objects, quota.reserve_objects)
        if more and not share.fits(more, reserve):
            raise share.refusal(more, reserve, FULL_RETRY_S)

    async def report(self, db: Remembering, stored_bytes: int, state: LogState) -> dict[str, Any]:
        """The quota as the status carries it; `used` of objects is exact from nine tenths of the limit on."""
        quota, seq = await self.entitlements.quota(state.account), state.position.seq
        most = objects.known(db).most(seq)
        if quota.objects and most * 10 >= quota.objects * 9:
            most, _ = await objects.counted(db, seq)
        shares = (
            Share(BYTES, stored_bytes, quota.bytes, quota.reserve_bytes),
            Share(OBJECTS, most, quota.objects, quota.reserve_objects),
            self._changes(quota, state.account.hex()),
        )
        return {"tier": quota.tier, **{share.what: share.as_json() for share in shares}}

    def _changes(self, quota: Quota, who: str) -> Share:
        return Share(CHANGES, self.minute.used(who), quota.changes_per_minute)


def no_quotas() -> Quotas:
    """Lets everything through."""
    return Quotas(OneTier(), Amounts(lambda: 0.0))
