"""Rules of merging: the same result on every device, whatever came in which order."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_REGISTERS: Final = "echolia/core/merge/registers.py"
_LIFE: Final = "echolia/core/merge/life.py"
_TEXT: Final = "echolia/core/merge/text.py"

MERGE: Final = (
    Mutant(
        "the last writer loses",
        _REGISTERS,
        "            return self if self.key > other.key else other\n",
        "            return self if self.key < other.key else other\n",
        ("tests/core/merge/test_object.py",),
    ),
    Mutant(
        "the tie-break of one key is swapped",
        _REGISTERS,
        "self.encoded() >= other.encoded():\n",
        "self.encoded() <= other.encoded():\n",
        ("tests/core/merge/test_registers.py",),
    ),
    Mutant(
        "a tie of stamps goes to whoever is joined to",
        _REGISTERS,
        "            return self if self.key > other.key else other\n",
        "            return self if self.key.stamp >= other.key.stamp else other\n",
        ("tests/core/merge/test_vectors.py",),
    ),
    Mutant(
        "removing from a set wins over adding again",
        "echolia/core/merge/edits.py",
        "        live = {write: value for write, value in live.items() if write[2] != encoded}\n",
        "        if isinstance(edit, Add) and any(write[2] == encoded for write in live):\n"
        "            continue\n"
        "        live = {write: value for write, value in live.items() if write[2] != encoded}\n",
        ("tests/core/merge/test_registers.py",),
    ),
    Mutant(
        "what was removed from a set comes back",
        _REGISTERS,
        "if w in other.live or not holds(other.context, w[0], w[1])}\n",
        "}\n",
        ("tests/core/merge/test_registers.py",),
    ),
    Mutant(
        "a conflict keeps one of its values",
        _REGISTERS,
        "ours | new)\n",
        'ours | new if self.tag == "set" else dict(sorted((ours | new).items())[:1]))\n',
        ("tests/core/merge/test_registers.py",),
    ),
    Mutant(
        "counters are added up when they are joined",
        _REGISTERS,
        "(max(plus, ours[0]), max(minus, ours[1]))\n",
        "(plus + ours[0], minus + ours[1])\n",
        ("tests/core/merge/test_registers.py",),
    ),
    Mutant(
        "an old life wins over a deletion",
        _LIFE,
        "            return self if self.length > other.length else other\n",
        "            return self if self.length % 2 else other\n",
        ("tests/core/merge/test_life.py",),
    ),
    Mutant(
        "a deletion swallows an edit that it had not seen",
        _LIFE,
        "        return not covers(self.seen, dots)\n",
        "        return not dots\n",
        ("tests/core/merge/test_life.py",),
    ),
    Mutant(
        "a write in the Trash is made",
        "echolia/core/merge/edits.py",
        "    if current is not None and not current.alive:\n",
        "    if current is not None and not current.fields:\n",
        ("tests/core/merge/test_life.py",),
    ),
    Mutant(
        "a text forgets the updates that wait",
        _TEXT,
        "            return (*applied, *sorted(_waiting(doc, set(self.sources))))\n",
        "            return applied\n",
        ("tests/core/merge/test_text.py",),
    ),
    Mutant(
        "two texts share one open document",
        _TEXT,
        "        doc, self._doc = self._doc, None\n",
        "        doc = self._doc\n",
        ("tests/core/merge/test_open_texts.py",),
    ),
    Mutant(
        "the first text has a random peer",
        "echolia/core/merge/edits.py",
        "            peer = seed_peer(content)\n",
        "            pass\n",
        ("tests/core/merge/test_text.py",),
    ),
    Mutant(
        "a key from the future is believed",
        "echolia/core/clock.py",
        "    if received_ms is None or key.wall_ms <= received_ms:\n",
        "    if received_ms is None or key.wall_ms >= 0:\n",
        ("tests/core/test_clock.py",),
    ),
    Mutant(
        "a clock that stands still repeats itself",
        "echolia/core/clock.py",
        "        return Stamp(last.wall_ms, last.logical + 1)\n",
        "        return last\n",
        ("tests/core/test_clock.py",),
    ),
)
