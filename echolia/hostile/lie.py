"""A lie: what an operator answers in the honest server's place. Without a change of mind it is honest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, TypeAlias

from echolia.client.transport import Answer
from echolia.core.push import Item, Page, item_head, page_head, read_page
from echolia.hostile.exchange import Exchange

ChangePage: TypeAlias = Callable[[Page, Exchange], Page]
ChangeFields: TypeAlias = Callable[[dict[str, Any], Exchange], object]


class Lie:
    """The honest server. An attack overrides what it lies about."""

    async def answer(self, exchange: Exchange) -> Answer:
        """What the device is answered."""
        return await exchange.honest()

    def lines(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """What a device that listens hears, given what the honest server says."""
        return lines


class Pages(Lie):
    """Changes the pages that devices pull by cursor; the asker's book is read before."""

    _base = False

    def __init__(self, change: ChangePage) -> None:
        self._change = change

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        answer = await exchange.honest()
        pulled = exchange.what == "POST /sync/pull" and answer.status == 200
        if not pulled or ("base" in exchange.fields()) != self._base:
            return answer
        await exchange.book()
        return replace(answer, body=write_page(self._change(read_page(answer.body), exchange)))


class BasePages(Pages):
    """Changes the pages that devices pull from a checkpoint's base."""

    _base = True


class Fields(Lie):
    """Changes the JSON that is answered at a path, in place."""

    def __init__(self, what: str, change: ChangeFields) -> None:
        self._what, self._change = what, change

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        answer = await exchange.honest()
        if exchange.what != self._what or answer.status >= 300:
            return answer
        fields = json.loads(answer.body)
        self._change(fields, exchange)
        return replace(answer, body=json.dumps(fields).encode())


class Instead(Lie):
    """Answers one kind of request, or every kind (""), without asking the honest server."""

    def __init__(self, what: str, told: Callable[[Exchange], Answer]) -> None:
        self._what, self._told = what, told

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        return self._told(exchange) if self._what in {"", exchange.what} else await exchange.honest()


def write_page(page: Page) -> bytes:
    """The bytes of a page."""
    parts = [page_head(page.more, page.head, len(page.items))]
    for item in page.items:
        content = bytes(item.content)
        parts += [item_head(item.seq, item.received_ms, item.form, len(content)), content]
    return b"".join(parts)


def with_item(page: Page, at: int, **fields: Any) -> Page:
    """The page with other fields of its item `at`."""
    items: list[Item] = list(page.items)
    items[at] = items[at]._replace(**fields)
    return page._replace(items=items)
