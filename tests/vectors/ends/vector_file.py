"""A vector as it is read from its file, and how what an end found is compared with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echolia.core.device_log import Cutoff, LoggedDevice
from echolia.core.errors import EcholiaError
from echolia.core.runs import RunInvalid
from tests.vectors.world import jsonable

Found = Mapping[str, Any]


@dataclass(frozen=True)
class VectorFile:
    """One file: its topic, what goes in, what must come out."""

    topic: str
    case: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> VectorFile:
        """The vector in a file; raises ValueError if it is not of the form that spec/README.md gives."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        if set(fields) != {"spec", "topic", "note", "input", "expect"} or fields["spec"] != 1:
            raise ValueError(f"{path.name} is no vector of this specification")
        if fields["topic"] != path.parent.name or not fields["note"].strip():
            raise ValueError(f"{path.name} lies in another topic's folder, or does not say why it exists")
        return cls(fields["topic"], path.stem, fields["input"], fields["expect"])

    def raw(self, name: str) -> bytes:
        """An input that is bytes."""
        return bytes.fromhex(self.given[name])


def taken(vector: VectorFile) -> Found:
    """What an end found that took everything in the vector; a rejection that was taken shows as that."""
    refused = {"error", "device_error"} & set(vector.expect)
    return {"taken": True} if refused else vector.expect


def found_by(end: Callable[[], Found]) -> dict[str, Any]:
    """What an end found, in the form that vectors have; its refusal, if it refused."""
    try:
        found = dict(end())
    except EcholiaError as error:
        at = {"at": error.at} if isinstance(error, RunInvalid) else {}
        found = {"error": error.code, **at}
    return dict(jsonable(found))


def logged_devices(vector: VectorFile) -> dict[bytes, LoggedDevice]:
    """The devices that a vector names, as a verified device log gives them."""
    found = {}
    for listed in vector.given["devices"]:
        device, sign, box = (bytes.fromhex(listed[name]) for name in ("device", "sign", "box"))
        ending = listed.get("revoked")
        cutoff = Cutoff(ending["last"], bytes.fromhex(ending["chain"])) if ending else None
        found[device] = LoggedDevice(device, sign, box, 0, cutoff)
    return found
