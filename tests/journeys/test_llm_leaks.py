"""What is asked of models, and what they answer, is readable in a process' memory and nowhere else.

A real server and a real upstream that fails on demand; whatever becomes of an ask, nothing that is left of it
is readable: `sealed_course.py` says what becomes of them. The last tests have a server leak on purpose.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.deployment.processes import clean_environment, running
from tests.journeys.canary import leaky_models, telemetry
from tests.journeys.canary.asking import STREAM, plain_ask
from tests.journeys.canary.encodings import Searcher
from tests.journeys.canary.flock import SECRET, Flock
from tests.journeys.canary.person import Person
from tests.journeys.canary.places import STRACE_CALLS, Place, search, written
from tests.journeys.canary.promises import leaks
from tests.journeys.canary.relay import Relay
from tests.journeys.canary.sealed_course import Course, until
from tests.journeys.canary.upstream import CHUNKS, FAULTS, HOLDS, KINDS, Upstream, upstream
from tests.journeys.canary.watched import left_in, watched
from tests.journeys.canary.wire import Wire
from tests.journeys.memory import COLLECTING, memory_of
from tests.support.ports import free_port
from tests.support.redis import Redis

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
# Freed memory is overwritten, and Python's own allocator, which would not, is left out.
START_S = 180.0
OVERWRITING = ["env", "PYTHONMALLOC=malloc", "MALLOC_PERTURB_=90"]


@dataclass
class Ran:
    """What a course left: behind the socket, on the way to it, and with the provider."""

    words: Flock
    sent: Flock
    cells: list[str] = field(default_factory=list)
    inside: list[Place] = field(default_factory=list)
    way: list[Place] = field(default_factory=list)
    provider: list[Place] = field(default_factory=list)
    cores: list[Path] = field(default_factory=list)


@contextlib.contextmanager
def cores_allowed() -> Iterator[None]:
    """Processes that are started meanwhile may leave core files, if they do not forbid themselves."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


@contextlib.contextmanager
def relayed(port: int) -> Iterator[Relay]:
    """A relay in front of a server."""
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()


@contextlib.contextmanager
def served(
    folder: Path, ran: Ran, provider: Upstream, before: Sequence[str] = (), **settings: str
) -> Iterator[Course]:
    """A server, its relay and somebody who asks; all that is left is kept when the block ends."""
    named = {"models": str(provider.models_file(folder / "models", hasty_s=0.4)), "llm_concurrent": "0"}
    with (
        cores_allowed(),
        watched(folder / "server", ran.sent, before=before, settings={**named, **settings}) as server,
        relayed(server.wire.port) as relay,
    ):
        # Each process loads three SDKs first.
        log, processes = server.folder / "server.log", int(settings.get("workers", "1"))
        until(lambda: log.read_bytes().count(b"server_started") >= processes, "all have started", START_S)
        course = Course(server, relay, provider, ran.words)
        yield course
        ran.cells += course.cells
        ran.inside += [*server.places(), *course.wire.places()]
        ran.way += relay.places()
        course.wire.close()
    ran.inside += left_in(folder / "server")
    ran.cores += folder.rglob("core*")


