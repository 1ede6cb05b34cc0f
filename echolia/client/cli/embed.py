"""The command that makes vectors of entries, for searching by meaning."""

from __future__ import annotations

import click

from echolia.client.cli.progress import progress
from echolia.client.cli.session import Session, with_session


@click.command(epilog="Example: echolia embed")
@click.option("--migrate", is_flag=True, help="Go over to the model that is at hand, on all devices.")
@click.option("--development", is_flag=True, help="A server's model that understands nothing will do.")
@with_session
async def embed(session: Session, migrate: bool, development: bool) -> None:
    """Make the vectors that entries lack, for `echolia search --semantic`; they are synced to all devices.

    They are made on this device if it has a model (`pip install echolia[embeddings]` and the weights), or
    else by the server, which gets the text sealed and keeps nothing. Stopped anywhere, run it again.
    """
    async with session.device() as device:
        make = device.embeddings.migrate if migrate else device.embeddings.update
        with progress(session.out) as show:
            made = await make(lambda done, total: show("embedded", done, total), development=development)
        stands = await device.embeddings.status()
    if session.out.json:
        told = {"made": made.made, "too_long": made.too_long, "removed": made.removed}
        model = None if stands.model is None else stands.model.hex()
        session.out.result({**told, "entries": stands.entries, "vectors": stands.made, "model": model}, "")
        return
    session.out.result(
        {}, f"{stands.made:,} of {stands.entries:,} entries have a vector; {made.made:,} are new."
    )
    if made.too_long:
        session.out.aside(f"{made.too_long:,} are too long for one, and are found by words.")
