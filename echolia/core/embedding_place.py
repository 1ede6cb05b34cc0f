"""Where a text is embedded: device, server, or not yet (`spec/embeddings.md#where-it-is-made`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.core.model_identity import IDENTITY_BYTES

Place: TypeAlias = Literal["device", "server", "wait"]
Power: TypeAlias = Literal["mains", "battery", "low"]
NEEDED_BYTES: Final = 512 * 2**20
NEEDED_CORES: Final = 2
SLOW_TOKENS: Final = 4096
_MOST_INSTALLED: Final = 64
_POWERS: Final = frozenset(get_args(Power))


class Capability(NamedTuple):
    """What a device can do: memory that is free, cores, its accelerator's name or nothing, its power,
    whether the person lets texts go to the server, and the digests of the models on it.
    """

    memory_bytes: int
    cores: int
    accelerator: str = ""
    power: Power = "mains"
    may_send: bool = True
    installed: frozenset[bytes] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {**self._asdict(), "installed": sorted(map(b64, self.installed))}


class Need(NamedTuple):
    """What is to be embedded: by which model, about how many tokens, and whether a person waits for it."""

    identity: bytes
    tokens: int
    urgent: bool = False


def place(able: Capability, need: Need, offered: Collection[bytes]) -> Place:
    """Where it is made; `offered` are the models of the server, none where it does not answer."""
    spared = able.power == "low" and not need.urgent
    here = need.identity in able.installed and able.memory_bytes >= NEEDED_BYTES and not spared
    fast = able.cores >= NEEDED_CORES or bool(able.accelerator) or need.tokens <= SLOW_TOKENS
    if here and fast:
        return "device"
    if able.may_send and need.identity in offered:
        return "server"
    return "device" if here else "wait"


def capability_of(said: Mapping[str, Any]) -> Capability:
    """The report in this JSON. Raises: `ask_invalid`."""
    fits = said.keys() == set(Capability._fields) and (
        _is_count(said["memory_bytes"])
        and _is_count(said["cores"])
        and isinstance(said["accelerator"], str)
        and len(said["accelerator"]) <= 64
        and said["power"] in _POWERS
        and type(said["may_send"]) is bool
        and isinstance(said["installed"], list)
        and len(said["installed"]) <= _MOST_INSTALLED
        and all(isinstance(each, str) for each in said["installed"])
    )
    if not fits:
        raise EcholiaError("ask_invalid", "capability")
    try:
        installed = frozenset(unb64(each, IDENTITY_BYTES) for each in said["installed"])
    except EcholiaError:
        raise EcholiaError("ask_invalid", "capability.installed") from None
    return Capability(**{**said, "installed": installed})


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 53
