"""Whatever is asked of the server, however it fails: nothing is kept or repeated but what may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from echolia.core.ids import b64
from echolia.web.error_responses import STATUS
from tests.journeys.canary.asking import ask_well
from tests.journeys.canary.breakage import BREAK, NOT_BROUGHT, elsewhere
from tests.journeys.canary.elsewhere import BREAK_ELSEWHERE, lost_place
from tests.journeys.canary.embedding import embed_well
from tests.journeys.canary.encodings import Searcher
from tests.journeys.canary.failures import BRING, BRING_NARROW, NARROW, solved
from tests.journeys.canary.flock import Flock
from tests.journeys.canary.malformed import send_malformed
from tests.journeys.canary.models_failing import BREAK_MODELS, IN_THE_SEAL
from tests.journeys.canary.person import Person
from tests.journeys.canary.places import STRACE_CALLS, Find, Place, search, written
from tests.journeys.canary.promises import leaks, unmet
from tests.journeys.canary.purchases import BRING_PURCHASES, buy_well, store_away
from tests.journeys.canary.successes import converse, live_well, plant_everywhere
from tests.journeys.canary.upstream import upstream
from tests.journeys.canary.watched import Watched, found_in, watched
from tests.journeys.canary.wire import PUBLIC, Wire
from tests.support.accounts import Keys
from tests.support.asgi import Asker
from tests.support.server import served

pytestmark = pytest.mark.slow

# Read by other people than the account's own.
TOLD_TO_OPERATORS = ("log", "answer /metrics", "answer refused", "answer /readyz")


@dataclass
class Driven:
    """What became of everything that was asked."""

    found: dict[Find, bytes] = field(default_factory=dict)
    brought: set[str] = field(default_factory=set)
    asked: set[tuple[str, str, int]] = field(default_factory=set)
    sealed_codes: set[str] = field(default_factory=set)
    document: dict[str, Any] = field(default_factory=dict)
    log: str = ""
    left: dict[Find, bytes] = field(default_factory=dict)
    ids: dict[str, bytes] = field(default_factory=dict)
    told: list[Place] = field(default_factory=list)
    devices: list[Place] = field(default_factory=list)

    def note(self, code: str, wire: Wire, bring: Callable[[], object]) -> None:
        """Bring a failure about, and note whether the server answered that code."""
        wire.codes.clear()
        bring()
        if code in wire.codes:
            self.brought.add(code)

    def know(self, person: Person) -> Person:
        """Note whose ids nobody may tell to those who run the server."""
        self.ids[f"account of {person.name}"] = person.account.id
        self.ids[f"device of {person.name}"] = person.account.first.id
        return person


def drive(driven: Driven, server: Watched) -> None:
    """Every operation, every failure of a healthy server, then each of a broken one."""
    wire = server.wire
    person = driven.know(live_well(wire, "anna"))
    plant_everywhere(person)
    send_malformed(wire, person.access)
    for code, bring in {**BRING, **BRING_PURCHASES}.items():
        driven.note(code, wire, partial(bring, driven.know(Person(wire, f"meets {code}").register())))
    for code, break_it in {**BREAK, "store_unavailable": store_away}.items():
        someone = driven.know(Person(wire, f"meets {code}").register())
        driven.note(code, wire, partial(break_it, server, someone))
    driven.document = wire("GET", "/openapi.json").json()
    wire("GET", "/metrics")
    gone = Wire(wire.port, Flock(), data=wire.data)
    delete(Person(gone, "gwen").register())
    driven.left = found_in(server.folder, gone.flock)
    gone.close()


def delete(person: Person) -> None:
    """Leave something in every table, and then delete the account."""
    person.push_new(20)
    converse(person)
    phone = Keys("gwen's phone")
    assert person.add(phone).status == 204
    assert person.ask("POST", "/sync/ack", person.acknowledgement()).status == 204
    ask_well(person)
    embed_well(person)
    other = buy_well(person)
    assert other.ask("DELETE", "/auth/account", other.deletion()).status == 204
    assert person.ask("POST", "/sync/live/ticket").status == 200
    assert person.ask("DELETE", f"/auth/device/{b64(phone.id)}", person.revocation(phone)).status == 204
    assert person.ask("DELETE", "/auth/account", person.deletion()).status == 204


def drive_narrow(driven: Driven, server: Watched) -> None:
    """The failures of a server with narrow limits."""
    person = Person(server.wire, "nora")
    body = {**person.registration(), "proof_of_work": solved(person)}
    person.take(server.wire("POST", "/auth/register", body).json()["tokens"])
    for code, bring in BRING_NARROW.items():
        driven.note(code, server.wire, partial(bring, person))


def drive_several(driven: Driven, server: Watched) -> None:
    """Processes that hand requests over to each other, and one of which seems to live and does not answer."""
    for name in ("sven", "sara", "sofie", "sam"):
        person = driven.know(live_well(server.wire, name))
        plant_everywhere(person)
    driven.note("storage_elsewhere", server.wire, partial(elsewhere, server, person))


def drive_elsewhere(driven: Driven, server: Watched) -> None:
    """The failures of a server whose accounts live at other places."""
    for code, break_it in BREAK_ELSEWHERE.items():
        someone = driven.know(Person(server.wire, f"meets {code}").register())
        driven.note(code, server.wire, partial(break_it, server, someone))


def drive_models(driven: Driven, server: Watched) -> None:
    """The failures of models and of their providers."""
    for code, break_it in BREAK_MODELS.items():
        someone = driven.know(Person(server.wire, f"meets {code}").register())
        driven.note(code, server.wire, partial(break_it, server, someone))


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings that name a place which never answers."""
    with lost_place(tmp_path_factory.mktemp("lost") / "place") as settings:
        yield settings


