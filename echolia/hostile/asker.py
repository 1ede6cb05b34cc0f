"""Who asks: which device of which account a request is from, as far as it says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from echolia.client.transport import Request
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES, unb64


class Asker(NamedTuple):
    """Who asks, as far as the request says so: ids of 16 bytes, or nothing."""

    account: bytes = b""
    device: bytes = b""


def asker(request: Request) -> Asker:
    """Who a request says it is from: by its access token, or by its body when it has none yet."""
    scheme, _, token = request.authorization.partition(" ")
    if scheme == "Bearer":
        return _named(_claims(token), "sub", "dev")
    return Asker(device=_id(read_object(request.body).get("device"))) if not scheme else Asker()


def _claims(token: str) -> dict[str, Any]:
    try:
        return read_object(unb64(token.split(".")[1]))
    except (EcholiaError, IndexError):
        return {}


def _named(claims: Mapping[str, Any], account: str, device: str) -> Asker:
    return Asker(_id(claims.get(account)), _id(claims.get(device)))


def _id(text: object) -> bytes:
    try:
        return unb64(text, ID_BYTES) if isinstance(text, str) else b""
    except EcholiaError:
        return b""


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in these bytes; {} for anything else."""
    try:
        fields = json.loads(raw)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
