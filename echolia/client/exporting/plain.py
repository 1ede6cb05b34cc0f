"""A plain export: Markdown and JSON that anybody can read, unencrypted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from echolia.client.exporting.contents import some_objects
from echolia.client.exporting.report import PlainExported
from echolia.client.faults import home_faults
from echolia.client.open_export import PlainFolder
from echolia.client.replica import Replica
from echolia.core.errors import EcholiaError


async def export_plain(replica: Replica, folder: Path) -> PlainExported:
    """See `Device.export_plain`."""
    try:
        with home_faults():
            plain = await replica.run(PlainFolder, folder)
    except FileExistsError:
        raise EcholiaError("export_exists", folder.name) from None
    counts, after = Counter[str](), 0
    try:
        while (found := await replica.run(_some, replica, plain, after, counts)) is not None:
            after = found
    finally:
        with home_faults():
            plain.close()
    return PlainExported(folder, dict(sorted(counts.items())), plain.files)


def _some(replica: Replica, plain: PlainFolder, after: int, counts: Counter[str]) -> int | None:
    found, after_these = some_objects(replica.database, after)
    with home_faults():
        for one in found:
            plain.add(one)
            counts[one["collection"]] += 1
    return after_these
