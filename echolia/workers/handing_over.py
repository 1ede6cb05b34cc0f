"""Requests and units of work of another process' accounts go there, and their answers come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from starlette.types import ASGIApp, Message, Scope

from echolia.core.errors import EcholiaError
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Batches, DatabaseElsewhere, Statement
from echolia.web.exchange import UNMATCHED
from echolia.web.owners import HANDED_OVER, Forwarded, Question
from echolia.workers.channel import Gone, Handler
from echolia.workers.peers import Peers
from echolia.workers.placement import Owned, Placement
from echolia.workers.remote_database import RemoteDatabase, batched, said_again

# How long it is tried, seconds between the tries: an account is handed over within milliseconds, or within as
# long as it takes to see that a process has died.
PAUSES_S: Final = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6, 1.6, 2.0)
# What may be asked a second time where nobody knows whether it was heard: it is made for that (spec/sync.md).
_REPEATABLE: Final = "/sync/"
_MOVED: Final = DatabaseElsewhere.default_code


class Ours(Exception):
    """The account belongs to this process by now."""


class HandingOver:
    """Implements `web.owners.Owners`; `pauses_s` are the waits between tries."""

    def __init__(self, placement: Placement, peers: Peers, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._placement = placement
        self._peers = peers
        self._pauses_s = pauses_s

    def enter(self, account: bytes) -> Owned | None:
        """See `Owners.enter`."""
        return self._placement.enter(account)

    async def forward(self, account: bytes, question: Question) -> Forwarded | None:
        """See `Owners.forward`."""
        repeatable = question.method == "GET" or question.path.startswith(_REPEATABLE)
        try:
            answer = await self.ask(account, "request", *question, repeatable=repeatable)
        except Ours:
            return None
        status, headers, body, path = answer
        return Forwarded(status, [(name, value) for name, value in headers], body, path)

    async def ask(self, account: bytes, verb: str, *words: Any, repeatable: bool) -> Any:
        """Ask the account's owner, whoever that is by then.

        Raises: `Ours`; `storage_elsewhere` where nobody can be asked in time; `unavailable` where the owner
        ended, who knows whether before it did what was asked; what the owner answered.
        """
        for pause_s in self._pauses_s:
            await asyncio.sleep(pause_s)
            try:
                owner = await self._placement.owner(account)
            except DatabaseElsewhere:
                continue
            if self._placement.admits(account):
                raise Ours
            try:
                if owner.id != self._placement.me.id:
                    return await (await self._peers.to(owner)).ask(verb, account, *words)
            except Gone as gone:
                if gone.sent and not repeatable:
                    raise EcholiaError("unavailable", "the process that served this account ended") from None
            except EcholiaError as error:
                if error.code != _MOVED:
                    raise
            # It has ended, or hands the account over just now, as this process may: look again.
            self._placement.suspect(owner)
        raise DatabaseElsewhere


class AllDatabases:
    """The databases of all accounts: those of other processes by asking them."""

    def __init__(self, databases: UserDatabases, placement: Placement, handing_over: HandingOver) -> None:
        self._databases = databases
        self._placement = placement
        self._handing_over = handing_over

    def lease(self, account: bytes) -> AbstractAsyncContextManager[Batches]:
        """See `UserDatabases.lease`; without what an owner remembers."""
        if self._placement.here(account):
            return self._databases.lease(account)
        return self._leased(account)

    async def create(self, account: bytes, statements: Sequence[Statement] = ()) -> None:
        """See `UserDatabases.create`."""
        asked = [[statement.sql, list(statement.params)] for statement in statements]
        await self._by_owner(
            account, lambda: self._databases.create(account, statements), "account create", asked
        )

    async def delete(self, account: bytes) -> None:
        """See `UserDatabases.delete`."""
        await self._by_owner(account, lambda: self._databases.delete(account), "account delete")

    @asynccontextmanager
    async def _leased(self, account: bytes) -> AsyncIterator[Batches]:
        async def ask(verb: str, *words: Any) -> Any:
            return await self._handing_over.ask(account, verb, *words, repeatable=True)

        yield RemoteDatabase("account", ask)

    async def _by_owner(
        self, account: bytes, here: Callable[[], Awaitable[None]], verb: str, *words: Any
    ) -> None:
        while True:
            place = self._placement.enter(account, preparing=True)
            if place is not None:
                try:
                    await here()
                    return
                finally:
                    place.leave()
            try:
                # Asked twice it does no harm: the second finds it done.
                await self._handing_over.ask(account, verb, *words, repeatable=True)
                return
            except Ours:
                continue
            except EcholiaError as error:
                failure = said_again(error)
            raise failure


def answering(
    placement: Placement, databases: UserDatabases, gate: ASGIApp, forget: Callable[[bytes], None]
) -> dict[str, Handler]:
    """The verbs by which others ask for what is ours: `gate` answers requests, `forget` drops caches."""

    def placed(work: Callable[..., Awaitable[Any]]) -> Handler:
        async def answer(account: bytes, *words: Any) -> Any:
            place = placement.enter(account)
            if place is None:
                raise DatabaseElsewhere
            try:
                return await work(account, *words)
            finally:
                place.leave()

        return answer

    async def request(_account: bytes, *words: Any) -> list[Any]:
        return await _answered(gate, Question(*words))

    async def batch(account: bytes, asked: list[Any], tx: bool) -> list[Any]:
        async with databases.lease(account) as db:
            return await batched(db, asked, tx=tx)

    async def create(account: bytes, asked: list[Any]) -> None:
        await databases.create(account, [Statement(sql, tuple(params)) for sql, params in asked])

    async def grown(account: bytes) -> None:
        forget(account)

    verbs: dict[str, Callable[..., Awaitable[Any]]] = {
        "request": request,
        "account batch": batch,
        "account create": create,
        "account delete": databases.delete,
        "account grown": grown,
    }
    return {verb: placed(work) for verb, work in verbs.items()}


async def _answered(app: ASGIApp, question: Question) -> list[Any]:
    """Answer a request as if it had arrived here."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": question.method,
        "scheme": "http",
        "path": question.path,
        "raw_path": question.path.encode(),
        "query_string": question.query,
        "root_path": "",
        "headers": [tuple(header) for header in question.headers],
        "client": (question.client, 0) if question.client else None,
        "server": None,
        "state": {},
        HANDED_OVER: question.request_id,
    }
    given = [{"type": "http.request", "body": question.body, "more_body": False}]
    status, headers, parts = 0, [], []

    async def receive() -> Message:
        if given:
            return given.pop()
        await asyncio.get_running_loop().create_future()  # nobody hangs up: who does, gives the question up
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], [list(header) for header in message["headers"]]
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    path = getattr(scope.get("route"), "path", UNMATCHED)
    return [status, headers, b"".join(parts), path]
