"""The vectors of spec/merge.md: what every implementation must make of the same changes."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from echolia.core.clock import Stamp, tick
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import (
    ObjectState,
    canonical_view,
    clamp,
    decode,
    encode,
    join,
    losers,
    merged_preview,
    view,
)
from tests.core.merge.objects import joined

FOLDER = Path(__file__).resolve().parents[3] / "spec" / "vectors" / "merge"
VECTORS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
TICKS = [name for name, vector in VECTORS.items() if "stamp" in vector["expect"]]
REFUSED = [name for name, vector in VECTORS.items() if "error" in vector["expect"]]
MERGED = [name for name, vector in VECTORS.items() if "view" in vector["expect"]]
PREVIEWS = [name for name, vector in VECTORS.items() if "merged" in vector["expect"]]
LOSERS = [name for name, vector in VECTORS.items() if "losers" in vector["expect"]]


def test_every_kind_of_vector_is_there_and_of_this_version() -> None:
    kinds = (TICKS, REFUSED, MERGED, PREVIEWS, LOSERS)
    assert all(kinds) and sum(map(len, kinds)) == len(VECTORS)
    assert {(vector["spec"], vector["topic"]) for vector in VECTORS.values()} == {(1, "merge")}


@pytest.mark.parametrize("name", MERGED)
def test_changes_merge_as_expected_in_every_order(name: str) -> None:
    vector = VECTORS[name]
    received = {
        Dot(bytes.fromhex(device), counter): ms for device, counter, ms in vector["input"]["received"]
    }
    changes = [clamp(_read(plaintext), received.get) for plaintext in vector["input"]["changes"]]
    for order in permutations(changes):
        state = joined(*order, order[0])
        assert canonical_view(state).hex() == vector["expect"]["canonical"]
        assert json.loads(json.dumps(view(state))) == vector["expect"]["view"]


def _read(plaintext: str) -> ObjectState:
    state = decode(bytes.fromhex(plaintext))
    assert encode(state).hex() == plaintext
    return state


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_plaintexts_are_refused(name: str) -> None:
    (plaintext,) = VECTORS[name]["input"]["changes"]
    with pytest.raises(EcholiaError) as caught:
        decode(bytes.fromhex(plaintext))
    assert caught.value.code == VECTORS[name]["expect"]["error"]


@pytest.mark.parametrize("name", TICKS)
def test_clocks_tick_as_expected(name: str) -> None:
    given = VECTORS[name]["input"]
    assert tick(Stamp(*given["last"]), given["now_ms"]) == Stamp(*VECTORS[name]["expect"]["stamp"])


@pytest.mark.parametrize("name", PREVIEWS)
def test_previews_are_as_expected(name: str) -> None:
    assert merged_preview(VECTORS[name]["input"]["values"]) == VECTORS[name]["expect"]["merged"]


@pytest.mark.parametrize("name", LOSERS)
def test_what_a_log_loses_is_as_expected(name: str) -> None:
    held: ObjectState | None = None
    found = []
    for logged in VECTORS[name]["input"]["log"]:
        state = _read(logged["change"])
        seen = {bytes.fromhex(device): counter for device, counter in logged["seen"].items()}
        if held is not None:
            found += [(field, lost.key) for field, lost, _ in losers(held, state, seen)]
        held = state if held is None else join(held, state)
    told = [[field, key.device.hex(), key.counter] for field, key in found]
    assert told == VECTORS[name]["expect"]["losers"]
