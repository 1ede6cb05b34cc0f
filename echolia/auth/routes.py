"""Auth over HTTP (`spec/auth.md`, `spec/pairing.md`): who may ask and what for; the services decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from echolia.auth import models
from echolia.auth.service import Auth
from echolia.core.errors import EcholiaError
from echolia.core.ids import unb64
from echolia.web.asked import Member, asked
from echolia.web.context import Caller
from echolia.web.wire import Id

# Routes that need no token, and the limit of `echolia.web.limits` that each is charged to.
OPEN: Final[Mapping[tuple[str, str], str]] = {
    ("POST", "/auth/register"): "register",
    ("POST", "/auth/challenge"): "challenge",
    ("POST", "/auth/token"): "token",
    ("POST", "/auth/refresh"): "refresh",
    ("POST", "/auth/recovery"): "token",
    ("POST", "/auth/recovery/devices"): "token",
}
# One process counts these, and sets and takes the puzzles.
ONE_PLACE: Final = frozenset({("POST", "/auth/register")})
_SCHEME: Final = "mailbox "


def router(auth: Auth) -> APIRouter:
    """The feature's routes."""
    routes = APIRouter(prefix="/auth", tags=["auth"])
    _add_sign_in(routes, auth)
    _add_account(routes, auth)
    _add_pairing(routes, auth)
    _add_recovery(routes, auth)
    return routes


def _add_sign_in(routes: APIRouter, auth: Auth) -> None:
    @routes.post("/register", status_code=201, summary="Make an account")
    async def register(body: models.Register) -> models.Registered:
        return await auth.accounts.register(body)

    @routes.post("/challenge", summary="Ask for a challenge")
    async def challenge(body: models.ChallengeWish) -> models.Challenge:
        return await auth.sign_ins.challenge(body.device)

    @routes.post("/token", summary="Sign in with a signed challenge")
    async def token(body: models.SignIn) -> models.Tokens:
        return await auth.sign_ins.token(body)

    @routes.post("/refresh", summary="Get the next pair of tokens")
    async def refresh(body: models.Refresh) -> models.Tokens:
        return await auth.sign_ins.refresh(body)


def _add_account(routes: APIRouter, auth: Auth) -> None:
    @routes.get("/devices", summary="Devices and the device log")
    async def devices(member: Member, after: Annotated[int, Query(ge=0, lt=2**53)] = 0) -> models.Devices:
        return await auth.membership.list(member, after)

    @routes.post("/devices", status_code=204, summary="Add a device without a mailbox")
    async def add(body: models.AddDevice, member: Member) -> None:
        await auth.membership.add(member, body)

    @routes.delete("/device/{id}", status_code=204, summary="Revoke a device")
    async def revoke(id: Id, body: models.LogEntry, member: Member) -> None:
        await auth.membership.revoke(member, id, body)

    @routes.post("/device/{id}/confirm", status_code=204, summary="Say that a new device belongs here")
    async def confirm(id: Id, body: models.LogEntry, member: Member) -> None:
        await auth.membership.confirm(member, id, body)

    @routes.post("/rotate", status_code=204, summary="Begin the next generation of the account key")
    async def rotate(body: models.Rotation, member: Member) -> None:
        await auth.membership.rotate(member, body)

    @routes.get("/key-boxes", summary="The account's key boxes")
    async def key_boxes(member: Member, recipient: models.Recipient | None = None) -> models.SignedKeyBoxes:
        return await auth.membership.key_boxes(member, recipient)

    @routes.delete("/account", status_code=204, summary="Delete the account, for good")
    async def delete(body: models.Deletion, member: Member) -> None:
        await auth.accounts.delete(member, body)


def _add_recovery(routes: APIRouter, auth: Auth) -> None:
    @routes.post("/recovery", summary="What a recovery phrase opens, for a signed challenge")
    async def recovery(body: models.SignIn) -> models.Recovered:
        return await auth.recovery.account(body)

    @routes.post("/recovery/devices", status_code=204, summary="Add a device by the recovery phrase")
    async def add_recovered(body: models.RecoveredDevice) -> None:
        await auth.recovery.add(body)


async def _side(request: Request) -> tuple[Caller | None, bytes | None]:
    """Who stands at a mailbox: a member, or a guest by its token; raises what refused the member."""
    authorization = request.headers.get("authorization", "")
    if authorization[: len(_SCHEME)].lower() == _SCHEME:
        try:
            return None, unb64(authorization[len(_SCHEME) :].strip(), 32)
        except EcholiaError:
            raise EcholiaError("unauthorized") from None
    known = asked(request)
    if known.caller is None:
        raise known.refusal or EcholiaError("unauthorized")
    return known.caller, None


Standing = Annotated[tuple[Caller | None, bytes | None], Depends(_side)]


def _add_pairing(routes: APIRouter, auth: Auth) -> None:
    pairing = auth.pairing

    @routes.post("/pair-device", status_code=201, summary="Open a mailbox for a new device")
    async def open_mailbox(body: models.OpenMailbox, member: Member) -> models.Mailbox:
        return await pairing.open(member, body.token_hash)

    @routes.post("/pair-device/{id}/messages", status_code=204, summary="Put a sealed message")
    async def put(id: Id, body: models.Posted, who: Standing) -> None:
        await pairing.admit(id, body.side, *who)
        await pairing.put(id, body)

    @routes.get(
        "/pair-device/{id}/messages",
        summary="Wait for the other side's message",
        response_model=models.Received,
        responses={204: {"description": "It did not come."}},
    )
    async def take(
        id: Id,
        who: Standing,
        side: models.Side,
        n: Annotated[int, Query(ge=0, le=2)],
        wait: Annotated[float, Query(ge=0, le=25)] = 0,
    ) -> models.Received | Response:
        await pairing.admit(id, side, *who)
        return await pairing.take(id, side, n, wait) or Response(status_code=204)

    @routes.post("/pair-device/{id}/confirm", status_code=204, summary="Add the device")
    async def confirm(id: Id, body: models.Confirm, member: Member) -> None:
        await pairing.confirm(member, id, body)

    @routes.delete("/pair-device/{id}", status_code=204, summary="Give the pairing up")
    async def close(id: Id, member: Member) -> None:
        await pairing.close(member, id)
