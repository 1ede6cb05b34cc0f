"""Real devices that write nothing but canaries: neither server nor network has a word or a key of them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

import pytest

from tests.journeys.canary.encodings import Searcher
from tests.journeys.canary.flock import NAME, Flock
from tests.journeys.canary.leaving import Left, leave
from tests.journeys.canary.notes import day_one
from tests.journeys.canary.places import Find, Place, search
from tests.journeys.canary.relay import Relay
from tests.journeys.canary.story import Said, Story
from tests.journeys.canary.watched import Watched, left_in, watched
from tests.support.command_line import finished, started
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

# So many entries make a push that can be cut in two.
MANY = 300


@dataclass
class Told:
    """What a story left: on the server, on the way, and on the devices' terminals."""

    story: Story
    server: list[Place]
    passed: list[Place]
    tokens: dict[str, bytes]
    left: Left


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The whole story, with a server that is killed within a push and comes back."""
    folder, port, flock = tmp_path_factory.mktemp("devices"), free_port(), Flock()
    story, relay, server_side = Story(folder, flock), Relay(port), list[Place]()
    try:
        with watched(folder / "server", flock, port=port) as server:
            _live(story, relay)
            _cut_short(story, relay, server)
            server_side += left_in(server.folder)
        with watched(folder / "server", flock, port=port) as server:
            story.sync(story.laptop, story.phone, story.laptop)
            story.brake()
            left = leave(story, relay.url)
            tokens = story.tokens()
            _fail(story)
            server_side += left_in(server.folder)
        story.run("sync")  # the server is gone
        story.fail("ask", flock.text("question"))
        server_side += left_in(folder / "server")
        with watched(folder / "other", flock, port=port) as server:
            story.fail("sync")  # another one is in its place
            assert "server_reset" in story.said[-1].errors
            story.fail("ask", flock.text("question"))
            server_side += left_in(server.folder)
    finally:
        relay.close()
    return Told(story, server_side, list(relay.places()), tokens, left)


def _live(story: Story, relay: Relay) -> None:
    story.begin(relay.url)
    ids = story.write()
    story.sync(story.laptop)
    story.pair()
    story.guard()
    story.disagree(ids)
    story.ask_models()
    _fail_to_ask(story)  # once there are vectors, some entry is always near
    story.embed()
    story.watch()


def _cut_short(story: Story, relay: Relay, server: Watched) -> None:
    """The server is killed while a push arrives; the device says so and keeps all of it."""
    story.run("import", str(day_one(story.folder / "much.zip", story.flock, MANY)), "--as", "much")
    relay.trap(b"POST /sync/push", 60_000, server.kill)
    syncing = started("sync", "--json", home=story.laptop)
    assert relay.sprung.wait(30)
    ended, errors = finished(syncing)
    story.said.append(Said("sync", ended, "", errors))
    assert ended == 1, errors


def _fail(story: Story) -> None:
    """Every failure that a person meets, with words that the failure must not repeat."""
    text, word, folder = story.flock.text, story.flock.word, story.folder
    nowhere = folder / word("no home", NAME)
    damaged = folder / word("damaged home", NAME)
    shutil.copytree(story.phone, damaged)
    (damaged / "echolia.db").write_bytes(text("damage").encode() * 500)
    for home in (nowhere, damaged):
        story.fail("add", text("entry"), "--title", text("title"), home=home)
        for asked in ("sync", "list", "status"):
            story.fail(asked, home=home)
        story.fail("search", text("query"), home=home)
    (damaged / "vault").write_bytes(text("damage").encode())
    story.fail("list", home=damaged)
    for asked in ("show", "edit", "rm --yes", "restore"):
        story.fail(asked, text("id"))
    story.fail("edit " + 32 * "0", "--title", text("title"), "--tag", text("tag"), text("text"))
    story.fail("add", text("first"), text("second"), text("third"))
    story.fail("add --collection memories", text("memory"), "--title", text("title"))
    story.fail("add -", stdin=text("long") * 60_000)
    story.fail("add", f"--{text('dashes')}")
    story.fail("edit", f"-{text('dash')}")
    story.fail("list --collection", word("collection", NAME))
    story.fail("join", text("code"), home=nowhere)
    story.fail("join -", stdin=text("code"), home=nowhere)
    story.fail("join", story.secrets["code"].decode(), home=nowhere)
    story.fail("pair --qr", str(folder / word("no picture", NAME)))
    story.fail_under_passphrase()
    story.fail("revoke --yes", text("device"))
    story.fail("account delete --confirm", text("account"))
    story.fail("brake", text("decision"))
    story.fail("brake rewind --since", text("time"))
    story.fail("ledger", text("more"))
    story.fail("import", str(folder / word("no folder", NAME)))
    story.fail("init --server http://127.0.0.1:1")
    phone = story.told("status", home=story.phone)["device"]
    story.told("revoke --yes", phone)
    story.fail("sync", home=story.phone)


def _fail_to_ask(story: Story) -> None:
    text, word = story.flock.text, story.flock.word
    nowhere = story.folder / word("no home", NAME)
    for home in (nowhere, story.laptop):
        story.fail("ask", text("question"), "--model", word("model"), home=home)
    story.fail("ask", text("question"), "--with-entries", word("in no entry"))
    story.fail("ask", text("question"), "--max-tokens", word("number"))
    story.fail("ask", text("question"), text("another"))
    story.fail("ask -", stdin=text("long") * 60_000)
    story.fail("models", text("more"))
    story.fail("usage", "--days", word("days"))


def kinds(searcher: Searcher, places: list[Place]) -> set[tuple[str, str]]:
    """The kinds that were found, with their places."""
    return {(find.kind, find.place) for find in search(searcher, places)}


def test_the_server_has_no_word_key_or_token_of_it(told: Told) -> None:
    secret = {**told.story.secrets, **told.tokens}
    assert kinds(Searcher(told.story.flock, secret), told.server) == set()
    for digits in told.story.digits:
        pattern = re.compile(rb"(?<![0-9A-Za-z.])" + digits.encode() + rb"(?![0-9A-Za-z])")
        assert [place.name for place in told.server if pattern.search(place.content)] == []


def test_nothing_but_tokens_is_readable_on_the_way(told: Told) -> None:
    assert kinds(Searcher(told.story.flock, told.story.secrets), told.passed) == set()
    # The way was watched: the tokens, which each request carries, are seen on it.
    seen = {kind for kind, _ in kinds(Searcher(told.story.flock, told.tokens), told.passed)}
    assert "laptop access" in seen


def test_a_failure_repeats_no_word_and_shows_no_secret(told: Told) -> None:
    secret = {**told.story.secrets, **told.tokens}
    found = search(Searcher(told.story.flock, secret), told.story.places())
    # Names of files, folders and collections are told: a person must know which one is meant.
    assert [find for find in found if find.kind != "name"] == []
    assert Find("name", "errors import", "plain") in found


def test_an_export_holds_no_word_and_no_secret_that_can_be_read(told: Told) -> None:
    sealed, plain = told.left.places()
    secret = {**told.story.secrets, **told.tokens}
    assert kinds(Searcher(told.story.flock, secret), sealed) == set()
    # What is exported plainly is met there, and nothing but that: no secret ever leaves a home readable.
    assert kinds(Searcher(told.story.flock, secret), plain) == {("text", "plain"), ("name", "plain")}


def test_no_home_keeps_what_was_typed_to_open_a_file(told: Told) -> None:
    typed = {
        name: value for name, value in told.story.secrets.items() if name.startswith(("phrase", "words"))
    }
    homes = [told.story.laptop, told.story.phone, told.story.folder / "elsewhere"]
    kept = [
        Place(path.name, path.read_bytes()) for home in homes for path in home.rglob("*") if path.is_file()
    ]
    assert {kind for kind, _ in kinds(Searcher(told.story.flock, typed), kept)} & {*typed, "secret"} == set()


def test_the_homes_hold_what_is_looked_for(told: Told) -> None:
    # Were the secrets read wrongly, nothing would ever be found: the homes must hold them.
    homes = [
        Place(path.name, path.read_bytes())
        for home in (told.story.laptop, told.story.phone)
        for path in home.iterdir()
        if path.is_file()
    ]
    found = {kind for kind, _ in kinds(Searcher(told.story.flock, told.story.secrets), homes)}
    assert {
        "text",
        "laptop sign",
        "phone sign",
        "laptop box",
        "phone box",
        "account key 1",
        "index key",
    } <= found


def test_a_vault_under_a_passphrase_has_no_secret(told: Told) -> None:
    assert len(told.story.guarded) > 300
    searcher = Searcher(told.story.flock, told.story.secrets)
    assert kinds(searcher, [Place("guarded vault", told.story.guarded)]) == set()


def test_each_way_in_which_secrets_and_pairings_fail_was_met(told: Told) -> None:
    met = {code for said in told.story.said for code in re.findall(r"[a-z]+_[a-z_]+", said.errors)}
    codes = "passphrase_needed passphrase_wrong passphrase_invalid vault_refused keychain_unavailable"
    assert {*codes.split(), "pairing_code_invalid"} <= met
    assert met & {"pairing_taken", "pairing_expired"}


def test_all_that_was_written_was_synced(told: Told) -> None:
    assert len(told.story.said) > 60
    assert sum(len(place.content) for place in told.passed if place.name == "sent") > 200_000
    frames = [place for place in told.server if place.name == "column users.runs.frame"]
    assert len(frames) > 10
