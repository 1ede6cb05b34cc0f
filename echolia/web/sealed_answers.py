"""A sealed answer up to its one final chunk, whatever happens (`spec/sealed.md#response`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import structlog

from echolia.core.errors import EcholiaError
from echolia.sealed.frames import framed_response
from echolia.sealed.responses import ResponseSealer
from echolia.web.context import Refusal
from echolia.web.error_responses import STATUS

Refused = Callable[[EcholiaError], dict[str, Any]]


def refused(error: EcholiaError) -> dict[str, Any]:
    """The final chunk of what did not come to its end."""
    code = error.code if error.code in STATUS else "internal"
    final: dict[str, Any] = {"status": STATUS[code], "code": code}
    if error.detail and code != "internal":
        final["detail"] = error.detail
    if isinstance(error, Refusal):
        if error.retry_after_s is not None:
            final["retry_after_s"] = error.retry_after_s
        final.update(error.members)
    return final


async def sealed_answer(
    sealer: ResponseSealer, said: AsyncGenerator[Mapping[str, Any], None], told: Refused = refused
) -> AsyncGenerator[bytes, None]:
    """The pieces of the answer, of what is said: the one that has a status is the last.

    What it raises is `told` in the final chunk; closed before its end it closes what says it.
    """
    began = sealer.nonce
    final: Mapping[str, Any] = {"status": 500, "code": "internal"}
    try:
        async with aclosing(said) as pieces:
            async for piece in pieces:
                if "status" in piece:
                    final = piece
                    break
                yield began + sealer.chunk(framed_response(piece))
                began = b""
    except EcholiaError as error:
        final = told(error)
    except Exception as error:  # noqa: BLE001  # whatever it was, who asks is told that it ended
        structlog.get_logger().error("failure", code="internal", exception=type(error).__name__)
    yield began + sealer.final(framed_response(final))