@pytest.fixture(scope="module", params=["1", "3"], ids=["one-process", "three-workers"])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Every course, with everything that it left; the processes are killed at its end."""
    ran, workers = Ran(Flock(), Flock()), request.param
    folder = tmp_path_factory.mktemp("asks")
    with upstream(ran.words) as provider:
        with served(folder, ran, provider, workers=workers) as course:
            course.well()
            course.faults()
            course.refusals()
            course.left()
            course.wire("GET", "/metrics")
            ran.inside += course.server.places()
            if workers == "1":
                course.killed(signal.SIGABRT)
            else:
                for how in (signal.SIGKILL, signal.SIGABRT):
                    course.killed(how)
                    until(lambda: course.person.ask("GET", "/llm/quota").status == 200, "it goes on")
                    course.well(("openai",))
        if workers == "1":
            with served(folder / "again", ran, provider) as course:
                course.killed(signal.SIGKILL)
        ran.provider += [Place("provider", body) for body in provider.got]
    return ran


def test_all_of_it_became_of_asks(ran: Ran, record_property: Callable[[str, object], None]) -> None:
    record_property("cells", ran.cells)
    for kind in KINDS:
        assert f"{kind} {STREAM} well" in ran.cells
        assert {f"{kind} {STREAM} {does}" for does in FAULTS} <= set(ran.cells)
        assert {f"{kind} {STREAM} left at chunk {n} of {CHUNKS}" for n in range(CHUNKS + 1)} <= set(ran.cells)
    assert {"killed by SIGKILL", "killed by SIGABRT", "oversize body", "bad tag", "invalid JSON"} <= set(
        ran.cells
    )
    # The words were there: the provider has them.
    assert search(Searcher(ran.words), ran.provider)


def test_nothing_is_left_of_words(ran: Ran) -> None:
    assert search(Searcher(ran.words), ran.inside) == {}
    names = {place.name.split()[0] for place in ran.inside}
    assert {"log", "file", "column", "schema", "answer", "temporary"} <= names
    assert b'"route":"/llm/stream"' in b"".join(p.content for p in ran.inside if p.name == "log")


def test_nothing_is_left_of_what_was_readable_in_requests(ran: Ran) -> None:
    assert leaks(search(Searcher(ran.sent), ran.inside)) == []


def test_nothing_is_readable_on_the_way(ran: Ran) -> None:
    assert search(Searcher(ran.words), ran.way) == {}
    # The way was watched: what requests said readably is seen on it.
    assert search(Searcher(ran.sent), ran.way)
    assert sum(len(place.content) for place in ran.way) > 100_000


def test_a_process_that_is_aborted_leaves_no_core(ran: Ran) -> None:
    assert ran.cores == []


@pytest.mark.service
def test_redis_gets_nothing(service_binary: Callable[[str, str], str], tmp_path: Path) -> None:
    ran, redis = Ran(Flock(), Flock()), Redis(service_binary, tmp_path)
    redis.start()
    with relayed(int(redis.url.rpartition(":")[2])) as between, upstream(ran.words) as provider:
        settings = {"live": "redis", "redis_url": between.url.replace("http", "redis"), "workers": "2"}
        with served(tmp_path / "asks", ran, provider, **settings) as course:
            course.well(("openai",))
            course.faults(("openai",))
            course.refusals()
            assert course.person.push_new().status == 200
            until(lambda: any(b"PUBLISH" in place.content for place in between.places()), "Redis was told")
        said = [*between.places(), Place("log", (tmp_path / "redis.log").read_bytes())]
    redis.stop()
    assert search(Searcher(ran.words), said) == {}
    assert search(Searcher(ran.sent), said) == {}


@pytest.mark.service
def test_nothing_is_handed_to_the_system_but_to_the_provider(
    service_binary: Callable[[str, str], str], tmp_path: Path
) -> None:
    strace = service_binary("strace", "make services (or: apt-get install strace)")
    ran, trace = Ran(Flock(), Flock()), tmp_path / "trace"
    with upstream(ran.words) as provider:
        with served(tmp_path / "asks", ran, provider, _traced(strace, trace)) as course:
            course.well()
            course.faults(("openai",))
            course.refusals()
            course.left(("openai",))
        places = list(_split(trace.read_bytes(), provider.port, tmp_path / "asks" / "server"))
    elsewhere = [place for place in places if place.name != "sent to the provider"]
    assert search(Searcher(ran.words), elsewhere) == {}
    assert search(Searcher(ran.words), [place for place in places if place not in elsewhere])
    assert {"sent log", "sent TCP", "written directory.db"} <= {place.name for place in elsewhere}


def _traced(strace: str, trace: Path) -> list[str]:
    words = ["-f", "-D", "--seccomp-bpf", "-yy", "-xx", "-s", "65536", "-e", f"trace={STRACE_CALLS}"]
    return [strace, *words, "-o", str(trace)]


def _split(trace: bytes, port: int, folder: Path) -> Iterator[Place]:
    """What was written, with what went to the provider's port by itself."""
    to = f"->127.0.0.1:{port}]".encode()
    hidden = "".join(f"\\x{byte:02x}" for byte in to).encode()
    lines = trace.splitlines(keepends=True)
    for provider in (True, False):
        part = b"".join(line for line in lines if (to in line or hidden in line) == provider)
        for place in written(part, folder / "data", folder / "server.log"):
            yield Place("sent to the provider", place.content) if provider else place


