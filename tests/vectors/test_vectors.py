"""Every vector of the specification, at every end that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.vectors import make
from tests.vectors.ends import (
    device,
    embeddings,
    exports,
    history,
    pairing,
    rules,
    run_rules,
    sealed,
    server,
    vaults,
)
from tests.vectors.ends.vector_file import Found, VectorFile, found_by
from tests.vectors.world import jsonable

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "spec" / "vectors"

# The rules that both ends share, on which the server's HTTP and the device's commands both rest.
RULES: Mapping[str, Callable[[VectorFile], Found]] = {
    "ids": rules.ids_,
    "base64url": rules.base64url,
    "padding": rules.padded,
    "derive": rules.derived,
    "cbor": rules.cbor,
    "message": rules.message,
    "signature": rules.signature_,
    "log": rules.log,
    "chain": rules.chain,
    "change": rules.change,
    "run": run_rules.run,
    "page": rules.page,
    "seal": rules.seal,
    "open": rules.open_,
    "pseudonym": rules.pseudonym,
    "key-box": rules.key_box,
    "recovery": rules.phrase,
    "device-log": run_rules.appended,
    "checkpoint": history.checkpoint,
    "log-base": history.base,
    "live": history.live,
    "base-page": history.started,
    "pairing-code": pairing.code,
    "pairing-message": pairing.message,
    "pairing-reveal": pairing.reveal,
    "pairing-agreement": pairing.agreement,
    "pairing-ack": pairing.ack,
    "account-key": rules.account_key,
    "vault": vaults.opened,
    "export": exports.read,
    "sealed-request": sealed.opened,
    "sealed-response": sealed.response,
    "sealed-keys": sealed.keys,
    "embedding-identity": embeddings.identity,
    "embedding-windows": embeddings.laid,
    "embedding-place": embeddings.placed,
}
SERVER: Mapping[str, Callable[[VectorFile, server.Server], Found]] = {
    "run": server.run,
    "push": server.pushed,
    "ack": server.acknowledged,
    "compaction": server.compacted,
    "quota": server.measured,
}
DEVICE: Mapping[str, Callable[[VectorFile], Found]] = {
    "run": device.run,
    "push": device.served,
    "page": device.page,
    "device-log": run_rules.replayed,
    "sealed-request": sealed.sealed,
}
# Topics with a runner of their own.
ELSEWHERE = {"merge": "tests/core/merge/test_vectors.py", "subscription": "tests/core/test_subscription.py"}

FILES = sorted(path for path in FOLDER.glob("*/*.json") if path.parent.name not in ELSEWHERE)


def name(path: Path) -> str:
    """How a vector is called in a report."""
    return f"{path.parent.name}/{path.stem}"


def at_an_end(topics: Mapping[str, object]) -> pytest.MarkDecorator:
    """Run a test for every vector of these topics."""
    return pytest.mark.parametrize("path", [p for p in FILES if p.parent.name in topics], ids=name)


@pytest.fixture(scope="module")
def the_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    """One server for all vectors."""
    with server.serving(tmp_path_factory.mktemp("vectors")) as serving:
        yield serving


def shared(vector: VectorFile) -> dict[str, object]:
    """What is expected of rules and server: a lie that only a device notices is taken by them."""
    if set(vector.expect) == {"device_error"}:
        return {"taken": True}
    return {key: each for key, each in vector.expect.items() if key != "device_error"}


def at_a_device(vector: VectorFile) -> dict[str, object]:
    """What a device must find: its own code where it has one."""
    error = vector.expect.get("device_error")
    return {"error": error} if error else dict(vector.expect)


@at_an_end(RULES)
def test_the_rules_hold(path: Path) -> None:
    vector = VectorFile.read(path)
    found = found_by(lambda: RULES[vector.topic](vector))
    assert found == shared(vector)


@at_an_end(SERVER)
def test_the_server_says_so(path: Path, the_server: server.Server) -> None:
    vector = VectorFile.read(path)
    found = found_by(lambda: SERVER[vector.topic](vector, the_server))
    assert found == shared(vector)


@at_an_end({"export": None})
def test_the_opener_says_so(path: Path) -> None:
    vector = VectorFile.read(path)
    found = jsonable(exports.opened(vector))
    assert found == (exports.REFUSED if "error" in vector.expect else dict(vector.expect))


@at_an_end(DEVICE)
def test_the_device_says_so(path: Path) -> None:
    vector = VectorFile.read(path)
    assert found_by(lambda: DEVICE[vector.topic](vector)) == at_a_device(vector)


def test_no_vector_is_left_out() -> None:
    topics = {path.parent.name for path in FOLDER.glob("*/*")}
    assert topics <= {*RULES, *SERVER, *DEVICE, *ELSEWHERE}
    assert all((REPOSITORY / place).exists() for place in ELSEWHERE.values())
    assert not list(FOLDER.glob("*/*/*")) and {path.suffix for path in FOLDER.glob("*/*")} == {".json"}


def test_what_is_committed_is_what_is_made() -> None:
    made = make.files()
    differing = [path for path, content in made.items() if (FOLDER / path).read_text() != content]
    assert differing == [], "run python -m tests.vectors.make"
    assert make.stale(made) == []


def test_every_refusal_has_a_twin_that_is_taken() -> None:
    refused = {path.parent.name for path in FILES if "refused" in path.stem or "malformed" in path.stem}
    taken = {
        path.parent.name for path in FILES if "refused" not in path.stem and "malformed" not in path.stem
    }
    assert refused <= taken


def test_a_wrong_vector_is_noticed(tmp_path: Path) -> None:
    vector = VectorFile.read(FOLDER / "ids" / "device.json")
    found = found_by(lambda: RULES["ids"](vector))
    assert found != {"device": "00" * 16}
    nowhere = tmp_path / "other" / "device.json"
    nowhere.parent.mkdir()
    nowhere.write_text((FOLDER / "ids" / "device.json").read_text())
    with pytest.raises(ValueError, match="another topic"):
        VectorFile.read(nowhere)
