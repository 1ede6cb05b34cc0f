"""Rules of exports: what a reader believes, what a writer keeps, what taking in may not do."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_KEYS: Final = "echolia/e2ee/exports.py"
_FILE: Final = "echolia/client/exporting/sealed_file.py"
_VERIFYING: Final = "echolia/client/exporting/verifying.py"
_PART: Final = "echolia/client/exporting/part.py"
_TAKING: Final = "echolia/client/exporting/taking_in.py"
_VECTORS: Final = ("tests/vectors/test_vectors.py::test_the_rules_hold",)
_TAKEN: Final = ("tests/client/exporting/test_taking_in.py",)
_WRITTEN: Final = ("tests/client/exporting/test_export.py",)

EXPORTS: Final = (
    Mutant(
        "a chunk is bound to its file and place, and not to being the last",
        _KEYS,
        'number.to_bytes(8, "big") + bytes((last,))\n',
        'number.to_bytes(8, "big") + bytes((last and False,))\n',
        _VECTORS,
    ),
    Mutant(
        "an export's head is taken without its commitment",
        _KEYS,
        "        if not compare_digest(commitment, self.commitment):\n",
        "        if not commitment:\n",
        _VECTORS,
    ),
    Mutant(
        "a passphrase may cost nothing",
        _KEYS,
        'if locked is not None and (locked["ops"] not in _OPS or locked["mem"] not in _MEM):',
        "if locked is not None and not locked:",
        _VECTORS,
    ),
    Mutant(
        "something may follow an export's end",
        _FILE,
        "    if plaintext != _ZEROS[: len(plaintext)]:\n",
        "    if not plaintext and _ZEROS:\n",
        _VECTORS,
    ),
    Mutant(
        "anybody may have written an export",
        _VERIFYING,
        "    if writer is None or not verify(writer.sign, message, export.signature):\n",
        "    if not message:\n",
        _VECTORS,
    ),
    Mutant(
        "an export by somebody else is taken for the account's",
        _VERIFYING,
        "    if head.recovery_box != log.recovery_box or key.owner not in (None, log.recovery_sign):\n",
        "    if head.recovery_box != log.recovery_box:\n",
        _VECTORS,
    ),
    Mutant(
        "evidence need not reach as far as it is said to",
        _VERIFYING,
        "    if end.position != (None if evidence is None else evidence.position):\n",
        "    if end is None:\n",
        _VECTORS,
    ),
    Mutant(
        "an export that goes on keeps what has changed meanwhile",
        _PART,
        "        if self._next == record:\n",
        "        if self._next is not None and self._next.kind == record.kind:\n",
        _WRITTEN,
    ),
    Mutant(
        "what is taken in is written again each time",
        _TAKING,
        "            if current is not None and merge.dominates(current, former):\n",
        "            if current is not None and current is former:\n",
        _TAKEN,
    ),
    Mutant(
        "a clock that was ahead wins in the next account too",
        _TAKING,
        "lambda _dot: self._bound_ms)\n",
        "lambda _dot: None)\n",
        _TAKEN,
    ),
    Mutant(
        "a part of an object too large for one change loses its fields",
        _TAKING,
        "            pieces.check_size(state)\n",
        "",
        _TAKEN,
    ),
)
