"""Where a command gets words and passphrases: typed unseen at a terminal, or a line of standard input."""

from __future__ import annotations

import sys

import click

from echolia.client.cli.text_input import at_terminal, interruptible


def secret(question: str) -> str:
    """What the person types, which is not shown; without a terminal the next line of standard input."""
    if not at_terminal():
        return sys.stdin.readline().rstrip("\r\n")
    with interruptible():
        answer: str = click.prompt(question, hide_input=True, default="", show_default=False, err=True)
    return answer


def new_passphrase() -> str:
    """A passphrase for a file, asked for twice at a terminal."""
    if not at_terminal():
        return secret("")
    with interruptible():
        answer: str = click.prompt(
            "A passphrase for the file", hide_input=True, confirmation_prompt="The same again", err=True
        )
    return answer
