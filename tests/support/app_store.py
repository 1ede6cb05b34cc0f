"""A fake App Store with its authority and responder, and the adapter that asks it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from echolia.fake_stores.app_store import AppStore
from echolia.fake_stores.authority import Authority
from echolia.fake_stores.ocsp import OcspResponder
from echolia.fake_stores.subscription import AppleApp
from echolia.payments.stores.access import AppleAccess


@dataclass(slots=True)
class Clock:
    """Unix milliseconds, moved by hand; it begins now, since certificates are judged by the real time."""

    now_ms: int

    def __call__(self) -> int:
        """Now."""
        return self.now_ms


@dataclass(slots=True)
class AppleWorld:
    """One environment of one app, its store served while `apple_world` lasts."""

    clock: Clock
    responder: OcspResponder
    authority: Authority
    store: AppStore

    def access(self, **changed: object) -> AppleAccess:
        """What the adapter is given."""
        app = self.store.app
        access = AppleAccess(
            app.bundle_id,
            app.app_apple_id,
            self.store.issuer_id,
            self.store.key_id,
            self.store.private_key,
            ("sandbox",) if app.environment == "Sandbox" else ("production",),
            (self.authority.root_der,),
            {"production": self.store.server.url, "sandbox": self.store.server.url},
        )
        return replace(access, **changed)  # type: ignore[arg-type]  # each test gives what fits


@contextmanager
def apple_world(app: AppleApp | None = None) -> Iterator[AppleWorld]:
    """A store of its own."""
    clock = Clock(int(time.time() * 1000))
    responder = OcspResponder()
    with responder.server:
        authority = responder.authority = Authority(responder.server.url)
        store = AppStore(authority, clock, app)
        with store.server:
            yield AppleWorld(clock, responder, authority, store)
