"""Live streams by every way: what opens them, and what a client could send where nothing is asked for."""

from __future__ import annotations

from tests.journeys.canary.flock import SECRET, UNKEPT
from tests.journeys.canary.person import Person
from tests.support.websocket import CLOSE, HANDSHAKE, PING, TEXT, masked

UPGRADE = {name.replace("-", "_"): value for name, value in HANDSHAKE.items() if name != "Host"}


def ticket(person: Person) -> str:
    """The query of a fresh ticket."""
    return f"ticket={person.ask('POST', '/sync/live/ticket').json()['ticket']}"


def listen_well(person: Person) -> None:
    """Every way to listen, each told the head when it moves."""
    for headers in ({}, UPGRADE):
        for token, query in ((person.access, ""), ("", ticket(person))):
            with person.wire.listening(token, query, **headers) as stream:
                person.push_new()
                person.wire.keep("answer live", stream.recv(65536))
    status = person.ask("GET", "/sync/status").json()
    known = f"{status['epoch']}.{status['head']['seq']}"
    with person.wire.listening(person.access, Last_Event_ID=known) as stream:
        stream.recv(65536)


def say_what_nobody_asked_for(person: Person) -> None:
    """Frames of every kind with canaries in them; each ends the connection.

    But for a ping: RFC 6455 has its words repeated to whoever said them.
    """
    word = person.flock.text("frame").encode()
    for frame in (
        masked(CLOSE, b"\x03\xe8" + word), masked(TEXT, word), masked(2, word), masked(0, word),
        masked(3, word), masked(PING, word, final=False), bytes((0x80 | TEXT, len(word))) + word,
        bytes((0x80 | TEXT, 0xFE, 0xFF, 0xFF)) + word * 900,
    ):  # fmt: skip
        with person.wire.listening(person.access, **UPGRADE) as stream:
            stream.sendall(frame)
            person.wire.keep("answer live", stream.recv(65536))


def wrong_tickets(person: Person) -> None:
    """Tickets that open nothing, by both ways: a word, a guess, one that was spent on a refusal."""
    spent = ticket(person)
    guesses = (
        f"ticket={person.flock.word('ticket', SECRET)}",
        f"ticket={person.flock.coded('ticket', SECRET, 32)}",
    )
    for query in (*guesses, f"{spent}&after=no", spent):
        for headers in ({}, UPGRADE):
            with person.wire.listening("", query, **headers):
                pass


def unreadable_heads(person: Person) -> None:
    """What names no head, by both names and both ways."""
    for head in (person.flock.word("known head"), f"1.{person.flock.word('known head', UNKEPT)}"):
        for headers in ({}, UPGRADE):
            for query, named in ((f"after={head}", {}), ("", {"Last_Event_ID": head})):
                with person.wire.listening(person.access, query, **headers, **named):
                    pass