def test_a_host_that_gathers_telemetry_gets_nothing(tmp_path: Path) -> None:
    ran, before = (
        Ran(Flock(), Flock()),
        ["env", f"PYTHONPATH={telemetry.customized(tmp_path / 'customized')}"],
    )
    with upstream(ran.words) as provider, served(tmp_path / "asks", ran, provider, before) as course:
        course.well()
        course.faults()
        course.refusals()
        course.left(("anthropic",))
    gathered = (tmp_path / "asks" / "server" / "home" / telemetry.FILE).read_bytes()
    assert telemetry.BEGAN.encode() in gathered
    assert search(Searcher(ran.words), [Place("telemetry", gathered)]) == {}
    assert search(Searcher(ran.sent), [Place("telemetry", gathered)]) == {}


# --- memory ---------------------------------------------------------------------------------------------


def in_memory(course: Course) -> dict[str, int]:
    """How many canaries are in the memory of the server's processes, by their form."""
    searcher, counts = Searcher(course.words), dict[str, int]()
    for process in course.processes():
        try:
            for place in memory_of(process.pid):
                for hit in searcher.hits(place.content, streams=False):
                    counts[hit.form] = counts.get(hit.form, 0) + 1
        except PermissionError:
            pytest.skip("only the administrator may read the server's memory")
    return counts


