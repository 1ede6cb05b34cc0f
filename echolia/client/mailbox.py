"""A pairing's mailbox as one side uses it: put a sealed message, wait for the other's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from echolia.client.environment import Environment
from echolia.client.session import Refused, Session, bytes_of
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.e2ee.pairing import Code, Side

_WAIT_S: Final = 20
_MOST_WAITS: Final = 8  # more than a mailbox lives
_ENDED: Final = {"unauthorized", "invalid_request", "device_log_conflict"}


class Mailbox:
    """One side's end of a mailbox. Everything raises `pairing_failed` when the pairing is over.

    Where it is known why, that is `pairing_expired` or `pairing_taken`.
    """

    def __init__(self, session: Session, code: Code, side: Side, environment: Environment) -> None:
        self._session, self._code, self._side = session, code, side
        self._environment = environment

    async def put(self, n: int, contents: Mapping[str, Any]) -> None:
        """Put this side's message `n`."""
        sealed = self.sealed(n, contents)
        await self._ask("POST", "/messages", {"side": self._side, "n": n, "message": b64(sealed)})

    def sealed(self, n: int, contents: Mapping[str, Any]) -> bytes:
        """This side's message `n` as it travels."""
        return self._code.seal(self._side, n, contents, self._environment.dice)

    async def take(self, n: int) -> dict[str, Any]:
        """The other side's message `n`, waited for while the mailbox lives."""
        other: Side = "guest" if self._side == "owner" else "owner"
        for _ in range(_MOST_WAITS):
            answer = await self._ask("GET", f"/messages?side={self._side}&n={n}&wait={_WAIT_S}", None)
            if answer:
                return self._code.open(other, n, bytes_of(answer, "message"))
        raise EcholiaError("pairing_expired", "the other device did not answer in time")

    async def confirm(self, body: Mapping[str, Any]) -> None:
        """Add the device: what the owner's side ends with."""
        await self._ask("POST", "/confirm", body)

    async def close(self) -> None:
        """Give the pairing up, if it is still open."""
        try:
            await self._ask("DELETE", "", None)
        except EcholiaError:
            return  # it ends by itself within two minutes

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        path = f"/auth/pair-device/{b64(self._code.mailbox)}{path}"
        try:
            if self._side == "owner":
                return await self._session.ask(method, path, body)
            token = f"Mailbox {b64(self._code.token())}"
            return await self._session.open(method, path, body, authorization=token)
        except Refused as refused:
            raise self._meaning(refused) from None

    def _meaning(self, refused: Refused) -> EcholiaError:
        match refused.code:
            case "mailbox_unknown":
                return EcholiaError("pairing_expired")
            case "mailbox_full":
                # Of the owner it is another one under a number of its own, which only a fault brings about.
                return EcholiaError("pairing_taken" if self._side == "guest" else "pairing_failed")
            case code if code in _ENDED:
                return EcholiaError("pairing_failed", code)
        return refused
