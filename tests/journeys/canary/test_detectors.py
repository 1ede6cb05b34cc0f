"""Each detector finds what it is there for: a server that leaks on purpose is caught in every way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.deployment.processes import clean_environment, running
from tests.journeys.canary import leaky
from tests.journeys.canary.encodings import Searcher
from tests.journeys.canary.flock import KINDS, SECRET, UNKEPT, Flock
from tests.journeys.canary.places import STRACE_CALLS, Find, Place, search, written
from tests.journeys.canary.promises import MAY, leaks, unmet
from tests.journeys.canary.watched import left_in
from tests.journeys.canary.wire import Wire
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

# How the leaking server writes → how the search may call it, where it calls it otherwise. Base64 without "+"
# and "/" is the same in both alphabets, hex without letters in both cases, and what an encoder leaves alone.
CALLED = {
    "plain": {"plain", "latin-1-as-utf-8"},
    "upper-case": {"other-case"},
    "json": {"plain", "json-escaped"},
    "hex-upper": {"hex-upper", "hex"},
    "percent": {"plain", "percent-escaped-upper", "percent-escaped"},
    "percent-escaped": {"percent-escaped-upper", "percent-escaped"},
    "python-repr": {"plain", "python-escaped"},
    "list": {"decimal-list"},
    "gzip": {"gzip:plain"},
    "zlib": {"zlib:plain"},
    "deflate": {"deflate:plain"},
    **{f"base64url-{n}": {f"base64url-{n}", f"base64-{n}"} for n in range(3)},
}
# Where the leaking server writes → how the search calls that place.
PLACES = {
    "log": "log",
    "blob": "column directory.spill.bytes",
    "words": "column directory.spill.words",
    "file": "file spool",
    "name": "file names",
    "temporary": "temporary file ",
    "header": "answer refused",
    "error": "answer refused",
    "metrics": "answer /metrics",
    "openapi.json": "answer /openapi.json",
}
TRACED = {"log": "sent log", "error": "sent TCP", "unlinked": "written /"}
# Compressed bytes are no text; names and headers take neither zeros nor bytes of any value.
NO_TEXT = {"gzip", "zlib", "deflate"}
NO_NAME = {*NO_TEXT, "utf-16-le", "utf-16-be"}
REPOSITORY = Path(__file__).resolve().parents[3]
Leak = tuple[str, str, Flock]


def plantings(places: Iterable[str]) -> Iterator[tuple[Leak, bytes]]:
    """A text and some bytes for each place and form, each of its own flock: a find tells which it was."""
    for place in places:
        for form in leaky.ENCODERS:
            readable = place in ("name", "header")
            if form in (NO_NAME if readable else NO_TEXT if place == "words" else ()):
                continue
            flock = Flock()
            yield (place, form, flock), flock.word("text", SECRET).encode()
            # Bytes have no case, and UTF-16 is of texts.
            if not readable and form not in ("upper-case", "utf-16-le", "utf-16-be"):
                flock = Flock()
                yield (place, form, flock), flock.raw("bytes", UNKEPT, 40)


def spill(folder: Path, places: Iterable[str], before: Iterable[str] = ()) -> tuple[list[Leak], list[Place]]:
    """Have everything leaked that can be; gives what was, and all that the server left while it ran."""
    for name in ("tmp", "home", "data"):
        (folder / name).mkdir()
    port, leaked = free_port(), []
    command = [*before, sys.executable, leaky.__file__, str(port), str(folder / "data")]
    environment = clean_environment(TMPDIR=str(folder / "tmp"), PYTHONPATH=str(REPOSITORY))
    with running(command, port, folder / "server.log", environment, folder):
        wire = Wire(port, Flock())
        for leak, canary in plantings(places):
            assert wire("POST", f"/leak/{leak[0]}/{leak[1]}", body=canary).status == 500
            leaked.append(leak)
        for page in ("/metrics", "/openapi.json"):
            assert wire("GET", page).status == 200
        wire.close()
        return leaked, list(left_in(folder, wire))


def missed(leaked: Iterable[Leak], places: list[Place], called: dict[str, str]) -> list[tuple[str, str]]:
    """The leaks, by place and form, that the search for them does not find, or does not call a leak."""
    lost = set()
    for place, form, flock in leaked:
        there = [one for one in places if one.name.startswith(called[place])]
        found = leaks(search(Searcher(flock), there))
        if not any(find.form in CALLED.get(form, {form}) for find in found):
            lost.add((place, form))
    return sorted(lost)


def test_a_leaking_server_is_caught_in_each_place_and_form(tmp_path: Path) -> None:
    leaked, places = spill(tmp_path, PLACES)
    assert len(leaked) > 300
    assert missed(leaked, places, PLACES) == []
    # Nor does it find what nobody leaked.
    assert search(Searcher(Flock()), places) == {}


@pytest.mark.service
def test_a_leak_that_leaves_nothing_behind_is_seen_by_the_tracer(
    service_binary: Callable[[str, str], str], tmp_path: Path
) -> None:
    strace = service_binary("strace", "make services (or: apt-get install strace)")
    trace = tmp_path / "trace"
    before = [strace, "-f", "-D", "--seccomp-bpf", "-yy", "-xx", "-s", "65536", "-e", f"trace={STRACE_CALLS}"]
    leaked, _ = spill(tmp_path, TRACED, [*before, "-o", str(trace)])
    places = list(written(trace.read_bytes(), tmp_path / "data", tmp_path / "server.log"))
    assert missed(leaked, places, TRACED) == []


@pytest.mark.parametrize("kind", [*KINDS, "unknown"])
def test_every_kind_is_a_leak_where_it_is_not_listed(kind: str) -> None:
    for place in ("log", "file spool", "answer refused", "answer /metrics", "sent log", "temporary file x"):
        assert leaks([Find(kind, place, "plain")])
    for place, forms in MAY.get(kind, {}).items():
        assert leaks([Find(kind, place, form) for form in forms]) == []
        assert leaks([Find(kind, place, "utf-16-le")])


def test_a_list_of_places_that_nothing_reaches_is_told() -> None:
    assert {kind for kind, _ in unmet([], traced=False)} == set(MAY)
    assert {kind for kind, _ in unmet([], traced=True)} == set(MAY)


def test_an_address_is_found_as_people_and_as_machines_write_it() -> None:
    flock = Flock()
    network = str(flock.address).encode()[:19]
    for form in (str(flock.address).encode(), flock.address.packed, network):
        hits = list(Searcher(flock).hits(b'{"client": "' + form + b'"}'))
        assert {hit.kind for hit in hits} == {"address"}


def test_secrets_of_any_bytes_are_found() -> None:
    flock, dice = Flock(), Random(5)
    for _ in range(40):
        secret = dice.randbytes(32)
        searcher = Searcher(flock, {"key": secret})
        for name, encode in leaky.ENCODERS.items():
            if name != "upper-case":  # bytes have no case
                assert {hit.kind for hit in searcher.hits(encode(secret))} == {"key"}, name


def test_each_kind_is_told_from_the_others() -> None:
    flock = Flock()
    searcher = Searcher(flock)
    for name, kind in KINDS.items():
        for encode in leaky.ENCODERS.values():
            kinds = {hit.kind for hit in searcher.hits(b"\n" + encode(flock.raw("bytes", kind, 40)))}
            # Half a character of base64 may hide the kind; it is a leak then, whatever it was.
            assert kinds <= {name, "unknown"}
