"""Reading a request's body within a size and a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import suppress
from types import coroutine
from typing import Any, Final

from echolia.core.errors import EcholiaError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


# A refused body up to this size is taken in all the same, for so long.
_DRAINED_BYTES: Final = 64 * 1024
_DRAINED_SECONDS: Final = 1.0


async def drain(receive: Receive, headers: Mapping[bytes, bytes]) -> None:
    """Take in a small body that nobody wants.

    Who is still sending when the refusal comes may find its connection broken and never read it; proxies do.
    """
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or not 0 < int(declared) <= _DRAINED_BYTES:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAINED_SECONDS):
            while (await receive()).get("more_body"):
                pass


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], max_bytes: int, seconds: float
) -> bytes:
    """The whole body.

    Raises: `body_too_large` (at once where the length was declared), `body_too_slow`, `invalid_request` where
    the client hung up.
    """
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > max_bytes:
        raise _too_large(max_bytes)
    begun = receive().__await__()
    message, awaited = None, None
    try:
        awaited = next(begun)
    except StopIteration as arrived:
        # The usual case: the body came with its headers. A timer would cost more than all the rest.
        message = arrived.value
        if message["type"] == "http.request" and not message.get("more_body"):
            return _fitting(bytes(message.get("body", b"")), max_bytes)
    try:
        async with asyncio.timeout(seconds):
            return await _to_its_end(message or await _resumed(begun, awaited), receive, max_bytes)
    except TimeoutError:
        raise EcholiaError("body_too_slow") from None


@coroutine
def _resumed(begun: Generator[Any, Any, Message], awaited: Any) -> Generator[Any, Any, Message]:
    """Go on with what was begun and waits for `awaited`."""
    yield awaited
    return (yield from begun)


async def _to_its_end(message: Message, receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] != "http.request":
            raise EcholiaError("invalid_request", "the connection ended within the body")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _fitting(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> EcholiaError:
    return EcholiaError("body_too_large", f"at most {max_bytes} bytes")


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read already, then whatever follows it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
