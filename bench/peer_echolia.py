"""Echolia under the workload: real accounts, tokens, signed runs; each record is 1 KiB of sealed bytes."""

from __future__ import annotations

import json
import os
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from nacl.signing import SigningKey
from probes import PeerError, free_port, spawn, wait_port
from workload import Peer

from echolia.core import push, runs
from echolia.core.device_entries import RECOVERY, SignedEntry
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.ids import b64
from echolia.core.messages import device_log_message
from echolia.core.positions import NOTHING_SEEN
from echolia.e2ee.keys import KeyPairs

BIN = Path(sys.executable).parent
HEADER = runs.change_header(runs.STATE, 1, bytes(16), b"s" * 16, {}, 1024)
BODY_AT = len(HEADER)
MANY = "100000000"
UNLIMITED = {
    f"ECHOLIA_{name}_PER_MINUTE": MANY for name in ("REGISTER", "ANONYMOUS", "ACCOUNT", "PUSH", "PULL")
}


@dataclass
class Device:
    """A registered device: its token, and where its chain stands."""

    account: bytes
    keys: KeyPairs
    headers: list[tuple[str, str]]
    counter: int = 0
    chain: bytes = b""
    signer: SigningKey = field(init=False)

    def __post_init__(self):
        self.signer = SigningKey(self.keys.sign_secret)
        self.id = self.keys.device
        self.chain = runs.chain_start(self.account, self.id)


class Echolia(Peer):
    name = "Echolia"
    batch = 500
    durable = "yes: SQLite WAL, synchronous=FULL, one transaction and one fdatasync a push (seen by strace)"

    async def start(self, d):
        self.dir, self.port = d / "data", free_port()
        env = UNLIMITED | {"ECHOLIA_REGISTER_FREE_PER_MINUTE": "1000000", "ECHOLIA_LOG_LEVEL": "info"}
        argv = [BIN / "echolia", "serve", "--port", self.port, "--data", self.dir]
        self.procs.append(spawn(argv, d, d / "server.log", env))
        await wait_port(self.port, self.procs[-1])

    async def user(self, conn, i):
        recovery, keys = (KeyPairs(os.urandom(32), os.urandom(32)) for _ in range(2))
        fields = {"suite": 1, "nonce": os.urandom(16), "recovery": recovery.public(), "device": keys.public()}
        entry = entry_bytes("genesis", None, fields)
        message = device_log_message(entry)
        signatures = {RECOVERY: recovery.sign(message), b64(keys.device): keys.sign(message)}
        log = DeviceLog.start(SignedEntry(entry, signatures))
        genesis = {"entry": b64(entry), "signatures": {who: b64(s) for who, s in signatures.items()}}
        body = json.dumps({"genesis": genesis, "key_boxes": []}).encode()
        _, answer = await conn.ok("POST", "/auth/register", body, [("Content-Type", "application/json")])
        access = json.loads(answer)["tokens"]["access"]
        return Device(log.account, keys, [("Authorization", f"Bearer {access}")])

    def encode(self, user, recs):
        """One signed run of these records; the record's bytes stand where a sealed body does."""
        changes = [HEADER[:5] + uuid.UUID(rid).bytes + HEADER[21:] + data for rid, data in recs]
        first, prev = user.counter + 1, user.chain
        user.counter += len(changes)
        header = runs.RunHeader(runs.SUITE, user.id, first, len(changes), prev, NOTHING_SEEN, bytes(64))
        ends, at = [], runs.RUN_HEADER_BYTES
        for change in changes:
            at += len(change)
            ends.append(at)
        user.chain = runs.chains(header.pack() + b"".join(changes), header, ends)[-1]
        signature = user.signer.sign(header.message(user.account, user.chain)).signature
        return push.write_push([header._replace(signature=signature).pack() + b"".join(changes)])

    async def push(self, conn, user, req):
        headers = [("Content-Type", push.PUSH_TYPE), *user.headers]
        _, answer = await conn.ok("POST", "/sync/push", req, headers)
        for run in json.loads(answer)["runs"]:
            if run["status"] == "refused":
                raise PeerError(f"refused: {run['code']}")

    async def pull(self, conn, user, cursor):
        items, headers = [], [("Content-Type", "application/json"), *user.headers]
        while True:
            asked = {"cursor": cursor, "max_bytes": 4 << 20} if cursor else {"max_bytes": 4 << 20}
            _, data = await conn.ok("POST", "/sync/pull", json.dumps(asked).encode(), headers)
            page = push.read_page(data)
            for item in page.items:
                header, at = runs.read_header(item.content), runs.RUN_HEADER_BYTES
                for end in runs.change_ends(item.content, header):
                    items.append(item.content[at:end])
                    at = end
            if page.items:
                cursor = {"epoch": page.head.epoch, "seq": item.seq + header.count - 1}
            if not page.more:
                return items, cursor

    def decode(self, item):
        return str(uuid.UUID(bytes=bytes(item[5:21]))), bytes(item[BODY_AT:])


PEERS = [Echolia]