@pytest.fixture(scope="module")
def flock() -> Flock:
    """The canaries of all servers."""
    return Flock()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, flock: Flock) -> Iterator[dict[str, str]]:
    """Settings that name models of a provider which fails as it is told."""
    with upstream(flock) as provider:
        file = provider.models_file(tmp_path_factory.mktemp("models"), ["openai"])
        yield {"models": str(file), "embeddings_queue": "4"}


@pytest.fixture(scope="module")
def driven(
    tmp_path_factory: pytest.TempPathFactory, flock: Flock, lost: dict[str, str], models: dict[str, str]
) -> Driven:
    """All servers, driven and searched: while they run, their databases open, and after they ended."""
    everything = Driven()
    folder = tmp_path_factory.mktemp("canary")
    runs: Mapping[str, tuple[Callable[[Driven, Watched], None], dict[str, str]]] = {
        "generous": (drive, {}),
        "narrow": (drive_narrow, NARROW),
        "several": (drive_several, {"workers": "3"}),
        "elsewhere": (drive_elsewhere, lost),
        "models": (drive_models, models),
    }
    for name, (go, settings) in runs.items():
        with watched(folder / name, flock, settings=settings) as server:
            go(everything, server)
            everything.found |= found_in(server.folder, flock, server.wire)
            everything.asked |= server.wire.asked
            everything.sealed_codes |= server.wire.sealed_codes
            everything.devices += (one for one in server.wire.places() if one.name == "answer devices")
            everything.told += (one for one in server.places() if one.name in TOLD_TO_OPERATORS)
        everything.found |= found_in(folder / name, flock)
        everything.log += (folder / name / "server.log").read_text()
    return everything


@pytest.mark.parametrize("code", sorted(STATUS))
def test_every_failure_is_brought_about(driven: Driven, code: str) -> None:
    assert (code in driven.brought) != (code in NOT_BROUGHT)


def test_each_failure_of_models_is_told_inside_the_seal(driven: Driven) -> None:
    assert driven.sealed_codes >= IN_THE_SEAL


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


def test_nobody_is_named_in_log_metrics_and_refusals(driven: Driven) -> None:
    assert len(driven.ids) > 60
    assert len(driven.told) > 500
    assert search(Searcher(Flock(), driven.ids), driven.told) == {}
    # The ids are the right ones: where devices are told of each other, they are met.
    assert search(Searcher(Flock(), driven.ids), driven.devices)


def test_nothing_stays_of_a_deleted_account(driven: Driven) -> None:
    assert driven.left == {}


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
