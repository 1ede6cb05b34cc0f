"""A session with a server: signed in when needed, retried when it helps, answers checked for their form."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from echolia.client.environment import Environment
from echolia.client.transport import Answer, Request, Transport
from echolia.core.errors import CODES, NEVER_ANSWERED, EcholiaError
from echolia.core.ids import b64, unb64
from echolia.core.messages import login_message
from echolia.e2ee.keys import KeyPairs

_ATTEMPTS: Final = 5
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 20.0
_EARLY_MS: Final = 30_000
_TOKEN: Final = re.compile(r"[!-~]{1,8192}")
_LONGEST_TOKEN_S: Final = 366 * 86_400
_CHALLENGES: Final = 4
_CHALLENGE_BYTES: Final = 32
_SIGN_INS: Final = 2
_RETRIED: Final = {
    "rate_limited",
    "unavailable",
    "internal",
    "storage_busy",
    "body_too_slow",
    "listeners_full",
}
# What a proxy in between may answer, which knows no codes.
_BY_STATUS: Final = {
    413: "body_too_large",
    429: "unavailable",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
    507: "storage_full",
}
_SIGN_IN_AGAIN: Final = {"unauthorized", "token_expired", "token_reused"}

# The last answer that this task's device was given, should it turn out to be evidence.
ANSWERED: Final = ContextVar("answered", default=b"")


class Refused(EcholiaError):
    """An error that the server answered; `members` are further members of its document.

    `retry_after_s` is how long it asks to wait, 0 if it does not say.
    """

    def __init__(
        self, code: str, detail: str, members: Mapping[str, Any], retry_after_s: float = 0.0
    ) -> None:
        super().__init__(code, detail)
        self.members = members
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in gave; `expires_ms` by this device's clock."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_ms: int

    @property
    def bearer(self) -> str:
        """The header that speaks for whom they were given to."""
        return f"Bearer {self.access}"

    @classmethod
    def of(cls, fields: Mapping[str, Any], now_ms: int) -> Tokens:
        """The tokens in a server's answer; raises `server_invalid`."""
        access, refresh, expires_in = (fields.get(name) for name in ("access", "refresh", "expires_in"))
        if not (isinstance(access, str) and isinstance(refresh, str) and type(expires_in) is int):
            raise EcholiaError("server_invalid", "expected tokens")
        if not all(map(_TOKEN.fullmatch, (access, refresh))) or not 0 <= expires_in <= _LONGEST_TOKEN_S:
            raise EcholiaError("server_invalid", "expected tokens")
        return cls(access, refresh, now_ms + expires_in * 1000)


class TokenStore(Protocol):
    """Where tokens stay between sessions."""

    async def load(self) -> Tokens | None:
        """The tokens that were kept last."""

    async def keep(self, tokens: Tokens) -> None:
        """Keep these instead."""


