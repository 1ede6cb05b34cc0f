"""An exchange: one request on its way to the honest server, who asks, and what is on file about them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from echolia.client.transport import Answer, Request
from echolia.hostile.asker import Asker, read_object
from echolia.hostile.records import Book, Records

Ask = Callable[[Request], Awaitable[Answer]]


@dataclass(slots=True)
class Exchange:
    """One request; `against` are the devices that the attack is about (none: every device)."""

    request: Request
    asker: Asker
    records: Records
    against: frozenset[bytes]
    dice: Callable[[int], bytes] = field(repr=False)
    _ask: Ask = field(repr=False)
    asked: int = 0
    passed: list[tuple[Request, Answer]] = field(default_factory=list, repr=False)

    @property
    def path(self) -> str:
        """The request's path without its query."""
        return self.request.path.partition("?")[0]

    @property
    def what(self) -> str:
        """Method and path, as `POST /sync/pull`."""
        return f"{self.request.method} {self.path}"

    async def honest(self, request: Request | None = None) -> Answer:
        """What the honest server answers, to this request or to another one instead."""
        request, self.asked = request or self.request, self.asked + 1
        answer = await self._ask(request)
        self.passed.append((request, answer))
        return answer

    async def book(self) -> Book:
        """All that the server has of the asker's account by now, and had before."""
        book = self.records.book(self.asker.account)
        await book.read(self._ask, self.request.authorization)
        return book

    def asking(self, **fields: Any) -> Request:
        """The request with other fields of its JSON."""
        return replace(self.request, body=json.dumps({**self.fields(), **fields}).encode())

    def fields(self) -> dict[str, Any]:
        """The request's JSON; {} for none."""
        return read_object(self.request.body)


def refusal(status: int, code: str, **members: Any) -> Answer:
    """A problem document."""
    return Answer(status, json.dumps({"code": code, **members}).encode())


def document(fields: Mapping[str, Any]) -> Answer:
    """A JSON answer."""
    return Answer(200, json.dumps(fields).encode())
