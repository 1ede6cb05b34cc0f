"""Whatever is asked of the server, however it fails: nothing is kept or repeated but what may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from echolia.web.error_responses import STATUS
from tests.journeys.canary.breakage import BREAK, NOT_BROUGHT
from tests.journeys.canary.encodings import Searcher
from tests.journeys.canary.failures import BRING, BRING_NARROW, NARROW, solved
from tests.journeys.canary.flock import Flock
from tests.journeys.canary.malformed import send_malformed
from tests.journeys.canary.person import Person
from tests.journeys.canary.places import STRACE_CALLS, Find, search, written
from tests.journeys.canary.promises import leaks, unmet
from tests.journeys.canary.successes import live_well, plant_everywhere
from tests.journeys.canary.watched import Watched, found_in, watched
from tests.journeys.canary.wire import PUBLIC, Wire
from tests.support.asgi import Asker
from tests.support.server import served


@dataclass
class Driven:
    """What became of everything that was asked."""

    found: dict[Find, bytes] = field(default_factory=dict)
    brought: set[str] = field(default_factory=set)
    asked: set[tuple[str, str, int]] = field(default_factory=set)
    document: dict[str, Any] = field(default_factory=dict)
    log: str = ""

    def note(self, code: str, wire: Wire, bring: Callable[[], object]) -> None:
        """Bring a failure about, and note whether the server answered that code."""
        wire.codes.clear()
        bring()
        if code in wire.codes:
            self.brought.add(code)


def drive(driven: Driven, server: Watched) -> None:
    """Every operation, every failure of a healthy server, then each of a broken one."""
    wire = server.wire
    person = live_well(wire, "anna")
    plant_everywhere(person)
    send_malformed(wire, person.access)
    for code, bring in BRING.items():
        someone = Person(wire, f"meets {code}").register()
        driven.note(code, wire, lambda bring=bring, someone=someone: bring(someone))  # type: ignore[misc]
    for code, break_it in BREAK.items():
        someone = Person(wire, f"meets {code}").register()
        driven.note(code, wire, lambda go=break_it, someone=someone: go(server, someone))  # type: ignore[misc]
    driven.document = wire("GET", "/openapi.json").json()
    wire("GET", "/metrics")


def drive_narrow(driven: Driven, server: Watched) -> None:
    """The failures of a server with narrow limits."""
    person = Person(server.wire, "nora")
    body = {**person.registration(), "proof_of_work": solved(person)}
    person.take(server.wire("POST", "/auth/register", body).json()["tokens"])
    for code, bring in BRING_NARROW.items():
        driven.note(code, server.wire, lambda bring=bring: bring(person))  # type: ignore[misc]


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    """Both servers, driven and searched: while they run, their databases open, and after they ended."""
    everything, flock = Driven(), Flock()
    folder = tmp_path_factory.mktemp("canary")
    runs: Mapping[str, tuple[Callable[[Driven, Watched], None], dict[str, str]]] = {
        "generous": (drive, {}),
        "narrow": (drive_narrow, NARROW),
    }
    for name, (go, settings) in runs.items():
        with watched(folder / name, flock, settings=settings) as server:
            go(everything, server)
            everything.found |= found_in(server.folder, flock, server.wire)
            everything.asked |= server.wire.asked
        everything.found |= found_in(folder / name, flock)
        everything.log += (folder / name / "server.log").read_text()
    return everything


@pytest.mark.parametrize("code", sorted(STATUS))
def test_every_failure_is_brought_about(driven: Driven, code: str) -> None:
    assert (code in driven.brought) != (code in NOT_BROUGHT)


def test_every_operation_is_asked_and_every_guarded_one_refused(driven: Driven) -> None:
    answered = {(operation, status // 100) for operation, status in _operations(driven)}
    listed = {
        (method.upper(), path)
        for path, operations in driven.document["paths"].items()
        for method in operations
    }
    assert {operation for operation, kind in answered if kind == 2} >= listed
    assert {operation for operation, kind in answered if kind == 4} >= {
        operation for operation in listed if operation[1] not in PUBLIC
    }


def _operations(driven: Driven) -> Iterator[tuple[tuple[str, str], int]]:
    """What was asked, by the document's templates, with the answers' status."""
    templates = {path: re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path)) for path in driven.document["paths"]}
    for method, path, status in driven.asked:
        for template, pattern in templates.items():
            if pattern.fullmatch(path):
                yield (method, template), status


def test_nothing_is_kept_or_repeated(driven: Driven) -> None:
    assert leaks(driven.found) == []


def test_what_may_be_kept_is_met_where_it_may(driven: Driven) -> None:
    assert unmet(driven.found, traced=False) == []


def test_the_log_told_all_of_it(driven: Driven) -> None:
    # A log that is empty leaks nothing either: it must have spoken of requests, failures and libraries.
    for event in ("server_started", "request", "failure", "library", "server_stopped"):
        assert re.search(rf'"event": ?"{event}"', driven.log), event
    assert '"level":"info"' in driven.log


async def test_words_that_an_http_parser_would_refuse(tmp_path: Path) -> None:
    # Behind another ASGI server any method may arrive: it must not become a metric's label.
    flock = Flock()
    async with served(tmp_path / "data") as ask:
        answers = [await _ask(ask, flock, path) for path in ("/", "/sync/push", "/auth/register", "/x")]
        metrics = await ask("GET", "/metrics")
    hits = [hit for body in (*answers, metrics.body) for hit in Searcher(flock).hits(body)]
    assert b'method="OTHER"' in metrics.body
    assert hits == []


async def _ask(ask: Asker, flock: Flock, path: str) -> bytes:
    answer = await ask(flock.word("method"), path, headers={flock.word("name"): flock.word("value")})
    return repr(answer.headers).encode() + answer.body


@pytest.mark.service
def test_nothing_is_handed_to_the_system(service_binary: Callable[[str, str], str], tmp_path: Path) -> None:
    """What the server writes and sends, seen by a tracer: files that are gone by now included.

    The memory of the process is not searched.
    """
    strace = service_binary("strace", "make services (or: apt-get install strace)")
    trace, flock = tmp_path / "trace", Flock()
    # -D leaves the server the child that signals reach; -xx and -yy make every byte and every name exact.
    before = [strace, "-f", "-D", "--seccomp-bpf", "-yy", "-xx", "-s", "65536", "-e", f"trace={STRACE_CALLS}"]
    driven = Driven()
    with watched(tmp_path / "server", flock, before=[*before, "-o", str(trace)]) as server:
        drive(driven, server)
    places = written(trace.read_bytes(), server.data, server.folder / "server.log")
    found = search(Searcher(flock), places)
    assert leaks(found) == []
    assert unmet(found, traced=True) == []
