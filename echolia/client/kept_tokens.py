"""Tokens in the home's database, so that not every command has to sign in."""

from __future__ import annotations

from echolia.client.replica import Replica
from echolia.client.session import Tokens


class KeptTokens:
    """A `TokenStore`; losing them costs a sign-in, nothing else."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    async def load(self) -> Tokens | None:
        """See `TokenStore`."""
        return await self._replica.run(self._load)

    async def keep(self, tokens: Tokens) -> None:
        """See `TokenStore`."""
        await self._replica.run(self._keep, tokens)

    def _load(self) -> Tokens | None:
        row = self._replica.database.row("SELECT access, refresh, expires_ms FROM tokens")
        return Tokens(*row) if row else None

    def _keep(self, tokens: Tokens) -> None:
        self._replica.database.run(
            "INSERT OR REPLACE INTO tokens VALUES (0, ?, ?, ?)",
            tokens.access, tokens.refresh, tokens.expires_ms,
        )  # fmt: skip
