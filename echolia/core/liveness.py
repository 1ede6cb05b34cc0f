"""Which changes of a log still count, told from the newest to the oldest (`spec/checkpoints.md`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from echolia.core import runs
from echolia.core.parts import Part
from echolia.core.runs import MAX_COUNTER, STATE, RunHeader

# Writers repeat their contexts: as many different ones are kept as parsed.
_KEPT_CONTEXTS: Final = 256
# No device: that of a past which is several writers'.
_NOBODY: Final = b""


class _Past(NamedTuple):
    """What states of an object cover: changes of `device` up to `counter`, of others up to their counter."""

    device: bytes
    counter: int
    others: Mapping[bytes, int]

    def covers(self, device: bytes, counter: int) -> bool:
        return counter <= (self.counter if device == self.device else self.others.get(device, 0))


class Liveness:
    """Tells of each change, newest first, whether it is live.

    `cutoffs` are the last changes that count of revoked devices. `devices` are those that wrote anything:
    what contexts say of others is not kept. With `only`, the changes of other objects count as not live, so
    that a long log can be walked in parts. `kept` is how many objects and counters are remembered at most.
    """

    def __init__(
        self,
        cutoffs: Mapping[bytes, int],
        devices: Collection[bytes],
        only: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._cutoffs = cutoffs
        self._devices = frozenset(devices)
        self._only = only
        self._pasts: dict[bytes, _Past] = {}
        self._contexts: dict[bytes, Mapping[bytes, int]] = {}
        self.kept = 0

    def tell(
        self, device: bytes, counter: int, kind: int, object_: bytes, context: Mapping[bytes, int]
    ) -> bool:
        """Whether a change is live, given all that lie after it in the log."""
        if counter > self._cutoffs.get(device, MAX_COUNTER):
            return False
        past = self._pasts.get(object_)
        if kind == STATE:
            self._note(object_, past, _Past(device, counter - 1, context))
        return past is None or not past.covers(device, counter)

    def walk(self, content: bytes | memoryview, header: RunHeader, parts: Sequence[Part]) -> list[bool]:
        """Of each part of a run whether it holds a live change; the first of the run comes first."""
        live = [False] * len(parts)
        for place in range(len(parts) - 1, -1, -1):
            if parts[place].whole:
                kind, object_, context = runs.read_mention(content, parts[place].at)
                if self._only is None or self._only(object_):
                    others = self._parsed(context)
                    live[place] = self.tell(header.device, header.first + place, kind, object_, others)
        return live

    def _parsed(self, context: bytes) -> Mapping[bytes, int]:
        known = self._contexts.get(context)
        if known is None:
            if len(self._contexts) >= _KEPT_CONTEXTS:
                self._contexts.clear()
            pairs = runs.read_context(context).items()
            known = {device: counter for device, counter in pairs if device in self._devices}
            self._contexts[context] = known
        return known

    def _note(self, object_: bytes, former: _Past | None, new: _Past) -> None:
        if former is None:
            self.kept += 1 + len(new.others)
            self._pasts[object_] = new
        elif not _is_within(new, former):
            joined = _joined(former, new)
            self.kept += len(joined.others) - len(former.others)
            self._pasts[object_] = joined


def _is_within(inner: _Past, outer: _Past) -> bool:
    others_within = inner.others is outer.others and inner.device == outer.device
    return outer.covers(inner.device, inner.counter) and (
        others_within or all(outer.covers(*pair) for pair in inner.others.items())
    )


def _joined(one: _Past, other: _Past) -> _Past:
    most = dict(one.others)
    if one.device != _NOBODY:
        most[one.device] = one.counter
    for device, counter in ((other.device, other.counter), *other.others.items()):
        most[device] = max(counter, most.get(device, 0))
    return _Past(_NOBODY, 0, most)
