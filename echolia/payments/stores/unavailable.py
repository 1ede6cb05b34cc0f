"""A store that does not answer: one error for every way not to, with its reason for the operator."""

from __future__ import annotations

from typing import Literal

from echolia.web.context import Refusal

Reason = Literal["unreachable", "timeout", "overloaded", "failed", "credentials", "malformed"]


class StoreUnavailable(Refusal):
    """`store_unavailable`. `reason` is for the operator and in no answer; nothing the store said is in it."""

    def __init__(self, reason: Reason, retry_after_s: int | None = None) -> None:
        super().__init__("store_unavailable", retry_after_s=retry_after_s)
        self.reason: Reason = reason
