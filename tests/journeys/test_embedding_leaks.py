"""Texts to be embedded, and their vectors, are readable in memory and nowhere else, swap and cores included.

A real server with the engine for development: what is looked at is what handles texts, not what computes.
What swap holds nobody can read here; looked at is that the process has nothing in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from echolia.core.embedding_place import Capability
from echolia.core.ids import unb64
from echolia.sealed.asks import MEDIA_TYPE
from tests.journeys.canary.embedding import IDENTITY, ONE, SEVERAL
from tests.journeys.canary.encodings import Searcher
from tests.journeys.canary.flock import Flock
from tests.journeys.canary.person import Person
from tests.journeys.canary.places import Place, search
from tests.journeys.canary.watched import Watched, left_in, watched
from tests.journeys.memory import COLLECTING, memory_of
from tests.journeys.test_llm_leaks import OVERWRITING, cores_allowed

pytestmark = pytest.mark.slow

_HEAVY = 100


@dataclass
class Ran:
    """What became of texts, and what is left of them: forms found in memory meanwhile and afterwards."""

    words: Flock
    texts: list[str] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    vectors: list[bytes] = field(default_factory=list)
    inside: list[Place] = field(default_factory=list)
    held: int = 0
    after: int = 0
    vectors_after: int = 0
    swapped: list[str] = field(default_factory=list)
    core_limit: str = ""
    cores: list[Path] = field(default_factory=list)

    def text(self, label: str) -> str:
        """A text that is a canary."""
        self.texts.append(self.words.word(label))
        return self.texts[-1]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Both endpoints and each failure of a request, then a process that is aborted while it embeds."""
    folder, ran = tmp_path_factory.mktemp("embedding"), Ran(Flock())
    (folder / "collecting").mkdir()
    (folder / "collecting" / "sitecustomize.py").write_text(COLLECTING)
    before = [*OVERWRITING, f"PYTHONPATH={folder / 'collecting'}"]
    with cores_allowed(), watched(folder / "server", Flock(), before=before) as server:
        person = Person(server.wire, "emma").register()
        _well(ran, person)
        _failing(ran, person)
        _looked_at(ran, person, server)
        ran.inside += server.places()
        with _held(ran, person, server):
            os.kill(server.process.pid, signal.SIGABRT)
            server.process.wait()
        server.wire.close()
    ran.inside += left_in(folder / "server")
    ran.cores += folder.rglob("core*")
    return ran


def _ask(ran: Ran, texts: list[str], **more: Any) -> dict[str, Any]:
    return {"identity": IDENTITY, "texts": texts, **more}


def _heavy(ran: Ran) -> dict[str, Any]:
    return _ask(ran, [ran.text("heavy") + " w" * 1000] * _HEAVY)


def _well(ran: Ran, person: Person) -> None:
    able = Capability(1, 1, ran.words.word("accelerator")).as_json()
    one = {"identity": IDENTITY, "text": ran.text("one"), "capability": able}
    for path, ask in ((ONE, one), (SEVERAL, _ask(ran, [ran.text("several") for _ in range(3)]))):
        final = person.asking.say(path, ask).final
        ran.codes[f"{path} well"] = str(final["status"])
        ran.vectors += map(unb64, final["vectors"])


def _failing(ran: Ran, person: Person) -> None:
    text = ran.text
    for path in (ONE, SEVERAL):
        name, given = ("text", lambda said: said) if path == ONE else ("texts", lambda said: [said])
        for cell, ask in {
            "no ask": text("no ask"),
            "a member too many": {"identity": IDENTITY, name: given(text("text")), text("member"): 1},
            "no such model": {"identity": text("identity"), name: given(text("text"))},
            "too long": {"identity": IDENTITY, name: given(text("too long") + " w" * 120_000)},
            "too late": {
                "identity": IDENTITY, name: given(text("late") + " w" * 90_000), "within_s": 0.1,
            },
        }.items():  # fmt: skip
            ran.codes[f"{path} {cell}"] = str(person.asking.say(path, ask).final.get("code"))


def _looked_at(ran: Ran, person: Person, server: Watched) -> None:
    """The process' memory while it embeds and afterwards, what of it is in swap, and what it may dump."""
    with _held(ran, person, server):
        server.process.send_signal(signal.SIGSTOP)
        ran.held = _copies(ran, server)
        server.process.send_signal(signal.SIGCONT)
    # Texts that are longer than short are read one after the other: the ones that were left are through then.
    after = person.asking.say(SEVERAL, {"identity": IDENTITY, "texts": ["w " * 300]})
    assert after.final["status"] == 200
    server.process.send_signal(signal.SIGUSR1)
    assert person.ask("GET", "/llm/quota").status == 200
    ran.after = _copies(ran, server)
    memory = [place.content for place in memory_of(server.process.pid)]
    ran.vectors_after = sum(part.count(vector) for part in memory for vector in ran.vectors)
    ran.swapped = re.findall(r"^VmSwap:\s+(\d+) kB", _proc(server, "status"), re.MULTILINE)
    ran.core_limit = re.sub(r" +", " ", _proc(server, "limits").partition("Max core file size")[2])[:5]


@contextlib.contextmanager
def _held(ran: Ran, person: Person, server: Watched) -> Iterator[None]:
    """While much is being embedded."""
    body = person.asking.seal(SEVERAL, _heavy(ran))
    head = (
        f"POST {SEVERAL} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {person.access}\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.wire.port)) as connection:
        connection.sendall(head.encode() + body)
        assert connection.recv(12)  # the answer has begun
        yield


def _copies(ran: Ran, server: Watched) -> int:
    """Of texts as they are: a gigabyte is too much to search for every form that they could take."""
    try:
        places = [place.content for place in memory_of(server.process.pid)]
    except PermissionError:
        pytest.skip("only the administrator may read the server's memory")
    return sum(place.count(text.encode()) for place in places for text in ran.texts)


def _proc(server: Watched, name: str) -> str:
    return Path(f"/proc/{server.process.pid}/{name}").read_text()


def test_all_of_it_became_of_texts(ran: Ran) -> None:
    for path in (ONE, SEVERAL):
        said = {name.removeprefix(f"{path} "): code for name, code in ran.codes.items() if path in name}
        assert said == {
            "well": "200", "no ask": "ask_invalid", "a member too many": "ask_invalid",
            "no such model": "ask_invalid", "too long": "embedding_too_long", "too late": "embeddings_late",
        }  # fmt: skip


def test_nothing_is_left_of_texts_or_vectors(ran: Ran) -> None:
    assert search(Searcher(ran.words), ran.inside) == {}
    assert {"log", "file", "column"} <= {place.name.split()[0] for place in ran.inside}
    assert len(ran.vectors) == 4
    for place in ran.inside:
        if not place.name.startswith("answer"):
            assert not [vector for vector in ran.vectors if vector in place.content], place.name


def test_memory_is_looked_into(ran: Ran, record_property: Callable[[str, object], None]) -> None:
    """What it holds while it embeds is found; what stays afterwards is told, not promised."""
    assert ran.held > 0
    record_property("texts after", ran.after)
    record_property("vectors after", ran.vectors_after)
    assert ran.after < ran.held


def test_nothing_of_the_process_is_in_swap(ran: Ran) -> None:
    assert ran.swapped == ["0"]


def test_a_process_that_is_aborted_while_it_embeds_leaves_no_core(ran: Ran) -> None:
    assert ran.core_limit.split() == ["0", "0"]
    assert ran.cores == []
