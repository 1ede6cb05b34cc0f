"""The operator, and the transport through which its server is reached."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import replace

from echolia.client.transport import Answer, Request, Transport
from echolia.hostile.asker import asker, read_object
from echolia.hostile.attack import Attack
from echolia.hostile.exchange import Ask, Exchange
from echolia.hostile.lie import Lie
from echolia.hostile.records import Records


class Operator:
    """Who runs the server that hostile transports lead to: honest, until an attack begins and after it ends.

    `lies` counts the answers so far that were not the honest server's to that very request. `dice` are for
    keys of its own; a test gives seeded ones.
    """

    def __init__(self, dice: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self.records, self.lies = Records(), 0
        self._dice = dice
        self._lie, self._against = Lie(), frozenset[bytes]()

    def begin(self, attack: Attack, against: Iterable[str] = ()) -> None:
        """Lie from now on: to these devices (ids as the SDK gives them), or to every device."""
        self._lie, self._against = attack.lie(), frozenset(map(bytes.fromhex, against))

    def end(self) -> None:
        """Be honest again."""
        self._lie, self._against = Lie(), frozenset()

    async def answer(self, request: Request, ask: Ask) -> Answer:
        """What the asker of a request is answered; `ask` asks the honest server."""
        who = asker(request)
        exchange = Exchange(request, who, self.records, self._against, self._dice, ask)
        try:
            answer = await self._meant(who.device).answer(exchange)
        finally:
            self.lies += not exchange.asked
        for asked, honest in exchange.passed:
            if asked is request and honest.status < 300:
                self.records.note(who, request, honest)
        self.lies += bool(exchange.asked) and not _honest(request, answer, exchange.passed)
        return answer

    def lines(self, request: Request, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """What a device that listens hears, given what the honest server says."""
        lie = self._meant(asker(request).device)
        self.lies += type(lie).lines is not Lie.lines
        return lie.lines(lines)

    def _meant(self, device: bytes) -> Lie:
        return self._lie if not self._against or device in self._against else Lie()


def _honest(request: Request, answer: Answer, passed: list[tuple[Request, Answer]]) -> bool:
    """Whether this is what the honest server said to this request and to nothing else."""
    if len(passed) != 1 or passed[0][0] != request:
        return False
    said = passed[0][1]
    if read_object(said.body) and read_object(said.body) == read_object(answer.body):
        return replace(answer, body=said.body) == said
    return answer == said


class HostileTransport:
    """A `Transport` to an honest server, by way of its operator; several may share one operator."""

    def __init__(self, honest: Transport, operator: Operator) -> None:
        self._honest, self._operator = honest, operator

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        return await self._operator.answer(request, self._honest.ask)

    def lines(self, request: Request) -> AsyncIterator[str]:
        """See `Transport.lines`."""
        return self._operator.lines(request, self._honest.lines(request))

    def pieces(self, request: Request) -> AsyncGenerator[Answer | bytes, None]:
        """See `Transport.pieces`; what models are asked is not what an operator's database could forge."""
        return self._honest.pieces(request)

    async def close(self) -> None:
        """See `Transport.close`."""
        await self._honest.close()
