"""What the gate found out about a request before the framework sees it, and how a route asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Security
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from echolia.core.errors import EcholiaError
from echolia.web.context import Caller

SCOPE_KEY: Final = "echolia"
_SCHEME: Final = HTTPBearer(
    bearerFormat="JWT",
    scheme_name="AccessToken",
    description="an access token: spec/auth.md",
    auto_error=False,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The request's id, and its caller or why there is none."""

    request_id: str
    caller: Caller | None = None
    refusal: EcholiaError | None = None


def asked(connection: HTTPConnection) -> Asked:
    """What the gate found out about this request."""
    found: Any = connection.scope[SCOPE_KEY]
    assert isinstance(found, Asked)
    return found


def member_of(connection: HTTPConnection) -> Caller:
    """The device that asks; raises `unauthorized`, `token_expired`, `device_revoked`, `account_unknown`."""
    known = asked(connection)
    if known.caller is None:
        raise known.refusal or EcholiaError("unauthorized")
    return known.caller


# A coroutine, though it waits for nothing: the framework sends plain functions through a thread.
async def _member(connection: HTTPConnection, _scheme: Annotated[object, Security(_SCHEME)]) -> Caller:
    return member_of(connection)


# A route's parameter of this type makes it a members' route, in the OpenAPI document too.
Member = Annotated[Caller, Depends(_member)]
