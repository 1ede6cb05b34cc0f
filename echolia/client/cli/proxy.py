"""The command that lets other programs of this machine ask models through the device."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

import click

from echolia.client.cli.session import Session, with_session
from echolia.core.errors import EcholiaError

PORT: Final = 11435


@click.command(epilog="Example: echolia proxy --port 11435")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: a free one.")
@click.option("--key", envvar="ECHOLIA_PROXY_KEY", show_envvar=True, help="What programs have to know.")
@with_session
async def proxy(session: Session, port: int, key: str | None) -> None:
    """Speak OpenAI's chat API on this machine alone; what is asked is sealed up to the server.

    Any program that takes OPENAI_BASE_URL and OPENAI_API_KEY, which it prints, works with it. Ctrl-C ends it.
    Other commands of this home wait meanwhile: give the proxy a device of its own if that is in the way.
    """
    from echolia.client.llm.loopback import HOST, Loopback  # noqa: PLC0415 - `--help` must not wait for it

    key = key or secrets.token_urlsafe(24)
    async with session.device() as device:
        door = Loopback(device.llm, key, secrets.token_bytes)
        try:
            async with door.listening(port) as opened:
                url = f"http://{HOST}:{opened}/v1"
                session.out.result(
                    {"base_url": url, "api_key": key}, f"OPENAI_BASE_URL={url}\nOPENAI_API_KEY={key}"
                )
                session.out.aside("Ctrl-C ends.")
                await asyncio.get_running_loop().create_future()
        except OSError:
            raise EcholiaError("usage", f"port {port} is taken; give another by --port") from None
