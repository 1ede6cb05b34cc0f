"""Commands that take everything along: export, and the archives that a home keeps of former accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from echolia.client.cli.output import Column, local_time
from echolia.client.cli.progress import progress
from echolia.client.cli.secret_input import new_passphrase
from echolia.client.cli.session import Session, with_session
from echolia.client.cli.text_input import agreed

if TYPE_CHECKING:
    from echolia.client import Device, Exported

_WHAT: Final = {"object": "exporting", "run": "fetching evidence"}


@click.command("export", epilog="Example: echolia export diary.echolia")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--passphrase", is_flag=True, help="Let a passphrase open it too; it is asked for.")
@click.option(
    "--plain",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Instead of FILE: Markdown and JSON, NOT encrypted.",
)
@click.option("--offline", is_flag=True, help="Do not ask the server for the signed history.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--yes", is_flag=True, help="With --plain: do not ask.")
@with_session
async def export(
    session: Session, file: Path | None, passphrase: bool, plain: Path | None, offline: bool, force: bool,
    yes: bool,
) -> None:  # fmt: skip
    """Write all that is here into one encrypted FILE, which the account's 24 words open.

    With the server's help the signed history is in it as evidence; without, it says so. Interrupted, or on a
    full disk, run it again: FILE.part holds what is done. `echolia import FILE` brings it into any account;
    `open_export.py`, which comes with Echolia, opens it without Echolia.
    """
    if (file is None) == (plain is None):
        raise click.UsageError("Give FILE, or --plain and a folder.")
    if plain is not None:
        if passphrase or offline or force:
            raise click.UsageError("--passphrase, --offline and --force are of FILE.")
        session.out.aside("Anybody who gets at the folder can read it: nothing in it is encrypted.")
        agreed("Write everything unencrypted?", yes)
    async with session.device() as device:
        if plain is not None:
            await _plain(session, device, plain)
        elif file is not None:
            await _sealed(session, device, file, new_passphrase() if passphrase else None, offline, force)


async def _plain(session: Session, device: Device, folder: Path) -> None:
    done = await device.export_plain(folder)
    value = {"folder": str(folder), "objects": dict(done.objects), "files": done.files, "encrypted": False}
    session.out.result(value, f"{sum(done.objects.values())} objects in {done.files} files, unencrypted.")


async def _sealed(
    session: Session, device: Device, file: Path, passphrase: str | None, offline: bool, force: bool
) -> None:
    with progress(session.out) as show:
        done = await device.export(
            file,
            passphrase=passphrase,
            online=not offline,
            force=force,
            on_progress=lambda what, count, total: show(_WHAT[what], count, total),
        )
    value = {
        "file": str(done.path),
        "bytes": done.bytes,
        "objects": dict(done.objects),
        "devices": done.devices,
        "runs": done.runs,
        "evidence_seq": done.evidence_seq,
        "incomplete": done.incomplete,
        "quarantined": done.quarantined,
        "unsent": done.unsent,
        "resumed": done.resumed,
    }
    session.out.result(value, "\n".join(_told(done, passphrase is not None)))


def _told(done: Exported, with_passphrase: bool) -> list[str]:
    counts = f"{sum(done.objects.values())} objects and {done.runs} signed runs"
    lines = [
        f"{counts} in {done.path.name}, {done.bytes:,} bytes.",
        f"The account's 24 words{' or the passphrase open' if with_passphrase else ' open'} it.",
    ]
    if done.evidence_seq is None:
        lines.append(
            f"It holds no evidence of the history: the server had no part in it [{done.incomplete}]."
        )
    elif done.incomplete:
        lines.append(f"It may lack what the server has beyond {done.evidence_seq} [{done.incomplete}].")
    if done.unsent:
        lines.append(f"{done.unsent} changes that were not sent yet are in it, and in no evidence.")
    if done.quarantined:
        lines.append(f"{done.quarantined} objects could not be read in full here; `echolia status` says why.")
    return lines


@click.command(epilog="Example: echolia archives")
@with_session
async def archives(session: Session) -> None:
    """List the exports that were brought in here: each is kept as it was, as evidence of its history."""
    async with session.device() as device:
        kept = await device.archives()
    if session.out.json:
        rows = [
            {"file": str(one.path), "account": one.account, "created": one.created_ms, "bytes": one.bytes}
            for one in kept
        ]
        session.out.result({"archives": rows}, "")
        return
    columns = [Column("account"), Column("exported"), Column("bytes"), Column("file", wraps=True)]
    session.out.table(
        columns,
        [[one.account[:8], local_time(one.created_ms), f"{one.bytes:,}", str(one.path)] for one in kept],
    )
