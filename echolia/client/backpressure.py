"""What to do when a server takes no more: send less, free room with the reserve, or keep it here and say so.

The rules are `spec/sync.md#quota`'s. Everything here runs on the replica's thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from echolia.client import outgoing, quotas
from echolia.client.outgoing import Outgoing
from echolia.client.replica import Replica
from echolia.client.reports import Allowance, Held, Quota
from echolia.client.session import Refused
from echolia.core.runs import MAX_COUNTER, RUN_HEADER_BYTES, STATE

# What a whole push may be refused with though nothing is wrong with it.
_HOLDING: Final = frozenset({"quota_exceeded", "storage_full", "rate_limited", "body_too_large"})
_SMALLEST_BYTES: Final = 256
# The last change here that supersedes what the server has: a deletion or a compaction.
_LAST_FREEING: Final = """
SELECT max(outbox.counter) FROM outbox JOIN objects ON objects.id = outbox.object
WHERE outbox.counter > ? AND objects.confirmed IS NOT NULL AND substr(outbox.change, 1, 1) = ?
"""


class Outflow:
    """The pushes of one sync: which runs follow the own counter `after`, and why the rest is held back."""

    def __init__(self, replica: Replica, after: int) -> None:
        self._database, self._identity = replica.database, replica.identity
        self.after = after
        self.held: Held | None = None
        self._most_bytes = outgoing.MAX_PUSH_BYTES
        self._reserve_to = 0  # the own counter up to which the reserve may be used; 0: not at all

    @property
    def path(self) -> str:
        """Where the next push goes."""
        return "/sync/push?reserve=1" if self._reserve_to else "/sync/push"

    def next(self) -> list[Outgoing]:
        """The runs of the next push; none when all is sent or the rest is held back."""
        until = MAX_COUNTER if self.held is None else self._reserve_to
        return outgoing.next_runs(self._database, self._identity, self.after, until, self._most_bytes)

    def refused(self, refused: Refused, sent: list[Outgoing]) -> None:
        """These runs were refused: send fewer, free room with the reserve, or hold them back.

        Raises the refusal itself if it is about something else than room.
        """
        if refused.code not in _HOLDING:
            raise refused
        if self._may_send_less(refused, sent):
            return
        tried_reserve = self._reserve_to > 0
        self.hold(quotas.held_by(refused))
        if not tried_reserve and self.held is not None:
            self.free_room(self.held.allowance, 0)

    def hold(self, held: Held) -> None:
        """Send nothing more."""
        self.held, self._reserve_to, self._most_bytes = held, 0, outgoing.MAX_PUSH_BYTES

    def free_room(self, allowance: Allowance | None, newer_than: int) -> None:
        """Let what frees room go to a full account with the reserve, if it is newer than that own counter."""
        if self.held is None or self.held.code != "quota_exceeded":
            return
        last = self._database.value(_LAST_FREEING, max(self.after, newer_than), bytes([STATE]))
        if last is not None and self._fits_reserve(last, allowance):
            self._reserve_to = last

    def _fits_reserve(self, last: int, allowance: Allowance | None) -> bool:
        """Whether all up to `last` would get through: to spend the reserve on a part of it frees nothing."""
        if allowance is None or allowance.limit is None or self.held is None or self.held.what != "bytes":
            return True  # only the server can tell
        sql = "SELECT sum(length(change)) FROM outbox WHERE counter > ? AND counter <= ?"
        size = self._database.value(sql, self.after, last) + RUN_HEADER_BYTES
        return bool(size <= allowance.limit + allowance.reserve - allowance.used)

    def _may_send_less(self, refused: Refused, sent: list[Outgoing]) -> bool:
        """Whether fewer changes might fit; then the next push is at most half as large."""
        full = refused.code == "quota_exceeded"
        if not (full or refused.code == "body_too_large") or sum(run.header.count for run in sent) == 1:
            return False
        most = sum(len(run.frame) for run in sent) // 2
        if full:
            if self._reserve_to:
                return False
            held = quotas.held_by(refused)
            if held.what == "bytes" and held.room is not None:
                most = min(most, held.room)
        self._most_bytes = most
        return most >= _SMALLEST_BYTES


@dataclass(frozen=True, slots=True)
class _Hold:
    """What was held back, from when until when (ms), and the newest change that was here then."""

    held: Held
    since_ms: int
    until_ms: int
    newest: int

    def lasts(self, now_ms: int, quota: Quota | None) -> bool:
        """Whether asking again is too early: not if there is more room, nor if the clock was set back."""
        if not self.since_ms <= now_ms < self.until_ms:
            return False
        now = _share(quota, self.held)
        if self.held.code != "quota_exceeded" or now is None or self.held.room is None:
            return True
        return now.room is not None and now.room <= self.held.room


class Backpressure:
    """What the server would not take, remembered from one sync of this process to the next."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._hold: _Hold | None = None

    def begin(self, after: int, quota: Quota | None) -> Outflow:
        """A sync's pushes, from behind the own counter `after`.

        What was held back waits for the server's `Retry-After`, unless there is more room by now or something
        new here frees some.
        """
        flow, hold = Outflow(self._replica, after), self._hold
        if hold is not None and hold.lasts(self._replica.environment.now_ms(), quota):
            flow.hold(hold.held)
            flow.free_room(_share(quota, hold.held), hold.newest)
        return flow

    def end(self, flow: Outflow) -> Held | None:
        """What the pushes left here, and why; kept for the status as well."""
        database = self._replica.database
        sql = "SELECT count(*), max(counter) FROM outbox WHERE counter > ?"
        waiting, newest = database.row(sql, flow.after) or (0, None)
        now_ms = self._replica.environment.now_ms()
        if flow.held is None or not waiting:
            self._hold = None
        elif self._hold is None or flow.held is not self._hold.held:
            self._hold = _Hold(flow.held, now_ms, now_ms + int(flow.held.retry_after_s * 1000), newest)
        hold, told = self._hold, None
        if hold is not None:
            left_s = max(0, hold.until_ms - now_ms) / 1000
            told = replace(hold.held, waiting=waiting, retry_after_s=left_s)
        quotas.keep_held(database, told)
        return told


def _share(quota: Quota | None, held: Held) -> Allowance | None:
    """What the server says by now of the allowance that was used up."""
    return None if quota is None else quota.share(held.what)
