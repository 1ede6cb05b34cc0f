"""The device: a local home that works alone, and syncs end-to-end encrypted when it can.

    from echolia.client import Device

    device, phrase = await Device.init(Path("laptop"), "http://127.0.0.1:8000")
    entries = device.collection("entries")
    note = await entries.create({"title": "Monday", "body": "Rain again.", "tags": ["weather"]})
    await device.sync()

`Device` and `Collection` say what can be done; `reports` what comes back. Every expected failure is an
`EcholiaError` with a stable code. Scripts without async use `echolia.client.blocking.BlockingDevice`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from echolia.client.brakes import BrakeLimits
    from echolia.client.collection import Batch, Collection
    from echolia.client.device import Device
    from echolia.client.exporting.report import Archive, Exported, NotTaken, PlainExported, TakenIn
    from echolia.client.joining import Joining
    from echolia.client.pairing import Pairing
    from echolia.client.plain_values import Edit
    from echolia.client.reports import (
        Allowance,
        Brake,
        Changed,
        Choice,
        Conflict,
        Evidence,
        Fact,
        Found,
        Held,
        LoggedDevice,
        Loss,
        Notice,
        Origin,
        Progress,
        Put,
        Quarantined,
        Quota,
        Receipt,
        Record,
        Rewound,
        Sides,
        Source,
        Status,
        SyncReport,
        Version,
    )
    from echolia.core.collections import Collection as Declaration
    from echolia.core.collections import declare
    from echolia.core.errors import EcholiaError
    from echolia.core.merge import Add, Increment, Remove, ReplaceText, Set, SpliceText

__all__ = [
    "Add",
    "Allowance",
    "Archive",
    "Batch",
    "Brake",
    "BrakeLimits",
    "Changed",
    "Choice",
    "Collection",
    "Conflict",
    "Declaration",
    "Device",
    "EcholiaError",
    "Edit",
    "Evidence",
    "Exported",
    "Fact",
    "Found",
    "Held",
    "Increment",
    "Joining",
    "LoggedDevice",
    "Loss",
    "NotTaken",
    "Notice",
    "Origin",
    "Pairing",
    "PlainExported",
    "Progress",
    "Put",
    "Quarantined",
    "Quota",
    "Receipt",
    "Record",
    "Remove",
    "ReplaceText",
    "Rewound",
    "Set",
    "Sides",
    "Source",
    "SpliceText",
    "Status",
    "SyncReport",
    "TakenIn",
    "Version",
    "declare",
]

# Where each name lives. They are loaded when they are first asked for, because the command line's help must
# not wait for databases and documents.
_MODULES: Final = {
    "echolia.client.brakes": ("BrakeLimits",),
    "echolia.client.collection": ("Batch", "Collection"),
    "echolia.client.device": ("Device",),
    "echolia.client.exporting.report": ("Archive", "Exported", "NotTaken", "PlainExported", "TakenIn"),
    "echolia.client.joining": ("Joining",),
    "echolia.client.pairing": ("Pairing",),
    "echolia.client.plain_values": ("Edit",),
    "echolia.core.collections": ("declare",),
    "echolia.core.errors": ("EcholiaError",),
    "echolia.core.merge": ("Add", "Increment", "Remove", "ReplaceText", "Set", "SpliceText"),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # or a type checker would believe in any name

    def __getattr__(name: str) -> Any:
        if name == "Declaration":
            return import_module("echolia.core.collections").Collection
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES.get(name, "echolia.client.reports")), name)
