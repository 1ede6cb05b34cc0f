"""The commands that ask models: ask, models, usage."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from echolia.client.cli.output import Column, plain
from echolia.client.cli.session import Session, with_session
from echolia.client.cli.text_input import at_terminal, given_text
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client import Device
    from echolia.client.llm.answers import Finished, UsageRow

ENTRIES: Final = 8
ENTRIES_BYTES: Final = 96 * 1024
_ABOUT: Final = "The person keeps a journal. These entries of it may help with what they ask:\n\n"


@click.command(epilog='Example: echolia ask "How did I sleep in May?" --with-entries "sleep may"')
@click.argument("question", required=False)
@click.option("--model", envvar="ECHOLIA_MODEL", show_envvar=True, help="Which one; see `echolia models`.")
@click.option("--with-entries", metavar="WORDS", help="Let the model read the entries that these words find.")
@click.option("--in", "title", metavar="TITLE", help="Go on with a conversation, or begin one; it is kept.")
@click.option("--system", help="How the model is to answer.")
@click.option("--max-tokens", type=click.IntRange(1), help="How long the answer may be.")
@with_session
async def ask(
    session: Session,
    question: str | None,
    model: str | None,
    with_entries: str | None,
    title: str | None,
    system: str | None,
    max_tokens: int | None,
) -> None:
    """Ask a model; `-` reads the question from standard input. Ctrl-C ends the answer, and what it costs.

    Question, entries and answer are sealed between this device and the server's process that asks the model's
    provider; that process and the provider read them, nobody in between. Entries are found on this device.
    """
    question = given_text(question or (None if at_terminal() else "-"), None)
    if not question:
        raise click.UsageError("Say what to ask.")
    async with session.device() as device:
        system = await _with_entries(session, device, with_entries, system)
        options = {"system": system, "max_tokens": max_tokens}
        model = model or await _only_model(device)
        conversation = await device.conversations.titled(title) if title else None
        said = await _messages(device, conversation, question)
        given = {name: value for name, value in options.items() if value is not None}
        text, finished = await _stream(session, device, said, model, given)
        if conversation is not None:
            await device.conversations.keep(conversation, question, text, finished.model)
    if session.out.json:
        session.out.result({"text": text, **_finished_json(finished), "conversation": conversation}, "")
    else:
        click.echo()
        session.out.aside(_told(finished))


@click.command(epilog="Example: echolia models")
@with_session
async def models(session: Session) -> None:
    """List the models that the server offers, and what each can do beside words."""
    async with session.device() as device:
        found = await device.llm.models()
    if session.out.json:
        session.out.result({"models": [model._asdict() for model in found]}, "")
        return
    columns = [Column("model"), Column("can", flexible=True), Column("longest answer"), Column("stands in")]
    session.out.table(
        columns,
        [
            [
                model.name,
                ", ".join(model.abilities),
                f"{model.max_tokens:,} tokens",
                ", ".join(model.fallback),
            ]
            for model in found
        ],
    )


@click.command(epilog="Example: echolia usage --days 7")
@click.option("--days", type=click.IntRange(1, 400), default=30, show_default=True, help="Of how many days.")
@with_session
async def usage(session: Session, days: int) -> None:
    """Say what asking models took: tokens and cost, by day and model, and what may still be asked."""
    async with session.device() as device:
        rows, quota = await device.llm.usage(days), await device.llm.quota()
    if session.out.json:
        session.out.result({"usage": [row._asdict() for row in rows], "quota": quota}, "")
        return
    columns = [Column(name) for name in ("day", "model", "ended", "asks", "tokens in", "out", "cost")]
    session.out.table(columns, [_row(row) for row in rows])
    if not rows:
        session.out.aside("Nothing was asked.")
    session.out.aside(_left(quota))


async def _with_entries(
    session: Session, device: Device, words: str | None, system: str | None
) -> str | None:
    """What the model is told beforehand, the person's own entries among it."""
    from echolia.client.llm.conversations import told  # noqa: PLC0415 - `--help` must not wait for it

    if words is None:
        return system
    searched = await device.embeddings.search(words, limit=ENTRIES)
    found = searched.found
    if not found:
        raise EcholiaError("object_unknown", "no entry holds these words")
    session.out.aside(f"The model reads {len(found)} of your entries, found by {searched.by}.")
    entries = _ABOUT + told([each.record for each in found], ENTRIES_BYTES)
    return f"{system}\n\n{entries}" if system else entries


async def _only_model(device: Device) -> str:
    found = [model.name for model in await device.llm.models()]
    if len(found) != 1:
        raise click.UsageError(f"Choose one with --model: {', '.join(found)}.")
    return found[0]


async def _messages(device: Device, conversation: str | None, question: str) -> list[dict[str, Any]]:
    from echolia.client.llm.conversations import as_asked  # noqa: PLC0415

    before = await device.conversations.messages(conversation) if conversation else []
    return as_asked(before, question)


async def _stream(
    session: Session, device: Device, said: list[dict[str, Any]], model: str, options: Mapping[str, Any]
) -> tuple[str, Finished]:
    """Show the words as they come; all of them, and how it ended."""
    from echolia.client.llm.answers import Finished, Words  # noqa: PLC0415

    words: list[str] = []
    async with aclosing(device.llm.stream(said, model=model, **options)) as events:
        async for event in events:
            if isinstance(event, Finished):
                return "".join(words), event
            if isinstance(event, Words):
                words.append(event.text)
                if not session.out.json:
                    click.echo(plain(event.text), nl=False)
    raise AssertionError("unreachable")


def _finished_json(finished: Finished) -> dict[str, Any]:
    return {
        "model": finished.model,
        "reason": finished.reason,
        "usage": finished.usage._asdict(),
        "cost_micro_usd": finished.cost_micro_usd,
        "quota": finished.quota,
    }


def _told(finished: Finished) -> str:
    usage = finished.usage
    short = " It was cut short: see --max-tokens." if finished.reason == "length" else ""
    cost = f", {_dollars(finished.cost_micro_usd)}" if finished.cost_micro_usd else ""
    return f"{finished.model}: {usage.input:,} tokens read, {usage.output:,} written{cost}.{short}"


def _row(row: UsageRow) -> list[str]:
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=row.day)).date().isoformat()
    counts = (row.requests, row.input, row.output)
    return [day, row.model, row.status, *(f"{count:,}" for count in counts), _dollars(row.micro_usd)]


def _left(quota: Mapping[str, Any]) -> str:
    tokens, cost = quota.get("tokens_per_day", {}), quota.get("micro_usd_per_month", {})
    parts = []
    if tokens.get("limit"):
        parts.append(f"{tokens['used']:,} of {tokens['limit']:,} tokens of today")
    if cost.get("limit"):
        parts.append(f"{_dollars(cost['used'])} of {_dollars(cost['limit'])} of 30 days")
    return f"Used: {'; '.join(parts)}." if parts else "There is no limit."


def _dollars(micro_usd: int) -> str:
    return f"${micro_usd / 1_000_000:,.4f}"
