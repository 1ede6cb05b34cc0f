"""The clock moves on and orders by causality, however wrong the devices' own clocks are."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from echolia.core.clock import CLAMPED_LOGICAL, START, Key, Stamp, clamp, settled, tick
from echolia.core.dots import Dot

TEN_YEARS_MS = 10 * 365 * 86_400_000
NOW_MS = 1_800_000_000_000
moderate = settings(max_examples=60, deadline=None, derandomize=True, database=None)

stamps = st.builds(Stamp, st.integers(0, 2**50), st.integers(0, CLAMPED_LOGICAL))


@moderate
@given(stamps, st.integers(-(2**70), 2**70))
def test_a_tick_is_later_and_below_every_clamped_key_of_its_millisecond(last: Stamp, now_ms: int) -> None:
    stamp = tick(last, now_ms)
    assert stamp > last
    assert stamp.logical < CLAMPED_LOGICAL
    assert stamp.wall_ms <= max(last.wall_ms + 1, 2**48)


def test_a_tick_shows_the_time_while_the_time_moves_on() -> None:
    assert tick(Stamp(5, 3), 9) == Stamp(9, 0)
    assert tick(Stamp(5, 3), 5) == Stamp(5, 4)
    assert tick(Stamp(5, 3), -9) == Stamp(5, 4)


def test_a_tick_after_a_clamped_stamp_takes_the_next_millisecond() -> None:
    assert tick(Stamp(5, 0xFFFE), 5) == Stamp(6, 0)
    assert tick(Stamp(5, CLAMPED_LOGICAL), 4) == Stamp(6, 0)


def test_clamping_bounds_the_claim_and_keeps_the_dot() -> None:
    key = Key(9, 2, b"d" * 16, 7)
    assert clamp(key, 8) == Key(8, CLAMPED_LOGICAL, b"d" * 16, 7)
    assert clamp(key, 9) is clamp(key, None) is key


def test_the_clock_falls_back_to_what_was_seen_but_not_before_what_is_pending() -> None:
    assert settled(Stamp(5, 0), []) == Stamp(5, 0)
    assert settled(Stamp(5, 0), [Stamp(3, 0), Stamp(7, 1)]) == Stamp(7, 1)
    assert settled(START, []) == START


@dataclass
class _Log:
    """What the server keeps: each run's claims and when it came, strictly later than the run before."""

    runs: list[tuple[int, list[Key]]] = field(default_factory=list)

    def take(self, keys: list[Key], now_ms: int) -> None:
        last_ms = self.runs[-1][0] if self.runs else 0
        self.runs.append((max(last_ms + 1, now_ms), keys))

    def key(self, dot: Dot) -> Key:
        return next(
            clamp(key, received_ms)
            for received_ms, keys in self.runs
            for key in keys
            if (key.device, key.counter) == dot
        )


@dataclass
class _Device:
    device: bytes
    last: Stamp = START
    counter: int = 0
    cursor: int = 0
    pushed: int = 0
    seen: Stamp = START
    known: frozenset[Dot] = frozenset()
    pending: list[Key] = field(default_factory=list)
    past: dict[Dot, frozenset[Dot]] = field(default_factory=dict)

    def write(self, now_ms: int) -> None:
        self.last, self.counter = tick(self.last, now_ms), self.counter + 1
        dot = Dot(self.device, self.counter)
        self.past[dot] = self.known
        self.known |= {dot}
        self.pending.append(Key(*self.last, *dot))

    def push(self, log: _Log, now_ms: int) -> None:
        """Send what the log lacks; the answer is lost, so that only a pull acknowledges it."""
        lacking = [key for key in self.pending if key.counter > self.pushed]
        if lacking:
            log.take(lacking, now_ms)
            self.pushed = self.counter

    def pull(self, log: _Log) -> None:
        for received_ms, keys in log.runs[self.cursor :]:
            self.known |= {Dot(key.device, key.counter) for key in keys}
            self.seen = max(self.seen, *(clamp(key, received_ms).stamp for key in keys))
            self.pending = [key for key in self.pending if key not in keys]
        self.cursor = len(log.runs)
        self.last = settled(self.seen, (key.stamp for key in self.pending))


# Few different times, so that claims and arrivals meet in the same millisecond.
_offsets = st.sampled_from([0, 0, 1, 2, -3, TEN_YEARS_MS, -TEN_YEARS_MS])
_steps = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["write", "write", "write", "push", "pull"]), _offsets, _offsets
    ),
    max_size=25,
)


@settings(moderate, max_examples=120)
@given(_steps)
def test_whoever_wrote_having_seen_a_change_has_the_greater_key(
    steps: list[tuple[int, str, int, int]],
) -> None:
    """For devices and a server whose clocks are ten years off and jump at every step."""
    log, devices = _Log(), [_Device(bytes([letter]) * 16) for letter in b"abc"]
    for number, action, offset_ms, server_offset_ms in steps:
        device = devices[number]
        if action == "write":
            device.write(NOW_MS + offset_ms)
        elif action == "push":
            device.push(log, NOW_MS + server_offset_ms)
        else:
            device.pull(log)
    for device in devices:
        device.push(log, NOW_MS)
    past = {dot: known for device in devices for dot, known in device.past.items()}
    keys = {dot: log.key(dot) for dot in past}
    assert len(set(keys.values())) == len(keys)
    for dot, known in past.items():
        assert all(keys[earlier] < keys[dot] for earlier in known)