def test_memory_is_looked_into(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """What memory holds while an ask is answered is found; what stays of finished ones is told, not promised.

    Even with an allocator that overwrites what is freed some copies stay until something else takes their
    place, as `spec/threat-model.md` says of memory.
    """
    collecting = tmp_path / "collecting"
    collecting.mkdir()
    (collecting / "sitecustomize.py").write_text(COLLECTING)
    ran, before = Ran(Flock(), Flock()), [*OVERWRITING, f"PYTHONPATH={collecting}"]
    with upstream(ran.words) as provider, served(tmp_path, ran, provider, before) as course:
        assert in_memory(course) == {}
        with course.held(f"openai-{HOLDS[3]}"):
            held = in_memory(course)
        course.well()
        course.server.process.send_signal(signal.SIGUSR1)
        assert course.person.ask("GET", "/llm/quota").status == 200
        record_property("held", held)
        record_property("after", in_memory(course))
    assert held.get("plain", 0) > 0


# --- leaking on purpose ---------------------------------------------------------------------------------

# Where the leaking server puts what it was asked → how the search calls that place.
LEAKED = {
    "log": "log",
    "blob": "column directory.spill.bytes",
    "words": "column directory.spill.words",
    "file": "file spool",
    "name": "file names",
    "temporary": "temporary file ",
    "metrics": "answer /metrics",
    leaky_models.WAY: "came",
    leaky_models.MEMORY: "memory",
}


@contextlib.contextmanager
def leaking(folder: Path, before: Sequence[str] = ()) -> Iterator[tuple[Person, Relay, int]]:
    """Somebody who asks the leaking server, the relay between, and the process."""
    for name in ("tmp", "home", "data"):
        (folder / name).mkdir(parents=True)
    port = free_port()
    command = [*before, sys.executable, leaky_models.__file__, str(port), str(folder / "data")]
    environment = clean_environment(
        TMPDIR=str(folder / "tmp"), HOME=str(folder / "home"), PYTHONPATH=str(REPOSITORY)
    )
    with (
        cores_allowed(),
        running(command, port, folder / "server.log", environment, folder) as process,
        relayed(port) as relay,
    ):
        wire = Wire(int(relay.url.rpartition(":")[2]), Flock())
        yield Person(wire, "ada").register(), relay, process.pid
        wire.close()


def leak(person: Person, place: str) -> Flock:
    """Have a word of its own flock leaked there."""
    flock = Flock()
    ask = {**plain_ask(person), "system": f"{place} {flock.word('leaked', SECRET)}"}
    ask["messages"] = [{"role": "user", "content": flock.text("said again", SECRET)}]
    body = person.asking.seal(STREAM, ask)
    headers = {"Content-Type": "application/vnd.echolia.sealed"}
    assert person.wire("POST", STREAM, body=body, headers=headers, token=person.access).status == 200
    return flock


def test_each_detector_finds_what_a_leaking_server_leaks(tmp_path: Path) -> None:
    with leaking(tmp_path / "leaky") as (person, relay, process):
        leaked = {place: leak(person, place) for place in LEAKED}
        person.wire("GET", "/metrics")
        places = [*left_in(tmp_path / "leaky", person.wire), *relay.places(), *memory_of(process)]
    for place, called in LEAKED.items():
        there = [one for one in places if one.name.startswith(called)]
        assert search(Searcher(leaked[place]), there), place
    # The log that is not yet in the database proper is searched as a file.
    assert search(Searcher(leaked["blob"]), [one for one in places if one.name == "file directory.db"])


def test_telemetry_of_a_leaking_server_has_the_words(tmp_path: Path) -> None:
    customized, folder = telemetry.customized(tmp_path / "customized"), tmp_path / "leaky"
    path = f"PYTHONPATH={customized}:{REPOSITORY}"
    with leaking(folder, ["env", path]) as (person, _, process):
        leaked = leak(person, leaky_models.SPAN)
        os.kill(process, signal.SIGUSR1)
        file = folder / "home" / telemetry.FILE
        until(lambda: person.ask("GET", "/llm/quota").status == 200 and file.exists(), "it is written")
        gathered = Place("telemetry", file.read_bytes())
    assert search(Searcher(leaked), [gathered])


def test_a_server_that_forbids_no_core_leaves_one_with_the_words(tmp_path: Path) -> None:
    if Path("/proc/sys/kernel/core_pattern").read_text().startswith("|"):
        pytest.skip("this machine hands core files to a program")
    folder = tmp_path / "leaky"
    with leaking(folder) as (person, _, process):
        flock = leak(person, leaky_models.MEMORY)
        os.kill(process, signal.SIGABRT)
        until(lambda: any(folder.rglob("core*")), "a core file")
    (core,) = folder.rglob("core*")
    assert search(Searcher(flock), [Place("core", core.read_bytes())])
    shutil.rmtree(folder)


@pytest.mark.service
def test_what_a_leaking_server_writes_and_unlinks_is_seen_by_the_tracer(
    service_binary: Callable[[str, str], str], tmp_path: Path
) -> None:
    strace = service_binary("strace", "make services (or: apt-get install strace)")
    folder, trace = tmp_path / "leaky", tmp_path / "trace"
    with leaking(folder, _traced(strace, trace)) as (person, _, _):
        leaked = {place: leak(person, place) for place in ("unlinked", "log", leaky_models.WAY)}
    places = list(_split(trace.read_bytes(), 1, folder))
    for place, called in (("unlinked", "written /"), ("log", "sent log"), (leaky_models.WAY, "sent TCP")):
        there = [one for one in places if one.name.startswith(called)]
        assert search(Searcher(leaked[place]), there), place
