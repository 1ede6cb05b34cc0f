"""Conversations with models, kept as sealed objects like everything else that is written here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from echolia.client import reading
from echolia.client.environment import Environment
from echolia.client.plain_values import Edit
from echolia.client.replica import Order, Replica
from echolia.client.reports import Record
from echolia.core.collections import CONVERSATIONS, MESSAGES

# How much of a conversation goes along with what is asked next.
REMEMBERED: Final = 10
_USER: Final = "user"
_ASSISTANT: Final = "assistant"


class Conversations:
    """What was said, by conversation; get it as `device.conversations`."""

    def __init__(self, replica: Replica, environment: Environment) -> None:
        self._replica = replica
        self._environment = environment

    async def titled(self, title: str) -> str:
        """The id of the newest conversation of this title, begun where there is none."""
        found = await self._replica.run(
            reading.search, self._replica.database, CONVERSATIONS.name, title, 100
        )
        same = [each.record for each in found if each.record.fields.get("title") == title]
        if same:
            return max(same, key=lambda record: record.updated_ms).id
        id_ = self._environment.dice(16)
        fields: dict[str, Edit] = {"title": title, "created": self._environment.now_ms()}
        await self._replica.edit([Order("create", CONVERSATIONS.name, id_, fields)])
        return id_.hex()

    async def messages(self, conversation: str, last: int = REMEMBERED) -> list[Record]:
        """Its newest messages, the oldest of them first; they have `role`, `text`, `model`, `created`."""
        # The search index holds every text of an object, an id too; it is asked, and then checked.
        holding = await self._replica.run(
            reading.holding, self._replica.database, MESSAGES.name, conversation
        )
        own = [record for record in holding if record.fields.get("conversation") == conversation]
        return sorted(own, key=_when)[-last:]

    async def keep(self, conversation: str, asked: str, answered: str, model: str) -> None:
        """Keep a question and its answer, both or neither."""
        now_ms, dice = self._environment.now_ms(), self._environment.dice
        said = ((_USER, asked, now_ms), (_ASSISTANT, answered, now_ms + 1))
        orders = []
        for role, text, at_ms in said:
            fields: dict[str, Edit] = {"conversation": conversation, "role": role, "text": text}
            fields.update(model=model, created=at_ms)
            orders.append(Order("create", MESSAGES.name, dice(16), fields))
        await self._replica.edit(orders)


def as_asked(messages: Iterable[Record], question: str) -> list[dict[str, Any]]:
    """Messages as an ask has them, and the question behind them; it begins with the user's."""
    said = [{"role": record.fields["role"], "content": str(record.fields["text"])} for record in messages]
    while said and said[0]["role"] != _USER:
        said.pop(0)
    return [*said, {"role": _USER, "content": question}]


def _when(record: Record) -> tuple[int, str]:
    created = record.fields.get("created")
    return (created if isinstance(created, int) else 0, record.id)


def told(entries: Sequence[Record], most_bytes: int) -> str:
    """Entries as a model is told of them, the first ones first, as many as fit."""
    parts, size = [], 0
    for entry in entries:
        fields = entry.fields
        title, body = str(fields.get("title") or "Untitled"), str(fields.get("body") or "")
        part = f"## {title}{_date(fields.get('created'))}\n\n{body}\n"
        size += len(part.encode())
        if size > most_bytes:
            break
        parts.append(part)
    return "\n".join(parts)


def _date(created: object) -> str:
    if not isinstance(created, int) or not 0 <= created < 1 << 47:
        return ""
    return f", {(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=created)).date().isoformat()}"
