"""What the directory has of an account's asks: counts and cost, by day and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from echolia.llm import store
from echolia.storage.engine import Database
from echolia.web.context import Fact, facts_of

_USED: Final = "What models took is counted against the quota, and told to the account for 400 days."
_HELD: Final = "Many asks at once must not take more than there is. Gone when the answer has ended."
_WHAT: Final = {
    "day": "the days on which models were asked",
    "model": "which models",
    "status": "how the answers ended",
    "prices": "by which prices they were charged",
    "requests": "how many asks",
    "input": "tokens of asks",
    "cached": "of these, read from the provider's cache",
    "written": "of these, written to it",
    "output": "tokens of answers",
    "reasoning": "of these, not shown",
    "micro_usd": "what they cost, in millionths of a dollar",
}
_WHAT_HELD: Final = {
    "model": "the models of running asks",
    "prices": "by which prices they will be charged",
    "expires_ms": "until when they are charged",
    "tokens": "how many tokens they may come to",
    "micro_usd": "what they may cost, in millionths of a dollar",
    "least_input": "how many tokens are charged if nobody counts them",
    "least_micro_usd": "what those cost",
}
# Place → what it is, and why it is needed.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "directory.llm_usage.account": ("rows about what models took", _USED),
    **{f"directory.llm_usage.{name}": (what, _USED) for name, what in _WHAT.items()},
    "directory.llm_leases.lease": ("asks that are running", _HELD),
    "directory.llm_leases.account": ("whose they are", _HELD),
    **{f"directory.llm_leases.{name}": (what, _HELD) for name, what in _WHAT_HELD.items()},
    "nowhere.asks": (
        "what is asked of models, and what they answer",
        "It is in memory while it is answered.",
    ),
}


@dataclass(frozen=True, slots=True)
class LlmLedger:
    """A `web.context.Keeper`."""

    directory: Database

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`."""
        usage, leases = await store.kept(self.directory, account)
        values: dict[str, Any] = {
            "directory.llm_usage.account": {"count": len(usage.rows)},
            "directory.llm_leases.lease": {"count": len(leases.rows)},
            "directory.llm_leases.account": {"count": len(leases.rows)},
            "nowhere.asks": "not kept",
        }
        for column, name in enumerate(_WHAT):
            values[f"directory.llm_usage.{name}"] = [row[column] for row in usage.rows]
        for column, name in enumerate(_WHAT_HELD):
            values[f"directory.llm_leases.{name}"] = [row[column] for row in leases.rows]
        return facts_of(WORDS, values)
