"""What two devices do by the command line: everything they write is a canary, everything they say is kept."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnemonic import Mnemonic

from echolia.client.blocking import BlockingDevice
from echolia.client.database import Database
from echolia.client.environment import REAL
from echolia.client.home import Home
from echolia.client.vault import Vault
from echolia.core import canonical
from echolia.core.ids import unb64
from echolia.e2ee.pairing import Code
from echolia.e2ee.recovery import recovery_keys
from tests.journeys.canary.flock import NAME, UNKEPT, Flock
from tests.journeys.canary.notes import day_one, markdown
from tests.journeys.canary.places import Place
from tests.support.command_line import echolia, finished, in_process, next_step, started


@dataclass
class Said:
    """A command and what it said; `asked` are the words of its own, without what was given to it."""

    asked: str
    code: int
    out: str
    errors: str


@dataclass
class Story:
    """Two homes, what was said, and the secrets that nobody chose, by name."""

    folder: Path
    flock: Flock
    said: list[Said] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=dict)
    digits: list[str] = field(default_factory=list)
    guarded: bytes = b""

    @property
    def laptop(self) -> Path:
        """The first device's home."""
        return self.folder / "laptop"

    @property
    def phone(self) -> Path:
        """The second device's home."""
        return self.folder / "phone"

    def run(self, asked: str, *given: str, home: Path | None = None, stdin: str = "", **more: str) -> Said:
        """Run a command in this process: its own words, then what is given to it."""
        done = in_process(*asked.split(), *given, home=home or self.laptop, stdin=stdin, **more)
        self.said.append(Said(asked, done.exit_code, done.stdout, done.stderr))
        return self.said[-1]

    def fail(self, asked: str, *given: str, home: Path | None = None, stdin: str = "", **more: str) -> None:
        """Run a command that must fail: as a process of its own, then in this one with --json."""
        done = echolia(*asked.split(), *given, home=home or self.laptop, stdin=stdin, **more)
        self.said.append(Said(asked, done.returncode, done.stdout.decode(), done.stderr.decode()))
        self.run(_for_programs(asked), *given, home=home, stdin=stdin, **more)
        assert {said.code for said in self.said[-2:]} <= {1, 2}, asked

    def told(self, asked: str, *given: str, home: Path | None = None, **more: str) -> dict[str, Any]:
        """The JSON of a command that must not fail."""
        said = self.run(_for_programs(asked), *given, home=home, **more)
        assert said.code == 0, said.errors
        loaded: dict[str, Any] = json.loads(said.out)
        return loaded

    # --- what happens ---

    def begin(self, server: str) -> None:
        """An account; its phrase is a secret in every form it has."""
        phrase = self.told("init --server", server)["phrase"]
        entropy, keys = bytes(Mnemonic("english").to_entropy(phrase)), recovery_keys(phrase)
        self.secrets |= {"phrase": phrase.encode(), "entropy": entropy}
        words = phrase.split()
        self.secrets |= {f"words {n}": " ".join(words[n : n + 4]).encode() for n in range(0, 24, 4)}
        self.secrets |= {"recovery sign": keys.sign_secret, "recovery box": keys.box_secret}
        self.learn(self.laptop)

    def learn(self, home: Path) -> None:
        """The secrets that a home keeps, its tokens aside."""
        vault = asyncio.run(Vault.load(Home(home).vault, None, REAL))
        self.secrets |= {
            f"{home.name} sign": vault.keys.sign_secret,
            f"{home.name} box": vault.keys.box_secret,
        }
        self.secrets |= {"index key": vault.secrets.index}
        self.secrets |= {f"account key {n}": key for n, key in vault.secrets.keys.items()}

    def tokens(self) -> dict[str, bytes]:
        """The tokens that the homes keep now: the server gave them out, but must keep none."""
        found: dict[str, bytes] = {}
        for home in (self.laptop, self.phone):
            database = Database.open(Home(home).database)
            try:
                row = database.row("SELECT access, refresh FROM tokens")
                assert row is not None
                access, refresh = row
            finally:
                database.close()
            found |= {f"{home.name} access": access.encode(), f"{home.name} refresh": unb64(refresh)}
        return found

    def write(self) -> list[str]:
        """Entries, memories, tags, imports, edits, searches; gives the ids of three entries."""
        text = self.flock.text
        made = [
            self.told("add --title", text("title"), "--tag", text("tag"), "--", text("entry"))["id"]
            for _ in range(3)
        ]
        self.told("add --collection memories", text("memory"))
        self.told(
            "edit", made[0], "--title", text("new title"), "--tag", text("tag"), "--star", text("edited")
        )
        self.run("add -", stdin=text("from standard input"))
        self.run("search", text("query"))
        self.run("search", text("query").split()[0])
        for asked in ("list", "list --collection memories", "status", "devices", "brake"):
            self.run(asked)
        self.run("import", str(markdown(self.folder / "diary", self.flock)))
        self.run("import", str(day_one(self.folder / "export.zip", self.flock)))
        self.run("show", made[0])
        return made

    def pair(self) -> None:
        """Add the phone; the first digits are wrong."""
        pairing = started("pair", "--json", home=self.laptop)
        code = next_step(pairing)["code"]
        joining = started("join", code, "--json", home=self.phone)
        digits = next_step(joining)["digits"]
        assert next_step(pairing)["step"] == "guest"
        assert pairing.stdin is not None
        pairing.stdin.write(f"{self.flock.word('wrong digits')}\n{digits}\n")
        pairing.stdin.flush()
        assert next_step(pairing)["step"] == "digits_wrong"
        for process, asked in ((joining, "join"), (pairing, "pair")):
            next_step(process)
            ended, errors = finished(process)
            self.said.append(Said(asked, ended, "", errors))
            assert ended == 0, errors
        self.secrets |= {"code": code.encode(), "code's secret": Code.decode(code).secret}
        self.digits.append(digits)
        self.learn(self.phone)

    def guard(self) -> None:
        """For a while the laptop's secrets are under a passphrase; its vault of that time is kept."""
        words = self.passphrase_file(self.flock.text("passphrase"))
        self.told("passphrase set", "--new-file", words)
        self.guarded = Home(self.laptop).vault.read_bytes()
        for asked in ("sync", "status"):
            self.told(asked, ECHOLIA_PASSPHRASE_FILE=words)
        changed = self.passphrase_file(self.flock.text("another passphrase"))
        self.told("passphrase change", "--new-file", changed, ECHOLIA_PASSPHRASE_FILE=words)
        self.fail("status", ECHOLIA_PASSPHRASE_FILE=words)
        self.told("passphrase remove", ECHOLIA_PASSPHRASE_FILE=changed)

    def passphrase_file(self, passphrase: str) -> str:
        """A file with this passphrase."""
        path = self.folder / self.flock.word("passphrase file", NAME)
        path.write_text(f"{passphrase}\n")
        return str(path)

    def fail_under_passphrase(self) -> None:
        """Every failure of a home under a passphrase, or by a keychain that is not there."""
        copy, text = self.folder / "guarded", self.flock.text
        shutil.copytree(self.phone, copy)
        self.fail("passphrase set", "--new-file", self.passphrase_file("short"), home=copy)
        self.fail(
            "passphrase set", "--new-file", str(self.folder / self.flock.word("no file", NAME)), home=copy
        )
        self.fail("passphrase set", text("passphrase"), home=copy)
        self.fail("passphrase change", "--new-file", self.passphrase_file(text("passphrase")), home=copy)
        self.fail("keychain use", home=copy)
        words = self.passphrase_file(text("passphrase"))
        self.told("passphrase set", "--new-file", words, home=copy)
        self.fail("list", home=copy)
        self.fail("list", home=copy, ECHOLIA_PASSPHRASE_FILE=self.passphrase_file(text("wrong passphrase")))
        self.fail("keychain leave", home=copy, ECHOLIA_PASSPHRASE_FILE=words)
        vault = Home(copy).vault
        fields = canonical.decode(vault.read_bytes())
        head = fields["head"]
        for changed in (
            {**head, "mem": 1 << 20},
            {"by": "keychain", "id": self.flock.raw("id of a key", UNKEPT, 16), "check": head["check"]},
        ):
            vault.write_bytes(canonical.encode({**fields, "head": changed}))
            self.fail("list", home=copy, ECHOLIA_PASSPHRASE_FILE=words)
        shutil.rmtree(copy)

    def sync(self, *homes: Path) -> None:
        """Sync these homes, one after the other."""
        for home in homes:
            self.told("sync", home=home)

    def disagree(self, ids: list[str]) -> None:
        """Both devices edit, delete and restore the same things, each unaware of the other."""
        laptop, phone, text = self.laptop, self.phone, self.flock.text
        self.sync(laptop, phone)
        for home in (laptop, phone):
            self.told("edit", ids[0], "--title", text("conflicting title"), text("merged text"), home=home)
        self.told("rm --yes", ids[1], home=laptop)
        self.told("edit", ids[1], text("edit against deletion"), home=phone)
        self.told("rm --yes", ids[2], home=laptop)
        self.told("restore", ids[2], home=laptop)
        self.sync(laptop, phone, laptop)
        assert self.told("show", ids[0])["conflicts"]
        for asked in ("list --conflicts", "list --trash", "status"):
            self.run(asked, home=phone)

    def ask_models(self) -> None:
        """Both devices ask a model: alone, with entries of theirs, in a conversation that is kept."""
        text, word = self.flock.text, self.flock.word("entry to ask about")
        self.told("add", word)
        asked = text("question")
        assert asked in self.told("ask", asked)["text"]
        self.told("ask", "--with-entries", word, "--system", text("system"), text("question"))
        title = text("conversation")
        for _ in range(2):
            self.told("ask", "--in", title, text("question"))
        self.sync(self.laptop, self.phone)
        self.told("ask", "--in", title, text("question"), home=self.phone)
        self.sync(self.phone, self.laptop)
        self.run("ask", text("question"))
        self.run("ask -", stdin=text("question"))
        for asked in ("models", "usage", "usage --days 7"):
            self.told(asked)
            self.run(asked, home=self.phone)

    def embed(self) -> None:
        """The laptop has vectors made by the server, then as it can; both devices search by meaning."""
        text, word = self.flock.text, self.flock.word("entry to be found")
        self.told("add", f"{word} stood in the water")
        with BlockingDevice.open(self.laptop) as laptop:
            laptop.embeddings.use(None)
            assert laptop.embeddings.update(development=True).made
        for asked in ("embed", "embed --migrate --development"):
            self.sync(self.laptop, self.phone)
            for home in (self.laptop, self.phone):
                found = self.told("search --semantic", f"{word} in the water", home=home)
                assert found["by"] == "meaning"
                self.run("search --semantic", text("question by meaning"), home=home)
            self.run(asked)
        self.fail("search --semantic --collection memories", text("question by meaning"))

    def brake(self) -> None:
        """The phone deletes everything, which the laptop is told and rewinds."""
        with BlockingDevice.open(self.phone) as phone:
            ids = [record.id for record in phone.collection("entries").list()]
            with phone.batch() as batch:
                for one in ids:
                    batch.delete("entries", one)
        self.sync(self.phone)
        self.fail("sync")
        assert "mass_change" in self.said[-1].errors
        assert self.told("brake")["brake"]["examples"]
        for asked in ("brake", "status", "ledger"):
            self.run(asked)
        self.told("brake rewind")
        self.sync(self.phone, self.laptop)
        assert self.told("list")["total"] == len(ids)

    def watch(self) -> None:
        """The phone follows while the laptop writes."""
        watching = started("watch", "--json", "--count", "1", home=self.phone)
        self.told("add", self.flock.text("watched"))
        self.sync(self.laptop)
        assert next_step(watching)["changed"]
        ended, errors = finished(watching)
        self.said.append(Said("watch", ended, "", errors))

    def places(self) -> Iterator[Place]:
        """What the commands said, standard output of those that failed included."""
        for said in self.said:
            name = said.asked.split()[0]
            yield Place(f"errors {name}", said.errors.encode())
            if said.code:
                yield Place(f"output of failed {name}", said.out.encode())


def _for_programs(asked: str) -> str:
    """The command with --json, before any option that awaits its value."""
    words = asked.split()
    after = 2 if words[0] in {"account", "passphrase", "keychain"} else 1
    return " ".join([*words[:after], "--json", *words[after:]])
