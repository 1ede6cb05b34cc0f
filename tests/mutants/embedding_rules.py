"""Rules of embeddings: which vectors compare, whose turn it is, what is charged, where they are made."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_BATCHES: Final = "echolia/engines/batches.py"
_LONG: Final = "echolia/core/windows.py"
_PLACE: Final = "echolia/core/embedding_place.py"
_IDENTITY: Final = "echolia/core/model_identity.py"
_MINILM: Final = "echolia/engines/minilm.py"
_GRAPH: Final = "echolia/engines/minilm_graph.py"
_BACKLOG: Final = "echolia/embeddings/backlog.py"
_WORKERS: Final = "echolia/embeddings/workers.py"
_SERVICE: Final = "echolia/embeddings/service.py"
_METER: Final = "echolia/llm/meter.py"
_KEPT: Final = "echolia/client/embeddings/kept.py"
_MAKING: Final = "echolia/client/embeddings/making.py"
_KEEPING_UP: Final = "echolia/client/embeddings/keeping_up.py"
_TOGETHER: Final = "echolia/storage/together.py"
_VECTORS: Final = ("tests/vectors/test_vectors.py::test_the_rules_hold",)
_TURNS: Final = ("tests/embeddings/test_backlog.py",)
_ANSWERS: Final = ("tests/embeddings/test_service.py",)
_DEVICES: Final = ("tests/client/embeddings/test_embeddings.py",)
_COMING: Final = ("tests/client/embeddings/test_keeping_up.py",)
_MODEL: Final = "tests/engines/test_real_model.py"

EMBEDDINGS: Final = (
    Mutant(
        "vectors of different models are compared",
        _KEPT,
        "for each in kept(replica) if each.model == model]",
        "for each in kept(replica) if each.model]",
        _DEVICES,
    ),
    Mutant(
        "a model is what the server calls it",
        _MAKING,
        '    if final.get("identity") == b64(identity.digest) and isinstance(said, list)',
        "    if isinstance(said, list)",
        _DEVICES,
    ),
    Mutant(
        "an identity leaves out how long its windows are",
        _IDENTITY,
        '            "max_tokens": self.max_tokens,\n',
        '            "max_tokens": 256,\n',
        _VECTORS,
    ),
    Mutant(
        "a long text is cut to embed it",
        _LONG,
        "    while found[-1].stop < count:\n",
        "    while found[-1].stop < min(count, room):\n",
        _VECTORS,
    ),
    Mutant(
        "all windows of a text weigh the same",
        _LONG,
        "        found.append(Window(start, stop, stop - before))\n",
        "        found.append(Window(start, stop, room))\n",
        _VECTORS,
    ),
    Mutant(
        "vectors of long texts are not made to length 1",
        _LONG,
        "[part / length for part in sums] if length else sums",
        "sums",
        _VECTORS,
    ),
    Mutant(
        "vectors of a model are not made to length 1",
        _GRAPH,
        '        self._node("Div", ["sum", "length"], "vectors")\n',
        '        self._node("Identity", ["sum"], "vectors")\n',
        ("tests/contracts/test_embedding_engines.py",),
    ),
    Mutant(
        "the weights of a model may be any",
        _MINILM,
        "    if sha256(content).hexdigest() != _SHA256[path.name]:\n",
        "    if not content:\n",
        (f"{_MODEL}::test_files_that_are_not_the_published_ones_are_refused",),
    ),
    Mutant(
        "windows of any length share a call of a model",
        _BATCHES,
        "    return alike.count(lengths[0])\n",
        "    return len(alike)\n",
        _TURNS,
    ),
    Mutant(
        "what goes along in a call of a model is as much as waits",
        _BACKLOG,
        "        room = most_windows(length, SHARED_TOKENS) - len(batch[0].numbers)\n",
        "        room = 1 << 20\n",
        _TURNS,
    ),
    Mutant(
        "any number of texts wait to be embedded",
        _BACKLOG,
        "            if self.waiting and self.waiting + count > self._most:\n",
        "            if self.waiting and count > self._most:\n",
        _TURNS,
    ),
    Mutant(
        "one account may have all of what waits to be embedded",
        _BACKLOG,
        "            if held and 2 * (held + count) > self._most:\n",
        "            if held and held + count > self._most:\n",
        _TURNS,
    ),
    Mutant(
        "who came first is embedded to the end before others",
        _BACKLOG,
        "            self._turns.append(account)\n        else:\n",
        "            self._turns.appendleft(account)\n        else:\n",
        _TURNS,
    ),
    Mutant(
        "nobody is too late to be embedded",
        _SERVICE,
        "    if loop.time() >= ends_s:\n",
        "    if loop.time() >= ends_s + 3600:\n",
        (*_ANSWERS,),
    ),
    Mutant(
        "what was embedded is not charged",
        _METER,
        "store.EMBEDDINGS, Usage(tokens, 0), 0)",
        "store.EMBEDDINGS, Usage(0, 0), 0)",
        _ANSWERS,
    ),
    Mutant(
        "what was not embedded is charged",
        _SERVICE,
        "            used = laid.tokens if status == OK else 0\n",
        "            used = laid.tokens\n",
        _ANSWERS,
    ),
    Mutant(
        "who fails in a call of a model fails all that went along",
        _WORKERS,
        "            if len(batch) > 1:",
        "            if len(batch) > 1000:",
        _ANSWERS,
    ),
    Mutant(
        "texts go to the server though the device can embed them",
        _PLACE,
        '    if here and fast:\n        return "device"\n',
        '    if here and fast and need.identity not in offered:\n        return "device"\n',
        _VECTORS,
    ),
    Mutant(
        "texts are sent to be embedded though nobody may send them",
        _PLACE,
        "    if able.may_send and need.identity in offered:\n",
        "    if need.identity in offered:\n",
        _VECTORS,
    ),
    Mutant(
        "vectors are begun for who never asked for any",
        "echolia/client/embeddings/embeddings.py",
        "            if begin or await",
        "            if True or await",
        _COMING,
    ),
    Mutant(
        "vectors that nobody could make are not made later",
        _KEEPING_UP,
        "                changed.set()\n    finally",
        "                changed.clear()\n    finally",
        _COMING,
    ),
    Mutant(
        "what fails together is run again though nobody knows its outcome",
        _TOGETHER,
        "        except ConstraintViolated as error:\n",
        "        except EcholiaError as error:\n",
        ("tests/storage/test_together.py",),
    ),
    Mutant(
        "what was left before it began is written all the same",
        _TOGETHER,
        "        left = [unit for unit in units if not unit.done.done()]\n",
        "        left = units\n",
        ("tests/storage/test_together.py",),
    ),
    Mutant(
        "who leaves while it is reserved keeps it reserved",
        _SERVICE,
        "            _ = self._settling_of(settled())\n            raise\n",
        "            raise\n",
        _ANSWERS,
    ),
    Mutant(
        "an entry that is too long is sent again after each change",
        "echolia/client/embeddings/embeddings.py",
        "not in self._too_long]",
        "is not None]",
        _DEVICES,
    ),
    Mutant(
        "a model that another device has chosen is not heard of",
        "echolia/client/embeddings/embeddings.py",
        "        replica.listen(self._forget)\n",
        "",
        _DEVICES,
    ),
    Mutant(
        "threads that embed go before what answers",
        _WORKERS,
        "os.getpriority(os.PRIO_PROCESS, 0) + NICE)",
        "os.getpriority(os.PRIO_PROCESS, 0))",
        _ANSWERS,
    ),
    Mutant(
        "who has nothing left to be embedded has it embedded in vain",
        _SERVICE,
        "            early = account not in self._spent\n",
        "            early = True\n",
        _ANSWERS,
    ),
)
