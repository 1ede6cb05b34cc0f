"""Verifying an export from its first to its last byte, before anything of it counts (`spec/export.md`)."""

from __future__ import annotations

from typing import NamedTuple

from echolia.client.exporting.contents import read_log
from echolia.client.exporting.evidence import Evidence, Served
from echolia.client.exporting.sealed_file import SealedFile
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.export_records import EVIDENCE, LOG, RUN, end_message, invalid, unpack_item
from echolia.core.signing import verify
from echolia.e2ee.exports import ChunkKey


class Verified(NamedTuple):
    """What a whole export holds: numbers of records by kind, and the former account's device log."""

    counts: dict[str, int]
    log: DeviceLog


def verified(export: SealedFile, key: ChunkKey) -> Verified:
    """All of the export; raises `export_invalid`, `unsupported_version`."""
    entries, evidence = list[bytes](), None
    log: DeviceLog | None = None
    for record in export.records(key):
        if record.kind == LOG:
            entries.append(record.content)
            continue
        if log is None:
            log, signed = read_log(entries, export.head.account)
        try:
            if record.kind == EVIDENCE:
                evidence = Evidence(log, signed, Served.decode(record.content))
            elif record.kind == RUN and evidence is not None:
                evidence.run(unpack_item(record.content))
        except EcholiaError as error:
            if error.code in {"export_invalid", "unsupported_version"}:
                raise
            raise invalid(f"its evidence does not hold: {error.code}") from None
    assert export.end is not None and log is not None
    _check_end(export, log, evidence, key)
    return Verified(dict(export.end.counts), log)


def _check_end(export: SealedFile, log: DeviceLog, evidence: Evidence | None, key: ChunkKey) -> None:
    """Who wrote it is a device of the account, and it is sealed to nobody but that account."""
    head, end = export.head, export.end
    assert end is not None
    writer = log.devices.get(end.device)
    message = end_message(head.account, head.raw, end.encode())
    if writer is None or not verify(writer.sign, message, export.signature):
        raise invalid("no device of the account wrote it")
    if head.recovery_box != log.recovery_box or key.owner not in (None, log.recovery_sign):
        raise invalid("it is not the account's whose words open it")
    if evidence is not None:
        evidence.end_base()
    if end.position != (None if evidence is None else evidence.position):
        raise invalid("its evidence ends elsewhere than it says")
