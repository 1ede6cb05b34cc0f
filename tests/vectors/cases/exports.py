"""Vectors of exports: files that open, and files that must not."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mnemonic import Mnemonic
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as aead
from nacl.pwhash import argon2id

from tests.vectors import reference as ref
from tests.vectors.cases.served_log import Log, log_of
from tests.vectors.reference import Identity
from tests.vectors.world import (
    ACCOUNT,
    ENTROPY,
    GENESIS,
    GENESIS_FIELDS,
    LAPTOP,
    NOTE,
    OTHER_ACCOUNT,
    OTHER_NOTE,
    PHONE,
    RECOVERY,
    STRANGER,
    Vector,
    after,
    filler,
    flipped,
    run,
    seed,
)

PHRASE = Mnemonic("english").to_mnemonic(ENTROPY)
OTHER_PHRASE = Mnemonic("english").to_mnemonic(seed("another phrase"))
PASSPHRASE = "correct horse battery staple"
CREATED = 1_700_000_100_000
CHUNK = 16_384
KINDS = ("log", "keys", "object", "attachment", "evidence", "run")
Record = tuple[int, bytes]


def _object(id_: bytes, title: str, alive: bool = True) -> dict[str, Any]:
    life = [1, {}] if alive else [2, {LAPTOP.id: 2}]
    fields = {"title": ["multi", {LAPTOP.id: 1}, [[LAPTOP.id, 1, title]]]}
    state = {"v": 1, "c": "entries", "o": {LAPTOP.id: 1 if alive else 2}, "l": life, "f": fields}
    shown = {
        "alive": alive,
        "recovered": False,
        "updated": CREATED,
        "fields": {"title": title},
        "conflicts": {},
    }
    return {"id": id_, "collection": "entries", **shown, "state": ref.cbor(state)}


def _entry(entry: bytes, *signers: tuple[str, Identity]) -> bytes:
    message = b"echolia/1/device-log-entry" + entry
    return ref.cbor([entry, {name: ref.sign(who.sign_seed, message) for name, who in signers}])


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


ENTRY = _entry(GENESIS, ("recovery", RECOVERY), (_b64(LAPTOP.id), LAPTOP))
# Somebody else's account whose recovery box key is said to be this account's.
POSED = ref.cbor({**GENESIS_FIELDS, "recovery": {**STRANGER.public, "box": RECOVERY.public["box"]}})
POSED_ENTRY = _entry(POSED, ("recovery", STRANGER), (_b64(LAPTOP.id), LAPTOP))
FIRST = run(LAPTOP, "one", "two")
LOG = log_of(FIRST, after(FIRST, "three"))
OBJECTS = [_object(NOTE, "One"), _object(OTHER_NOTE, "Two", alive=False)]
SECRETS = ref.sealed_box(b"account secrets", RECOVERY.public["box"], seed("keys ephemeral"))


def _records(
    log: Log | None = LOG, objects: Sequence[dict[str, Any]] = OBJECTS, entry: bytes = ENTRY
) -> list[Record]:
    served = [(6, each.item()[:17] + each.run.frame) for each in log.stored] if log else []
    evidence = [(5, ref.cbor({"epoch": log.epoch, "base": 0, "checkpoints": []}))] if log else []
    return [(1, entry), (2, SECRETS), *((3, ref.cbor(each)) for each in objects), *evidence, *served]


@dataclass(frozen=True)
class File:
    """An export; every part of it may be made wrong."""

    records: Sequence[Record] = field(default_factory=_records)
    account: bytes = ACCOUNT
    to: Identity = RECOVERY
    writer: Identity = LAPTOP
    position: Any = field(default_factory=lambda: list(LOG.head))
    name: str = "file"
    passphrase: tuple[int, int] | None = None
    version: int = 1
    suite: int = 1
    end: Mapping[str, Any] = field(default_factory=dict)
    signer: Identity | None = None
    after_end: bytes = b""
    more_chunks: int = 0

    @property
    def head(self) -> bytes:
        """All that the commitment covers."""
        public, nonce = self.to.public["box"], seed("device nonce")[:24]
        own = ref.b(32, LAPTOP.box_secret, self.account, b"echolia1/exp-dev")
        fields = {
            "account": self.account,
            "created": CREATED,
            "recovery": {"to": public, "box": ref.sealed_box(self.key, public, seed("ephemeral 1"))},
            "device": nonce + aead(self.key, b"echolia/1/export-device" + self.account, nonce, own),
            "passphrase": None if self.passphrase is None else self._locked(*self.passphrase),
        }
        raw = ref.cbor(fields)
        return b"echolia export\r\n" + bytes((self.version, self.suite)) + ref.u(32, len(raw)) + raw

    @property
    def key(self) -> bytes:
        """The file key."""
        return seed(f"{self.name} key")

    def _locked(self, ops: int, mem: int) -> dict[str, Any]:
        salt, nonce = seed("salt")[:16], seed("passphrase nonce")[:24]
        fair = (max(ops, 3), min(max(mem, 64 << 20), 1 << 27))
        key = argon2id.kdf(32, PASSPHRASE.encode(), salt, opslimit=fair[0], memlimit=fair[1])
        aad = b"echolia/1/export-passphrase" + self.account
        return {"salt": salt, "ops": ops, "mem": mem, "sealed": nonce + aead(self.key, aad, nonce, key)}

    @property
    def stream(self) -> bytes:
        """The records, the end, and the zeros."""
        before = b"".join(ref.u(8, kind) + ref.u(32, len(raw)) + raw for kind, raw in self.records)
        kinds = [kind for kind, _ in self.records]
        counts = {name: kinds.count(n) for n, name in enumerate(KINDS, 1)}
        end = {"counts": counts, "position": self.position, "hash": ref.h(before), "device": self.writer.id}
        said = ref.cbor({**end, **self.end})
        message = b"echolia/1/export-end" + self.account + ref.h(self.head) + said
        content = ref.sign((self.signer or self.writer).sign_seed, message) + said
        stream = before + b"\x07" + ref.u(32, len(content)) + content
        chunks = -(-ref.padme(len(stream)) // CHUNK) + self.more_chunks
        return (stream + self.after_end).ljust(chunks * CHUNK, b"\0")

    @property
    def derived(self) -> bytes:
        """Key and commitment."""
        return ref.b(64, self.key, ref.h(self.head), b"echolia1/exp-key")

    def chunks(self, stream: bytes | None = None) -> list[bytes]:
        """The sealed chunks."""
        stream = self.stream if stream is None else stream
        parts = [stream[at : at + CHUNK] for at in range(0, len(stream), CHUNK)]
        sealed = []
        for n, part in enumerate(parts):
            nonce = seed(f"{self.name} nonce {n}")[:24]
            aad = b"echolia/1/export" + self.account + ref.u(64, n) + bytes((n == len(parts) - 1,))
            sealed.append(nonce + aead(part, aad, nonce, self.derived[:32]))
        return sealed

    @property
    def raw(self) -> bytes:
        """The file."""
        return self.head + self.derived[32:] + b"".join(self.chunks())


def _expected(file: File, objects: Sequence[dict[str, Any]] = OBJECTS) -> dict[str, Any]:
    kinds = [kind for kind, _ in file.records]
    return {
        "account": file.account,
        "created": CREATED,
        "counts": {name: kinds.count(n) for n, name in enumerate(KINDS, 1)},
        "position": file.position,
        "device": file.writer.id,
        "objects": list(objects),
    }


def _taken(
    case: str, note: str, file: File, objects: Sequence[dict[str, Any]] = OBJECTS, **given: Any
) -> Vector:
    return Vector(
        "export", case, note, {"words": PHRASE, "file": file.raw, **given}, _expected(file, objects)
    )


def cases() -> Iterator[Vector]:
    """Files that open, files that were changed, files by somebody else."""
    yield from _good()
    for case, (error, note, raw) in {**_changed(), **_made_wrong()}.items():
        yield Vector("export", f"refused-{case}", note, {"words": PHRASE, "file": raw}, {"error": error})
    yield from _locked()


LARGE = [_object(NOTE, "One"), _object(OTHER_NOTE, filler("long", 9_000).hex())]
THREE = File(_records(objects=LARGE))


def _good() -> Iterator[Vector]:
    whole, offline = File(), File(_records(None), position=None)
    yield _taken("words", "Two objects, one of them in the Trash, and two runs as evidence.", whole)
    yield _taken("offline", "Made without the server: no evidence.", offline)
    yield _taken("chunks", "Records that run over the ends of chunks.", THREE, LARGE)
    loose = "  " + PHRASE.upper().replace(" ", "\n ")
    yield _taken("loose", "Case and spacing of the words do not matter.", offline, words=loose)
    attached = [*_records(None), (4, b"one day an attachment")]
    note = "An attachment, which no version 1 writes: counted and passed over."
    yield _taken("attachment", note, File(attached, position=None))
    locked = File(_records(None), position=None, passphrase=(3, 64 << 20))
    yield _taken("passphrase", "Opened by its passphrase.", locked, words=PASSPHRASE)
    yield _taken("passphrase-words", "A file with a passphrase, opened by the words.", locked)


def _changed() -> dict[str, tuple[str, str, bytes]]:
    """Bytes that were written rightly and changed afterwards."""
    head, chunks = THREE.head + THREE.derived[32:], THREE.chunks()
    small = File(_records(None), position=None)
    other = replace(THREE, name="other file").chunks()
    bad = "export_invalid"
    return {
        "cut": (bad, "Its last byte is missing.", small.raw[:-1]),
        "chunk-cut": (bad, "Its last chunk is missing.", head + b"".join(chunks[:-1])),
        "no-chunks": (bad, "Nothing but its head.", small.head + small.derived[32:]),
        "reordered": (bad, "Two chunks changed places.", head + chunks[1] + chunks[0] + b"".join(chunks[2:])),
        "chunk-left-out": (bad, "A chunk in between is missing.", head + chunks[0] + b"".join(chunks[2:])),
        "chunk-twice": (bad, "The last chunk comes twice.", head + b"".join(chunks) + chunks[-1]),
        "mixed": (bad, "A chunk of another file.", head + other[0] + b"".join(chunks[1:])),
        "flipped": (bad, "A bit of the last chunk.", flipped(small.raw)),
        "commitment": (bad, "A bit of the commitment.", _flipped_at(small, len(small.head))),
        "created": (bad, "A bit of the time in the head.", _flipped_at(small, _at(small, b"gcreated") + 16)),
        "text-mode": (bad, "A line end changed on its way.", small.raw.replace(b"\r\n", b"\n", 1)),
        "empty": (bad, "Nothing.", b""),
        "no-export": (bad, "Another file.", b"PK\x03\x04" + bytes(100)),
        "newer-version": ("unsupported_version", "A later version.", replace(small, version=2).raw),
        "newer-suite": ("unsupported_version", "A later suite.", replace(small, suite=2).raw),
    }


def _at(file: File, part: bytes) -> int:
    return file.raw.index(part)


def _flipped_at(file: File, at: int) -> bytes:
    return flipped(file.raw, at)


def _made_wrong() -> dict[str, tuple[str, str, bytes]]:
    """Files that somebody made who has a key: sealed as they should be, wrong inside."""
    plain, bad = File(_records(None), position=None), "export_invalid"
    log = _records(None)
    forged = File([*_records()[:-1], (6, flipped(_records()[-1][1], 180))])
    newer = File([*log, (8, b"")], position=None)
    posed = File(_records(None, entry=POSED_ENTRY), ref.account_of(POSED), position=None)
    made = {
        "other-account": ("The head names another account.", replace(plain, account=OTHER_ACCOUNT)),
        "posed": ("An account of somebody else, sealed to these words.", posed),
        "sealed-to-another": ("The head is sealed to another key than the log's.", _sealed_to_another()),
        "writer-unknown": ("Written by a device that is not in the log.", replace(plain, writer=PHONE)),
        "signature": ("The end is signed by another.", replace(plain, signer=STRANGER)),
        "hash": ("The end names another hash.", replace(plain, end={"hash": bytes(32)})),
        "counts": ("The end counts an object more.", replace(plain, end={"counts": _one_more(plain)})),
        "end-key": ("The end says something nobody knows.", replace(plain, end={"more": 1})),
        "position": ("The evidence ends elsewhere.", replace(File(), position=[LOG.epoch, 1, bytes(32)])),
        "position-without": ("No evidence, but an end of it.", replace(plain, position=list(LOG.head))),
        "after-end": ("Something follows the end.", replace(plain, after_end=b"\1")),
        "longer": ("A chunk of zeros too many.", replace(plain, more_chunks=1)),
        "no-log": ("No device log.", replace(plain, records=log[1:])),
        "no-keys": ("No account secrets.", replace(plain, records=[log[0], *log[2:]])),
        "order": ("An object before the account secrets.", replace(plain, records=[log[0], log[2], log[1]])),
        "keys-twice": ("Account secrets twice.", replace(plain, records=[*log[:2], *log[1:]])),
        "run-alone": ("A run without what says its epoch.", File([*log, _records()[-1]], position=None)),
        "run-forged": ("A run whose signature does not hold.", forged),
        "run-missing": ("A run in between is missing.", File([*_records()[:-2], _records()[-1]])),
        "device-log": (
            "The genesis is not signed.",
            replace(plain, records=[(1, _entry(GENESIS)), *log[1:]]),
        ),
        "passphrase-cheap": ("A passphrase that costs too little.", replace(plain, passphrase=(2, 64 << 20))),
        "passphrase-dear": ("One made to exhaust memory.", replace(plain, passphrase=(3, 1 << 31))),
    }
    found = {case: (bad, note, file.raw) for case, (note, file) in made.items()}
    return found | {"newer-kind": ("unsupported_version", "A record of a later kind.", newer.raw)}


def _sealed_to_another() -> File:
    genesis = ref.cbor({**GENESIS_FIELDS, "recovery": {**RECOVERY.public, "box": STRANGER.public["box"]}})
    entry = _entry(genesis, ("recovery", RECOVERY), (_b64(LAPTOP.id), LAPTOP))
    return File(_records(None, entry=entry), ref.account_of(genesis), position=None)


def _one_more(file: File) -> dict[str, int]:
    counts: dict[str, int] = _expected(file)["counts"]
    return {**counts, "object": counts["object"] + 1}


def _locked() -> Iterator[Vector]:
    plain = File(_records(None), position=None)
    locked = replace(plain, passphrase=(3, 64 << 20))
    swapped = " ".join([PHRASE.split()[1], PHRASE.split()[0], *PHRASE.split()[2:]])
    for case, error, note, file, words in (
        ("other-words", "export_locked", "The words of another account.", plain, OTHER_PHRASE),
        ("words-swapped", "phrase_invalid", "Two words changed places.", plain, swapped),
        ("no-words", "phrase_invalid", "Nothing was typed.", plain, ""),
        ("passphrase-for-words", "phrase_invalid", "A passphrase, where there is none.", plain, PASSPHRASE),
        ("other-passphrase", "export_locked", "Another passphrase.", locked, PASSPHRASE + "s"),
    ):
        yield Vector("export", f"refused-{case}", note, {"words": words, "file": file.raw}, {"error": error})
