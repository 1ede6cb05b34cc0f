"""What an ask is bound to when it is sealed: time, path, account (`spec/sealed.md#request`)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from echolia.core.ids import b64

MEDIA_TYPE: Final = "application/vnd.echolia.sealed"
MEMBERS: Final = frozenset({"iat_ms", "path", "account", "ask"})


def account_hash(account: bytes) -> bytes:
    """How a sealed request names its account."""
    return sha256(b"echolia/1/sealed-account" + account).digest()


def bound(iat_ms: int, path: str, account: bytes, ask: Mapping[str, Any]) -> dict[str, Any]:
    """An ask, bound to this time, path and account."""
    return {"iat_ms": iat_ms, "path": path, "account": b64(account_hash(account)), "ask": ask}
