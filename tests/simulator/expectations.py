"""What must be left of every edit, worked out from the edits alone: none of the product's merging is used.

Who had seen what is known (each change names it), and nothing else is needed: a `multi` shows the writes that
no other write had seen, a set holds an addition unless a removal had seen it, a counter adds up, a text holds
the characters typed and not erased (each character is typed once), a life is as long as the longest. Where
nobody can know whether an edit counts (it was cut off with a revoked device, and others had built on it),
what may be and what must be differ; else they are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from echolia.client.reports import Record

Life = Literal["", "create", "delete", "restore"]


@dataclass(eq=False, slots=True)
class Event:
    """An edit that the SDK said was done. `past` is the version vector of what its writer had seen, its own
    changes included; `claim` its clock's stamp; `leaf` the change's hash.

    `counts` is None where nobody can know; `again`: it was made under a device id that two homes had, and
    whether the log has it, and who saw it, cannot be told by its counter.
    """

    object: str
    device: bytes
    counter: int
    past: Mapping[bytes, int]
    claim: tuple[int, int] = (0, 0)
    made_ms: int = 0
    leaf: bytes = b""
    one: str | None = None
    title: str | None = None
    origin: str | None = None
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    increment: int = 0
    typed: str = ""
    erased: frozenset[str] = frozenset()
    life: Life = ""
    length: int = 0
    counts: bool | None = True
    again: bool = False

    def saw(self, other: Event) -> bool:
        """Whether its writer had the other edit when it made this one, for sure."""
        return not other.again and self.past.get(other.device, 0) >= other.counter

    def may_have_seen(self, other: Event) -> bool:
        """Whether its writer may have had it."""
        return self.again or other.again or self.saw(other)


Saw: TypeAlias = Callable[[Event, Event], bool]


@dataclass(slots=True)
class Shown:
    """What a device shows of an object, reduced to what is expected of it."""

    alive: bool
    recovered: bool
    one: str | None
    titles: set[str]
    origin: str | None
    tags: set[str]
    seen: int
    text: str

    @classmethod
    def of(cls, record: Record) -> Shown:
        """A record of the simulator's collection."""
        fields = record.fields
        titles = {choice.value for choice in record.conflicts.get("title", ())} or {fields.get("title")}
        return cls(
            record.alive,
            record.recovered,
            fields.get("one"),  # type: ignore[arg-type]  # as it was written
            {title for title in titles if isinstance(title, str)},
            fields.get("origin"),  # type: ignore[arg-type]
            set(fields.get("tags", ())),  # type: ignore[arg-type]
            fields.get("seen", 0),  # type: ignore[arg-type]
            fields.get("text", ""),  # type: ignore[arg-type]
        )


@dataclass(slots=True)
class Expectations:
    """All edits in the order they were made, and by object; `wrong` lists what is not as it has to be."""

    by_object: dict[str, list[Event]] = field(default_factory=dict)
    all: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """The SDK has said that this edit is done."""
        events = self.by_object.setdefault(event.object, [])
        before = max((1, *(one.length for one in events if event.saw(one))))
        if event.life:
            event.length = before + before % 2 if event.life == "delete" else before + 1 - before % 2
        events.append(event)
        self.all.append(event)

    def since(self, start: int) -> Sequence[Event]:
        """The edits from the `start`-th on."""
        return self.all[start:]

    def known(self, object_: str, vector: Mapping[bytes, int]) -> list[Event]:
        """The edits of an object that this version vector holds."""
        return [e for e in self.by_object.get(object_, ()) if vector.get(e.device, 0) >= e.counter]

    def wrong(self, events: list[Event], shown: Shown) -> list[str]:
        """What a device that has these edits shows otherwise than it must."""
        sure = [event for event in events if event.counts]
        maybe = [event for event in events if event.counts is not False]
        must, may = Event.may_have_seen, Event.saw
        titles = _unseen(sure, maybe, _title, must), _unseen(maybe, sure, _title, may)
        twice, text = _twice(events), shown.text
        return [
            *_set("titles", shown.titles, *titles),
            *_set("tags", shown.tags, _kept_tags(sure, maybe, must), _kept_tags(maybe, sure, may)),
            *_set("characters", set(text), _kept_text(sure, maybe) - twice, _kept_text(maybe, sure) | twice),
            *_order(events, "".join(character for character in text if character not in twice)),
            *_last("one", shown.one, _unseen(maybe, sure, _one, may), _unseen(sure, maybe, _one, must)),
            *_counter(shown.seen, sure, maybe),
            *(_life(shown, sure) if sure == maybe else ()),
        ]


def _title(event: Event) -> str | None:
    return event.title


def _one(event: Event) -> str | None:
    return event.one


def _unseen(
    events: list[Event], others: list[Event], value: Callable[[Event], str | None], saw: Saw
) -> set[str]:
    """The values written by `events` that none of the writes of `others` had seen."""
    writes = [other for other in others if value(other) is not None]
    return {
        written
        for event in events
        if (written := value(event)) is not None
        and not any(other is not event and saw(other, event) for other in writes)
    }


def _kept_tags(events: list[Event], others: list[Event], saw: Saw) -> set[str]:
    removals = [other for other in others if other.removed]
    return {
        tag
        for event in events
        for tag in event.added
        if not any(tag in other.removed and other is not event and saw(other, event) for other in removals)
    }


def _kept_text(events: list[Event], others: list[Event]) -> set[str]:
    typed = {character for event in events for character in event.typed}
    return typed - {character for other in others for character in other.erased}


def _twice(events: list[Event]) -> set[str]:
    """What both copies of a home imported: made anew it is another text, which stands beside the first."""
    return {
        character
        for event in events
        if event.again
        for character in event.typed
        if any(character in other.typed for other in events if other is not event)
    }


def _order(events: list[Event], text: str) -> list[str]:
    """What was typed together stands in its order."""
    place = {character: at for at, character in enumerate(text)}
    if len(place) != len(text):
        return ["a character stands twice in the text"]
    typed = [[place[c] for c in event.typed if c in place] for event in events]
    return [] if all(places == sorted(places) for places in typed) else ["the text is out of order"]


def _set(what: str, shown: set[str], must: set[str], may: set[str]) -> list[str]:
    lost = [f"{what} lost: {sorted(must - shown)}"] if must - shown else []
    return [*lost, f"{what} that should not be: {sorted(shown - may)}"] if shown - may else lost


def _last(what: str, shown: str | None, may: set[str], must: set[str]) -> list[str]:
    if shown is None:
        return [f"{what} lost: one of {sorted(must)}"] if must else []
    return [] if shown in may else [f"{what} is {shown}, which a later write replaced: {sorted(may)}"]


def _counter(shown: int, sure: list[Event], maybe: list[Event]) -> list[str]:
    total = sum(event.increment for event in sure)
    others = [event.increment for event in maybe if event.counts is None]
    low, high = total + sum(n for n in others if n < 0), total + sum(n for n in others if n > 0)
    return [] if low <= shown <= high else [f"the counter is {shown}, not {low} to {high}"]


def _life(shown: Shown, events: list[Event]) -> list[str]:
    length = max((1, *(event.length for event in events)))
    deciders = [event for event in events if event.length == length]
    alive = length % 2 == 1
    missed = [e for e in events if not any(d is e or d.saw(e) for d in deciders)]
    expected = (alive, not alive and bool(missed))
    if expected == (shown.alive, shown.recovered):
        return []
    return [f"(alive, recovered) is {(shown.alive, shown.recovered)}, not {expected}"]
