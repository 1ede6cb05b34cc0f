"""What a person is told once, by whichever command comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from echolia.client.cli.output import Output

if TYPE_CHECKING:
    from echolia.client import Device

TEXTS: Final = {
    "identity_renewed": "This home was copied, or came back from a backup. It is a device of its own now,"
    " with all its edits; if the other copy is gone, `echolia devices` shows what to revoke.",
    "device_added": "A device was added to the account: `echolia devices`. If it was not you, shut it out at"
    " once: `echolia revoke DEVICE`. If it was, `echolia confirm DEVICE` lets it add and revoke others.",
    "phrase_replaced": "Another device has replaced the recovery phrase: the former words open nothing new.",
    "server_restored": "The server came back from a backup. What it had lost was brought back from this"
    " device.",
}


async def tell(out: Output, device: Device) -> None:
    """Tell a person what was not told yet; programs find it in `echolia status --json`."""
    if out.json or out.quiet:
        return
    notices = await device.notices()
    for notice in notices:
        out.aside(TEXTS[notice.code])
    if notices:
        await device.notices_told(notices[-1].n)
