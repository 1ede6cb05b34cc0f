"""Rules that a device keeps: what it believes of a server, what it keeps until when, what it seals."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_VERIFIER: Final = "echolia/client/verifier.py"
_SYNCING: Final = "echolia/client/syncing.py"
_APPLYING: Final = "echolia/client/applying.py"
_SEALING: Final = "echolia/e2ee/sealing.py"
_WITNESSES: Final = "echolia/client/witnesses.py"
_PAGES: Final = ("tests/vectors/test_vectors.py::test_the_device_says_so",)
_CRASHES: Final = ("tests/client/test_crashes.py",)

DEVICE: Final = (
    Mutant(
        "a device skips the chain check",
        _VERIFIER,
        "    if not follows:\n",
        "    if not follows and not header:\n",
        _PAGES,
    ),
    Mutant(
        "a device skips the signature check",
        _VERIFIER,
        "    if not verify(device.sign, header.message(known.account, content.chain), header.signature):\n",
        "    if not header.signature:\n",
        _PAGES,
    ),
    Mutant(
        "a device skips the `seen` check",
        _VERIFIER,
        "    if seen.seq >= seq or known.log_at(seen.seq) != seen.log:\n",
        "    if seen.seq >= seq:\n",
        _PAGES,
    ),
    Mutant(
        "a device takes runs of devices that are not in its log",
        _VERIFIER,
        "    device = known.devices.get(header.device)\n",
        "    device = known.devices.get(header.device) or next(iter(known.devices.values()))\n",
        _PAGES,
    ),
    Mutant(
        "a device takes a log that does not add up to its head",
        _VERIFIER,
        "    if at.seq > page.head.seq or (at.seq == page.head.seq and at.log != page.head.log):\n",
        "    if at.seq > page.head.seq:\n",
        _PAGES,
    ),
    Mutant(
        "a device drops the cut-off of a revoked device",
        _VERIFIER,
        "    until = device.revoked.last if device.revoked else runs.MAX_COUNTER\n    return",
        "    until = runs.MAX_COUNTER\n    return",
        ("tests/client/test_membership.py", *_PAGES),
    ),
    Mutant(
        "a device accepts a head that was rolled back",
        _WITNESSES,
        '    if status.get("epoch") == at.epoch and seq < at.seq:\n',
        '    if status.get("epoch") == at.epoch and seq < 0:\n',
        ("tests/hostile/test_histories.py",),
    ),
    Mutant(
        "a device ignores what other devices signed that they saw",
        _WITNESSES,
        "    if seen.seq > at.seq:\n",
        "    if seen.seq < 0:\n",
        ("tests/hostile/test_histories.py",),
    ),
    Mutant(
        "a device believes a base that lacks something",
        "echolia/client/starting.py",
        '        raise EcholiaError("history_withheld", f"up to {point.position.seq}")\n',
        "        pass\n",
        ("tests/client/test_checkpoints.py",),
    ),
    Mutant(
        "a device that was copied makes its unsent edits twice",
        "echolia/client/remaking.py",
        '    database.run("DELETE FROM outbox")\n    for unsent in found:\n',
        "    for unsent in found:\n",
        ("tests/client/test_new_identity.py",),
    ),
    Mutant(
        "a device forgets to clamp",
        _APPLYING,
        "        return clamp(state, received)\n",
        "        return state\n",
        ("tests/client/test_convergence.py",),
    ),
    Mutant(
        "a device takes a change that does not hold its own dot",
        _APPLYING,
        "        if state.dots.get(device) != change.counter:\n",
        "        if change.counter < 0:\n",
        ("tests/client/test_quarantine.py",),
    ),
    Mutant(
        "a device drops its outbox before the answer",
        _SYNCING,
        "                answer = await self._session.push(flow.path, body, PUSH_TYPE)\n",
        '                await self._replica.run(self._database.run, "DELETE FROM outbox")\n'
        "                answer = await self._session.push(flow.path, body, PUSH_TYPE)\n",
        ("tests/client/test_syncing.py",),
    ),
    Mutant(
        "a device leaves out a change of its outbox",
        "echolia/client/outgoing.py",
        "        after,\n        until,\n    ):\n",
        "        after + 1,\n        until,\n    ):\n",
        ("tests/client/test_two_devices.py",),
    ),
    Mutant(
        "a device applies a page outside of the transaction",
        _SYNCING,
        "        with self._database.transaction():\n            known = ledger.known(",
        "        if self._database:\n            known = ledger.known(",
        _CRASHES,
    ),
    Mutant(
        "a device edits outside of the transaction",
        "echolia/client/replica.py",
        "        with self.database.transaction():\n            editor = Editor(",
        "        if self.database:\n            editor = Editor(",
        _CRASHES,
    ),
    Mutant(
        "a device edits on top of what was undone",
        "echolia/client/editing.py",
        "        if row is not None and last is not None and last[0] == row.present:\n",
        "        if row is not None and last is not None:\n",
        ("tests/client/test_edited_last.py",),
    ),
    Mutant(
        "a device seals twice under one nonce",
        _SEALING,
        "    nonce = dice(NONCE_BYTES)\n    subkey",
        "    nonce = bytes(NONCE_BYTES)\n    subkey",
        ("tests/e2ee/test_sealing.py",),
    ),
    Mutant(
        "a sealed body is not bound to its place",
        _SEALING,
        '    return b"echolia/1/change" + place + header\n',
        '    return b"echolia/1/change"\n',
        ("tests/e2ee/test_sealing.py",),
    ),
    Mutant(
        "a wrapped key is not bound to its object",
        _SEALING,
        '    return b"echolia/1/object-key" + account + object_ + generation.to_bytes(4, "big")\n',
        '    return b"echolia/1/object-key" + account + generation.to_bytes(4, "big")\n',
        ("tests/e2ee/test_sealing.py",),
    ),
    Mutant(
        "a sealed body tells its length",
        _SEALING,
        "    length = padme(OVERHEAD_BYTES + len(draft.plaintext))\n",
        "    length = max(256, OVERHEAD_BYTES + len(draft.plaintext))\n",
        ("tests/e2ee/test_sealing.py",),
    ),
)
