"""Opens an Echolia export without Echolia: no server, no SDK, no network; Python 3.11 and PyNaCl.

    python open_export.py FILE [--list] [--out FOLDER]

Verifies a file to its last byte, names what is inside, writes Markdown and JSON of it. The 24 words or the
passphrase are asked for; piped in, they are the first line. Keep `bip39_english.txt` beside it.
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import json
import os
import re
import struct
import sys
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from pathlib import Path
from typing import IO, Any

from nacl import bindings, pwhash
from nacl.exceptions import CryptoError

CHUNK, SEALED = 16_384, 24 + 16_384 + 16
WORDS = Path(__file__).with_name("bip39_english.txt")  # the English list of BIP-39, a word a line
AEAD, SIGNED = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt, bindings.crypto_sign_open
KINDS = ("", "log", "keys", "object", "attachment", "evidence", "run", "end")


class Refused(Exception):
    """The file, or what was typed, is not what it should be; in words for people."""


UNREADABLE = (Refused, LookupError, ValueError, TypeError, AttributeError, struct.error, CryptoError)


def must(fact: object, why: str) -> None:
    """Refuse the file unless this is so."""
    if not fact:
        raise Refused(why)


def cbor(raw: bytes) -> Any:
    """The value of CBOR as Echolia writes it: no tags, nothing of indefinite length."""
    value, end = _cbor(raw, 0, 0)
    must(end == len(raw), "a part of it is followed by something else")
    return value


def _cbor(raw: bytes, at: int, depth: int) -> tuple[Any, int]:
    major, small = raw[at] >> 5, raw[at] & 31
    size = 1 << (small - 24) if small > 23 else 0
    at += 1 + size
    must(small <= 27 and major != 6 and depth <= 40 and at <= len(raw), "a part of it cannot be read")
    number = int.from_bytes(raw[at - size : at], "big") if size else small
    if major < 2:
        return (number if major == 0 else -1 - number), at
    if major < 4:
        must(at + number <= len(raw), "a part of it is cut short")
        content = raw[at : at + number]
        return (content if major == 2 else content.decode()), at + number
    if major == 7 and size > 1:
        return struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], raw[at - size : at])[0], at
    if major == 7:
        return (False, True, None)[number - 20 if number >= 20 else 3], at
    found = []
    for _ in range(number * (major - 3)):
        value, at = _cbor(raw, at, depth + 1)
        found.append(value)
    return (found if major == 4 else dict(zip(found[::2], found[1::2], strict=True))), at


def derive(length: int, key: bytes, data: bytes, person: bytes) -> bytes:
    """Keyed, personalised BLAKE2b."""
    return hashlib.blake2b(data, digest_size=length, key=key, person=person).digest()


def sha(*parts: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(b"".join(parts)).digest()


def phrase_keys(typed: str) -> tuple[bytes, bytes]:
    """What 24 words stand for: an X25519 secret, and an Ed25519 public key."""
    place = {word: n for n, word in enumerate(WORDS.read_text("ascii").split())}
    given = typed.lower().split()
    must(len(given) == 24 and all(word in place for word in given), "these are not 24 words of the list")
    bits = int("".join(f"{place[word]:011b}" for word in given), 2)
    entropy = (bits >> 8).to_bytes(32, "big")
    must(sha(entropy)[0] == bits & 255, "the words do not check: one is another, or two changed places")
    seed = derive(32, entropy, b"", b"echolia1/rec-sgn")
    return derive(32, entropy, b"", b"echolia1/rec-box"), bindings.crypto_sign_seed_keypair(seed)[0]


def opened(why: str, check: Callable[..., bytes], *given: bytes) -> bytes:
    """What libsodium opens or finds signed; if it does not, the file is refused."""
    try:
        return check(*given)
    except (CryptoError, ValueError):
        raise Refused(why) from None


class Export:
    """An export that lies on the disk; `header` is readable at once, the rest by its key."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            start = file.read(4096 + 22 + 32)
        must(start.startswith(b"echolia export\r\n") and len(start) > 22, "this is no export of Echolia")
        version, suite, length = struct.unpack(">BBI", start[16:22])
        must((version, suite) == (1, 1), "this export is of a newer version: get a newer opener")
        must(length <= 4096, "its head is too long")
        self.path, self.head, self.commitment = path, start[: 22 + length], start[22 + length : 54 + length]
        self.header, self.end = cbor(self.head[22:]), dict[str, Any]()
        locked = self.header["passphrase"] or {"ops": 3, "mem": 1 << 30}
        fair = 3 <= locked["ops"] <= 16 and 64 << 20 <= locked["mem"] <= 1 << 30
        must(fair, "its passphrase costs too little or too much to try")
        self.account, self.key, self.owner, self.ending = self.header["account"], b"", b"", b""

    def unlock(self, typed: str) -> None:
        """Take the 24 words, or the passphrase."""
        locked = self.header["passphrase"]
        if locked is None or len(typed.split()) == 24:
            secret, self.owner = phrase_keys(typed)
            public = bindings.crypto_scalarmult_base(secret)
            must(public == self.header["recovery"]["to"], "these are the words of another account")
            file_key = bindings.crypto_box_seal_open(self.header["recovery"]["box"], public, secret)
        else:
            salt, cost = locked["salt"], {"opslimit": locked["ops"], "memlimit": locked["mem"]}
            key = pwhash.argon2id.kdf(32, unicodedata.normalize("NFC", typed).encode(), salt, **cost)
            aad, sealed = b"echolia/1/export-passphrase" + self.account, locked["sealed"]
            file_key = opened("this passphrase does not open it", AEAD, sealed[24:], aad, sealed[:24], key)
        derived = derive(64, file_key, sha(self.head), b"echolia1/exp-key")
        must(compare_digest(derived[32:], self.commitment), "its head was changed")
        self.key = derived[:32]

    def chunks(self) -> Iterator[bytes]:
        """The stream, chunk by chunk."""
        count, rest = divmod(self.path.stat().st_size - len(self.head) - 32, SEALED)
        must(count > 0 and not rest, "it is cut short")
        with self.path.open("rb") as file:
            file.seek(len(self.head) + 32)
            for number in range(count):
                aad = b"echolia/1/export" + self.account + struct.pack(">QB", number, number == count - 1)
                nonce, sealed = file.read(24), file.read(SEALED - 24)
                yield opened(f"chunk {number} was changed or moved", AEAD, sealed, aad, nonce, self.key)

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Each record's kind and content but the end, which is checked: it must be read to its end."""
        left, digest, counts = bytearray(), hashlib.sha256(), dict.fromkeys(KINDS[1:7], 0)
        last, read, used = 1, 0, 0
        for chunk in self.chunks():
            left += chunk
            read += CHUNK
            while not self.end and len(left) >= 5:
                kind, length = struct.unpack(">BI", left[:5])
                must(last <= kind <= 7 and length <= 64 << 20, "a record of another version, or out of order")
                if len(left) < 5 + length:
                    break
                raw, last = bytes(left[: 5 + length]), kind
                del left[: 5 + length]
                used += len(raw)
                if kind == 7:
                    self.end, self.ending = cbor(raw[69:]), raw[5:]
                    break
                digest.update(raw)
                counts[KINDS[kind]] += 1
                yield KINDS[kind], raw[5:]
            if self.end:
                must(not left.strip(b"\0"), "something follows its end")
                left.clear()
        whole = self.end.get("hash") == digest.digest() and self.end["counts"] == counts
        must(whole and len(self.end) == 4, "it has no true end")
        must(counts["log"] and counts["keys"] == 1 and counts["evidence"] <= 1, "something is missing in it")
        mask = (1 << ((e := used.bit_length() - 1) - e.bit_length())) - 1  # PADMÉ, then whole chunks
        must(read == -(-((used + mask) & ~mask) // CHUNK) * CHUNK, "it is longer than what it holds")


class Evidence:
    """The devices of the account, and whether each run is one that a device of it signed."""

    def __init__(self, account: bytes) -> None:
        self.account, self.signers, self.entries, self.hash = account, dict[str, bytes](), 0, bytes(32)
        self.heads, self.recovery_box = dict[bytes, tuple[int, bytes]](), b""
        self.at: Any = None  # epoch, position and hash of the log, as far as its runs add up

    def entry(self, content: bytes) -> None:
        """The next entry of the device log: linked, and signed by those it is to be signed by."""
        entry, signatures = cbor(content)
        fields = cbor(entry)
        must(fields["n"] == self.entries and fields["prev"] == self.hash, "its device log has a gap")
        before, genesis = dict(self.signers), self.entries == 0
        must(not genesis or sha(b"echolia/1/account", entry)[:16] == self.account, "the genesis is another's")
        if "recovery" in fields:
            self.signers["recovery"], self.recovery_box = (
                fields["recovery"]["sign"],
                fields["recovery"]["box"],
            )
        if isinstance(fields.get("device"), dict):
            sign, box = fields["device"]["sign"], fields["device"]["box"]
            self.signers[urlsafe_b64encode(sha(b"echolia/1/device", sign, box)[:16]).decode()[:22]] = sign
        known = genesis or any(before.get(name) == self.signers.get(name, name) for name in signatures)
        must(signatures and known, "an entry nobody of the account signed")
        for name, signature in signatures.items():
            message = b"echolia/1/device-log-entry" + entry
            opened("a device was not signed in", SIGNED, signature + message, self.signers.get(name, b""))
        self.entries, self.hash = self.entries + 1, sha(b"echolia/1/device-log", entry)

    def begin(self, content: bytes) -> None:
        """Where the log begins: at nothing, or at the checkpoint that the server had compacted it to."""
        fields = cbor(content)
        seq, epoch = fields["base"], struct.pack(">Q", fields["epoch"])
        self.at = [fields["epoch"], seq, sha(b"echolia/1/log", self.account, epoch)]
        for point in (cbor(one["checkpoint"]) for one in fields["checkpoints"]):
            if point["seq"] == seq:
                base = sha(b"echolia/1/log-base", self.account, epoch, struct.pack(">Q", seq), point["log"])
                self.at[2] = point["log"] if point["epoch"] == fields["epoch"] else base

    def run(self, content: bytes) -> None:
        """A run as it was served: its changes are hashed, its signature holds, chain and log go on."""
        seq, received_ms, form = struct.unpack(">QQB", content[:17])
        frame = content[17:]
        _, suite, device, first, count, prev = struct.unpack(">BB16sQI32s", frame[:62])
        chain, at = prev, 174
        for _ in range(count if form != 1 else 0):
            whole = form == 0 or frame[at] == 1
            at += form == 2
            end = at + 32
            if whole:
                body_at = at + 38 + 24 * frame[at + 37]
                end = body_at + 4 + int.from_bytes(frame[body_at : body_at + 4], "big")
            chain = sha(chain, sha(frame[at:end]) if whole else frame[at:end])
            at = end
        must(form == 1 or at == len(frame), "a run has another length")
        chain, last = (frame[174:] if form == 1 else chain), first + count - 1
        message = b"echolia/1/run" + bytes([suite]) + self.account + device + struct.pack(">Q", last) + chain
        signer = self.signers.get(urlsafe_b64encode(device).decode()[:22], b"")
        opened("a run is not signed by a device", SIGNED, frame[110:174] + message + frame[62:110], signer)
        known = self.heads.get(device)
        must(known is None or first != known[0] + 1 or prev == known[1], "a run follows another one")
        if known is None or last > known[0]:
            self.heads[device] = last, chain
        if seq > self.at[1]:  # what a checkpoint starts from lies before it, and is no link of the log
            must(seq == self.at[1] + 1, "a run is missing")
            link = struct.pack(">QI16sQ32sQ", seq, count, device, last, chain, received_ms)
            self.at = [self.at[0], seq + count - 1, sha(self.at[2], link)]


_UNSAFE = re.compile(r"[^\w .,()'+-]+")
_ESCAPED = re.compile("[^ -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class PlainFolder:
    """Writes objects where anybody can read them, unencrypted: an entry a Markdown file, the rest as JSON."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, for its user alone; raises FileExistsError if something is in it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileExistsError(folder)
        folder.chmod(0o700)
        self.folder, self.files, self._lists = folder, 0, dict[str, IO[str]]()

    def add(self, thing: dict[str, Any]) -> None:
        """One object, as an export's record has it."""
        if thing["collection"] == "entries" and thing["alive"]:
            front, body = markdown(thing)
            if len(front) <= 60_000:
                with self._new(self.folder / "entries", file_name(thing)) as file:
                    file.write(front + body)
                return
        must(re.fullmatch("[a-z][a-z0-9_]{0,31}", thing["collection"]), "a collection has no name")
        name = thing["collection"] if thing["alive"] else "_trash"
        first = name not in self._lists
        if first:
            self._lists[name] = self._new(self.folder / "collections", f"{name}.json")
        shown = {key: plain(value) for key, value in thing.items() if key != "state"}
        self._lists[name].write(
            ("[\n" if first else ",\n") + json.dumps(shown, ensure_ascii=False, sort_keys=True)
        )

    def close(self) -> None:
        """End every list."""
        for file in self._lists.values():
            file.write("\n]\n")
            file.close()

    def _new(self, folder: Path, name: str) -> IO[str]:
        folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        self.files += 1
        return os.fdopen(handle, "w", encoding="utf-8", newline="")


def file_name(thing: dict[str, Any]) -> str:
    """A name that any file system takes and no other entry has."""
    title = _UNSAFE.sub("_", str(thing["fields"].get("title") or ""))[:40].strip(" .")
    day = (iso(thing["fields"].get("created")) or "")[:10]
    return " ".join(part for part in (_UNSAFE.sub("_", day), title, thing["id"].hex()) if part) + ".md"


def markdown(thing: dict[str, Any]) -> tuple[str, str]:
    """An entry's front matter, which says all that is not its text, and its text."""
    fields = {name: value for name, value in thing["fields"].items() if name not in ("body", "created")}
    front = {"title": fields.pop("title", None) or "", "date": iso(thing["fields"].get("created"))}
    front |= {"tags": fields.pop("tags", []), "id": thing["id"].hex()}
    front |= {**dict(sorted(fields.items())), "conflicts": thing["conflicts"]}
    lines = [f"{name}: {yaml(value)}\n" for name, value in front.items() if value not in (None, {}, [])]
    return "---\n" + "".join(lines) + "---\n", str(thing["fields"].get("body") or "")


def yaml(value: object) -> str:
    """The value as JSON that is YAML as well, which joins no escaped halves and knows more ends of lines."""
    text = json.dumps(plain(value), ensure_ascii=False, sort_keys=True)
    return _ESCAPED.sub(lambda found: f"\\U{ord(found[0]):08x}", text)


def iso(created: object) -> str | None:
    """A time (ms since 1970) as text; what is text already stays."""
    if isinstance(created, int) and -62_135_596_800_000 <= created < 253_402_300_800_000:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=created)).isoformat()
    return created if isinstance(created, str) else None


def plain(value: Any) -> Any:
    """The value as JSON can say it: bytes in hexadecimal, what is no number as text."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and value - value != 0 else value


def read(export: Export, told: Any) -> Evidence:
    """Read all of it, verify all of it; `told` is called with each object."""
    evidence, export.end = Evidence(export.account), {}
    for kind, content in export.records():
        if kind == "log":
            evidence.entry(content)
        elif kind == "evidence":
            evidence.begin(content)
        elif kind == "run":
            evidence.run(content)
        elif kind == "object":
            told(cbor(content))
    writer = evidence.signers.get(urlsafe_b64encode(export.end["device"]).decode()[:22], b"")
    message = b"echolia/1/export-end" + export.account + sha(export.head) + export.ending[64:]
    opened("no device of the account wrote it", SIGNED, export.ending[:64] + message, writer)
    must(evidence.at == export.end["position"], "its evidence ends elsewhere")
    must(evidence.recovery_box == export.header["recovery"]["to"], "it is sealed to another account")
    must(export.owner in (b"", evidence.signers["recovery"]), "it was made by somebody else, in your name")
    return evidence


def listed(thing: dict[str, Any]) -> None:
    """One line about an object."""
    named = next((thing["fields"][n] for n in ("title", "name", "content") if thing["fields"].get(n)), "")
    where = thing["collection"] if thing["alive"] else "trash"
    sys.stdout.write(f"{thing['id'].hex()}  {where:10}  {_ESCAPED.sub(' ', str(named))[:60]}\n")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description="Open an Echolia export; no server and no Echolia needed.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--list", action="store_true", help="name every object")
    parser.add_argument("--out", type=Path, help="a new folder for Markdown and JSON, UNENCRYPTED")
    given = parser.parse_args()
    try:
        export = Export(given.file)
        asked = "The 24 words" + (", or the passphrase: " if export.header["passphrase"] else ": ")
        export.unlock(getpass.getpass(asked) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n"))
        evidence = read(export, lambda _thing: None)
        if given.list:
            read(export, listed)
        if given.out:
            folder = PlainFolder(given.out)
            read(export, folder.add)
            folder.close()
    except (Refused, OSError) as error:
        sys.exit(f"open_export: {error}")
    except UNREADABLE:
        sys.exit("open_export: a part of it has another form than version 1 gives it")
    counts = export.end["counts"]
    sys.stdout.write(f"Account {export.account.hex()} as of {iso(export.header['created'])}: whole.\n")
    said = f"{counts['object']} objects, {len(evidence.signers) - 1} devices, {counts['run']} signed runs"
    sys.stdout.write(f"{said}{'' if counts['evidence'] else ' (made without the server: no evidence)'}.\n")


if __name__ == "__main__":
    main()