class MemoryTokens:
    """Tokens for as long as the process lives."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None

    async def load(self) -> Tokens | None:
        """See `TokenStore`."""
        return self._tokens

    async def keep(self, tokens: Tokens) -> None:
        """See `TokenStore`."""
        self._tokens = tokens


class Session:
    """Asks one server on behalf of one device. Everything it asks may be asked twice without harm."""

    def __init__(
        self, transport: Transport, keys: KeyPairs, tokens: TokenStore, environment: Environment
    ) -> None:
        self.transport, self._keys, self._tokens = transport, keys, tokens
        self._environment = environment
        self._signing_in = asyncio.Lock()

    def become(self, keys: KeyPairs) -> None:
        """Speak for another device from now on: the one that this one's new identity is."""
        self._keys = keys

    async def open(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, authorization: str = ""
    ) -> dict[str, Any]:
        """Ask where the device's token is not wanted; gives the JSON answer ({} for none)."""
        return _object(await self._retried(_with(_request(method, path, body), authorization)))

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask as the device; gives the JSON answer ({} for none). Raises what the server refused with."""
        return _object(await self._as_device(_request(method, path, body)))

    async def push(self, path: str, body: bytes, content_type: str) -> dict[str, Any]:
        """Send bytes as the device; gives the JSON answer."""
        return _object(await self._as_device(Request("POST", path, body, content_type, timeout_s=120)))

    async def pull(self, path: str, body: Mapping[str, Any], accept: str) -> bytes:
        """Ask as the device for bytes."""
        request = Request("POST", path, json.dumps(body).encode(), accept=accept, timeout_s=120)
        return (await self._as_device(request)).body

    async def stream(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Ask as the device for an answer as it arrives; once, but for signing in. Raises what it is refused
        with.
        """
        tokens = await self._current()
        for _ in range(_SIGN_INS + 1):
            async with aclosing(self.transport.pieces(_with(request, tokens.bearer))) as pieces:
                head = await anext(pieces)
                assert isinstance(head, Answer)
                if head.status == 200:
                    async for piece in pieces:
                        assert isinstance(piece, bytes)
                        yield piece
                    return
            refused = _refused(head)
            if refused.code not in _SIGN_IN_AGAIN:
                raise refused
            tokens = await self._sign_in(tokens)
        raise EcholiaError("server_unreachable", "it refuses the tokens that it has just given")

    async def dated(self, method: str, path: str) -> tuple[dict[str, Any], int]:
        """Ask as the device; gives the JSON answer, and the server's time in ms since 1970 or 0."""
        answer = await self._as_device(_request(method, path, None))
        return _object(answer), answer.date_ms

    async def authorization(self) -> str:
        """The header that speaks for the device."""
        return (await self._current()).bearer

    async def _current(self) -> Tokens:
        tokens = await self._tokens.load()
        if tokens is None or tokens.expires_ms - _EARLY_MS <= self._environment.now_ms():
            tokens = await self._sign_in(tokens)
        return tokens

    async def keep(self, fields: Mapping[str, Any]) -> None:
        """Keep the tokens that an answer brought."""
        await self._tokens.keep(Tokens.of(fields, self._environment.now_ms()))

    async def fresh_challenge(self) -> bytes:
        """A challenge to sign."""
        answer = await self.open("POST", "/auth/challenge", {"device": b64(self._keys.device)})
        return bytes_of(answer, "challenge", _CHALLENGE_BYTES)

    async def _as_device(self, request: Request) -> Answer:
        answer = await self._admitted(request)
        ANSWERED.set(answer.body)
        return answer

    async def _admitted(self, request: Request) -> Answer:
        tokens = await self._current()
        for _ in range(_SIGN_INS + 1):
            try:
                return await self._retried(_with(request, tokens.bearer))
            except Refused as refused:
                if refused.code not in _SIGN_IN_AGAIN:
                    raise
            # A refresh that the network delivers twice ends the tokens it gave: a challenge gives others.
            tokens = await self._sign_in(tokens)
        raise EcholiaError("server_unreachable", "it refuses the tokens that it has just given")

    async def _sign_in(self, former: Tokens | None) -> Tokens:
        async with self._signing_in:
            tokens = await self._tokens.load()
            if tokens is not None and tokens != former:
                return tokens  # somebody else did it while this one waited
            fields = await self._refreshed(tokens) if tokens else None
            if fields is None or fields.get("device") != b64(self._keys.device):
                # What the former tokens were exchanged for may be another device's: then they were, too.
                fields = await self._challenged()
            fresh = Tokens.of(fields, self._environment.now_ms())
            await self._tokens.keep(fresh)
            return fresh

    async def _refreshed(self, former: Tokens) -> dict[str, Any] | None:
        try:
            return await self.open("POST", "/auth/refresh", {"refresh": former.refresh})
        except Refused as refused:
            if refused.code in {"device_revoked", "account_unknown"}:
                raise
            return None

    async def _challenged(self) -> dict[str, Any]:
        for _ in range(_CHALLENGES):
            try:
                return await self._challenged_once()
            except Refused as refused:
                if refused.code != "challenge_invalid":
                    raise
            # The answer to a signed challenge was lost, and asking again found it spent.
        raise EcholiaError("server_unreachable", "signing in does not come through")

    async def _challenged_once(self) -> dict[str, Any]:
        device, challenge = self._keys.device, await self.fresh_challenge()
        signature = self._keys.sign(login_message(device, challenge))
        asked = {"device": b64(device), "challenge": b64(challenge), "signature": b64(signature)}
        try:
            return await self.open("POST", "/auth/token", asked)
        except Refused as refused:
            if refused.code != "signature_invalid":
                raise
            # A server says so of devices it does not know, and this device's own signature is right.
            raise Refused("account_unknown", refused.detail, {}) from None

    async def _retried(self, request: Request) -> Answer:
        wait_s = _FIRST_WAIT_S
        for attempt in range(_ATTEMPTS):
            answer = await self._attempt(request)
            if answer is not None and answer.status < 300:
                return answer
            refused = None if answer is None else _refused(answer)
            if refused is not None and refused.code not in _RETRIED:
                raise refused
            asked_s = 0.0 if answer is None else answer.retry_after_s
            if attempt + 1 == _ATTEMPTS or asked_s > _LONGEST_WAIT_S:
                break
            await self._environment.sleep(max(asked_s, wait_s * (0.5 + self._environment.jitter())))
            wait_s *= 2
        if refused is not None and refused.code == "rate_limited":
            raise refused  # the server is there, and has said for how long it is not to be asked
        raise EcholiaError("server_unreachable", "" if refused is None else refused.code)

    async def _attempt(self, request: Request) -> Answer | None:
        try:
            return await self.transport.ask(request)
        except EcholiaError as error:
            if error.code != "server_unreachable":
                raise
            return None


def _request(method: str, path: str, body: Mapping[str, Any] | None) -> Request:
    return Request(method, path, b"" if body is None else json.dumps(body).encode())


def _with(request: Request, authorization: str) -> Request:
    return replace(request, authorization=authorization)


def _object(answer: Answer) -> dict[str, Any]:
    if answer.status == 204 or not answer.body:
        return {}
    try:
        fields = json.loads(answer.body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise EcholiaError("server_invalid", "expected a JSON object")
    return fields


def _refused(answer: Answer) -> Refused:
    """The error of an answer; a server's words are not repeated, only codes that are known."""
    if answer.status < 400:
        raise EcholiaError("server_invalid", f"unexpected status {answer.status}")
    try:
        fields = _object(answer)
    except EcholiaError:
        fields = {}
    code = fields.pop("code", None)
    told, after_s = f"the server answered {answer.status}", answer.retry_after_s
    if isinstance(code, str) and code in CODES and code not in NEVER_ANSWERED:
        return Refused(code, told, fields, after_s)
    if answer.status in _BY_STATUS:
        return Refused(_BY_STATUS[answer.status], told, {}, after_s)
    return Refused("server_invalid", f"{told} without a known code", {})


def bytes_of(fields: Mapping[str, Any], name: str, length: int | None = None) -> bytes:
    """The bytes in a member of a server's JSON; raises `server_invalid`."""
    value = fields.get(name)
    try:
        return unb64(value if isinstance(value, str) else "=", length)
    except EcholiaError:
        raise EcholiaError("server_invalid", f"expected bytes in {name}") from None
