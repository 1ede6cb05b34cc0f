"""A group of commands that loads a command only when it is run, and ends every failure in one line."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from echolia.client.cli.failures import JSON_KEY, report, report_usage
from echolia.core.errors import EcholiaError


class LazyCommand(NamedTuple):
    """Where a command stands (`module:attribute`), and its line in the list of commands."""

    place: str
    summary: str


class LazyGroup(click.Group):
    """A click group whose commands are named, and imported when first used.

    Any `EcholiaError`, `OSError` or interruption in a command becomes one line on standard error and exit
    code 1 (130 when interrupted); wrong words exit with 2.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order they were given: the order in which a newcomer needs them."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name].place.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from their summaries: nothing is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self._lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; what is close to an unknown one is suggested."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            import difflib  # noqa: PLC0415 - only a typing error needs it

            close = difflib.get_close_matches(args[0], self._lazy, 1) if args else []
            hint = f" Did you mean `{close[0]}`?" if close else ""
            raise click.UsageError(f"There is no such command.{hint}", ctx) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether JSON is asked for: words that are wrong are told before a command has read its own."""
        ctx.meta[JSON_KEY] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; failures that people can do something about never show a traceback."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except click.ClickException as error:
            told = _without_what_was_typed(error) if isinstance(error, click.UsageError) else error
            if not ctx.meta[JSON_KEY]:
                raise told from None
            report_usage(told)
            ctx.exit(told.exit_code)
        except (EcholiaError, OSError) as error:
            report(error)
            ctx.exit(1)
        except (KeyboardInterrupt, click.Abort):
            click.echo("", err=True)
            ctx.exit(130)


def _without_what_was_typed(error: click.UsageError) -> click.UsageError:
    """The same error where click would repeat words that were not expected: they may be of a note."""
    if isinstance(error, click.NoSuchOption):
        close = f" Did you mean {', '.join(sorted(error.possibilities))}?" if error.possibilities else ""
        message = f"No such option; before a text that begins with a dash write --.{close}"
        return click.UsageError(message, error.ctx)
    if error.message.startswith("Got unexpected extra argument"):
        return click.UsageError("These are more words than it takes; put a text into quotes.", error.ctx)
    if isinstance(error, click.BadParameter) and error.message.endswith(" is not a valid integer range."):
        return click.BadParameter("it takes a whole number.", error.ctx, error.param)
    return error
