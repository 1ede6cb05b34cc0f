"""A device's side of sealed asks over an `Asker`, by the rules of `spec/sealed.md` alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from echolia.core.ids import unb64
from echolia.sealed.asks import bound
from echolia.sealed.documents import KeyDocument, read_document
from echolia.sealed.frames import framed_request, unframed_response
from echolia.sealed.requests import seal
from tests.support.asgi import Answer, Asker

TYPE = "application/vnd.echolia.sealed"


@dataclass
class Said:
    """An opened answer: what came before the final chunk, and that one."""

    chunks: list[dict[str, Any]]
    final: dict[str, Any]

    @property
    def text(self) -> str:
        """All words."""
        parts = [part for chunk in self.chunks for part in chunk.get("parts", ())]
        return "".join(part["text"] for part in [*parts, *self.final.get("parts", ())] if "text" in part)


@dataclass
class SealedClient:
    """Asks for one account; `now_ms` is the device's clock."""

    ask: Asker
    account: bytes
    now_ms: int

    async def keys(self) -> KeyDocument:
        """The server's keys."""
        told = (await self.ask("GET", "/llm/keys")).json()
        return read_document(unb64(told["document"]), unb64(told["signature"]), None, self.now_ms)

    async def post(self, path: str, ask: Any, **other: Any) -> tuple[Answer, Any]:
        """A raw answer, and what opens it; `other` replaces members of what is sealed."""
        key = (await self.keys()).keys[0]
        said = {**bound(self.now_ms, path, self.account, ask), **other}
        body, opener = seal(key.id, key.public, framed_request(said), os.urandom(32))
        return await self.ask("POST", path, body=body, headers={"content-type": TYPE}), opener

    async def say(self, path: str, **ask: Any) -> Said:
        """An answer, opened."""
        answer, opener = await self.post(path, ask)
        assert answer.status == 200, answer.body
        chunks = [unframed_response(plain) for plain in opener.feed(answer.body)]
        return Said(chunks, unframed_response(opener.end()))
