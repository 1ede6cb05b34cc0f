"""Exchanges inside the seal: what is asked is sealed here, and what is answered opened here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from echolia.client.environment import Environment
from echolia.client.llm.server_keys import ServerKeys
from echolia.client.replica import Replica
from echolia.client.session import Refused, Session
from echolia.client.transport import Request
from echolia.core.errors import EcholiaError
from echolia.sealed.asks import MEDIA_TYPE, bound
from echolia.sealed.frames import framed_request, unframed_final, unframed_response
from echolia.sealed.requests import seal

MOST_BYTES: Final = 256 * 1024
_EPHEMERAL_BYTES: Final = 32


class SealedAsks:
    """Asks as this account, by keys that this device believes."""

    def __init__(self, replica: Replica, session: Session, environment: Environment) -> None:
        self._account = replica.identity.account
        self._session = session
        self._environment = environment
        self.keys = ServerKeys(replica, session, environment)

    async def exchange(self, path: str, ask: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of the answer as they come; the last one has a `status`, whatever it is.

        Raises: `body_too_large`, `sealed_truncated`, `sealed_invalid`, `sealed_keys_…`, what was refused.
        """
        for again in (False, True):
            try:
                async with aclosing(self._once(path, ask, fresh=again)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                    return
            except Refused as refused:
                # Nothing was answered yet: the server has forgotten the key.
                if refused.code != "sealed_key_unknown" or again:
                    raise

    async def _once(
        self, path: str, ask: Mapping[str, Any], *, fresh: bool
    ) -> AsyncGenerator[dict[str, Any], None]:
        key = await self.keys.key(fresh=fresh)
        plain = framed_request(bound(self.keys.now_ms(), path, self._account, ask))
        body, opener = seal(key.id, key.public, plain, self._environment.dice(_EPHEMERAL_BYTES))
        if len(body) > MOST_BYTES:
            raise EcholiaError("body_too_large", f"an ask is at most {MOST_BYTES} bytes, sealed")
        request = Request("POST", path, body, MEDIA_TYPE, MEDIA_TYPE)
        async with aclosing(self._session.stream(request)) as pieces:
            try:
                async for piece in pieces:
                    for chunk in opener.feed(piece):
                        yield unframed_response(chunk)
            except EcholiaError as error:
                if error.code == "server_unreachable" and opener.begun:
                    raise EcholiaError("sealed_truncated") from None
                raise
        yield unframed_final(opener.end())
