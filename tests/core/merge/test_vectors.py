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
from echolia.core.merge import ObjectState, canonical_view, clamp, decode, encode, view
from tests.core.merge.objects import joined

FOLDER = Path(__file__).resolve().parents[3] / "spec" / "vectors" / "merge"
VECTORS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
TICKS = [name for name, vector in VECTORS.items() if "stamp" in vector["expect"]]
REFUSED = [name for name, vector in VECTORS.items() if "error" in vector["expect"]]
MERGED = [name for name in VECTORS if name not in {*TICKS, *REFUSED}]


def test_every_kind_of_vector_is_there_and_of_this_version() -> None:
    assert TICKS and REFUSED and MERGED
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
