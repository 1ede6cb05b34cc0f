"""Attacks on signing in: challenges that are messages, tokens that are another's, none at all."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from echolia.client.transport import Answer, Request
from echolia.core.ids import b64, unb64
from echolia.core.messages import device_log_message
from echolia.hostile.attack import Attack, codes
from echolia.hostile.exchange import Exchange, document, refusal
from echolia.hostile.lie import Fields, Lie

_CHALLENGE: Final = "POST /auth/challenge"
_TOKEN: Final = "POST /auth/token"  # noqa: S105  # a path
_REFRESH: Final = "POST /auth/refresh"


class _Anew(Lie):
    """Refreshes no tokens, so that devices sign in by a challenge."""

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if exchange.what == _REFRESH:
            return refusal(401, "token_reused")
        return await self.signing_in(exchange)

    async def signing_in(self, exchange: Exchange) -> Answer:
        """What any other request is answered."""
        return await exchange.honest()


class _AnotherPurpose(_Anew):
    """Uses what devices sign to delete the account."""

    async def signing_in(self, exchange: Exchange) -> Answer:
        """See `_Anew.signing_in`."""
        if exchange.what == _TOKEN:
            await self._delete(exchange)
        return await exchange.honest()

    async def _delete(self, exchange: Exchange) -> None:
        signed = exchange.fields()
        proof = {name: signed.get(name) for name in ("challenge", "signature")}
        for book in exchange.records.books.values():
            for token in book.tokens.values():
                body = json.dumps({"confirm": b64(book.account), **proof}).encode()
                await exchange.honest(Request("DELETE", "/auth/account", body, authorization=token))


class _AMessage(_Anew):
    """Gives out as challenge the bytes that would sign a device log entry."""

    async def signing_in(self, exchange: Exchange) -> Answer:
        """See `_Anew.signing_in`."""
        if exchange.what != _CHALLENGE:
            return await exchange.honest()
        return document({"challenge": b64(device_log_message(exchange.dice(200))), "expires_in": 60})


class _Spent(_Anew):
    """Gives out a challenge that some device has signed before."""

    async def signing_in(self, exchange: Exchange) -> Answer:
        """See `_Anew.signing_in`."""
        given = (kept[0] for (_, what), kept in exchange.records.answers.items() if what == _CHALLENGE)
        spent = next(given, None) if exchange.what == _CHALLENGE else None
        return spent or await exchange.honest()


class _Anothers(_Anew):
    """Gives a device tokens of another device of its account."""

    async def signing_in(self, exchange: Exchange) -> Answer:
        """See `_Anew.signing_in`."""
        answer = await exchange.honest()
        if exchange.what != _TOKEN or answer.status != 200:
            return answer
        own = json.loads(answer.body)
        for (device, what), given in exchange.records.answers.items():
            if what == _TOKEN and device != unb64(own["device"]):
                others = json.loads(given[-1].body)
                if others["account"] == own["account"]:
                    return document({**others, "device": own["device"]})
        return answer


class _NoneAreGood(Lie):
    """Says of every token that it has expired."""

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if exchange.request.authorization.startswith("Bearer "):
            return refusal(401, "token_expired")
        return await exchange.honest()


def _nothing(fields: dict[str, Any], exchange: Exchange) -> None:
    fields.update(access="", refresh="")


ATTACKS: Final = (
    Attack(
        "challenge-for-another-purpose", "uses the signature over a challenge to delete the account",
        _AnotherPurpose, ends=codes("server_unreachable"),
        why="a signature is for one purpose, which its message begins with",
    ),
    Attack(
        "challenge-is-a-message", "gives out as challenge what would sign a device log entry",
        _AMessage, ends=codes("server_invalid"), why="a challenge of another length is not signed",
    ),
    Attack(
        "challenge-spent", "gives out a challenge that was signed before",
        _Spent, ends=codes("server_unreachable"), why="nobody signs in by it twice",
    ),
    Attack(
        "tokens-of-another", "gives a device the tokens of another one",
        _Anothers, ends=codes("server_invalid signature_invalid token_expired"),
        why="what counts is signed by devices; the next sign-in brings the right ones",
    ),
    Attack(
        "tokens-refused", "says of every token that it has expired",
        _NoneAreGood, ends=codes("server_unreachable"), why="it is being offline",
    ),
    Attack(
        "tokens-empty", "gives out tokens that are none",
        partial(Fields, _REFRESH, _nothing), ends=codes("server_invalid token_expired"),
        why="the answer is dropped, and an honest one is taken later",
    ),
)  # fmt: skip
