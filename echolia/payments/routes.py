"""Purchases over HTTP (`spec/payments.md`): devices hand receipts over, stores call their webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request

from echolia.payments import models
from echolia.payments.service.assembled import Payments
from echolia.payments.stores.port import StoreName
from echolia.web.asked import Member

_WEBHOOKS: Final[tuple[StoreName, ...]] = ("apple", "google", "sandbox")
# Routes that need no token, and the limit of `echolia.web.limits` that each is charged to.
OPEN: Final[Mapping[tuple[str, str], str]] = {
    ("POST", f"/payments/webhook/{name}"): "webhook" for name in _WEBHOOKS
}
_SIGNED: Final = {
    "requestBody": {
        "required": True,
        "description": "As the store signs it.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    "security": [],
}


def router(payments: Payments) -> APIRouter:
    """The feature's routes."""
    routes = APIRouter(prefix="/payments", tags=["payments"])
    _add_purchases(routes, payments)
    for name in payments.stores:
        _add_webhook(routes, payments, name)
    return routes


def _add_purchases(routes: APIRouter, payments: Payments) -> None:
    purchases = payments.purchases

    @routes.post("/verify-receipt", summary="Hand over what a store gave the device")
    async def verify(body: models.Handed, member: Member) -> models.Subscription:
        return await purchases.verify(member, body)

    @routes.get("/subscription", summary="What this account has for its purchases")
    async def subscription(member: Member) -> models.Subscription:
        return await purchases.subscription(member.account)

    @routes.post("/restore", summary="Have a purchase here that belongs to another account")
    async def restore(body: models.Restore, member: Member) -> models.Subscription:
        return await purchases.restore(member, body)


def _add_webhook(routes: APIRouter, payments: Payments, name: StoreName) -> None:
    @routes.post(
        f"/webhook/{name}",
        status_code=204,
        summary=f"Where the {name} store tells of changes",
        name=f"webhook_{name}",
        openapi_extra=_SIGNED,
    )
    async def webhook(request: Request) -> None:
        await payments.receiving.webhook(name, dict(request.scope["headers"]), await request.body())
