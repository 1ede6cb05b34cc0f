"""A fake Google Play with Pub/Sub before it, and what the adapter is given of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from echolia.fake_stores.google_play import GooglePlay
from echolia.fake_stores.pubsub import PubSub, Pushed, play_notification
from echolia.payments.stores.access import GoogleAccess
from tests.support.app_store import Clock


@dataclass(slots=True)
class GoogleWorld:
    """One app, its store served while `google_world` lasts."""

    clock: Clock
    play: GooglePlay
    pubsub: PubSub

    def access(self, **changed: object) -> GoogleAccess:
        """What the adapter is given."""
        access = GoogleAccess(
            self.play.package_name,
            self.play.service_account,
            self.pubsub.subscription,
            self.pubsub.audience,
            self.pubsub.email,
            self.play.server.url,
            self.play.certs_url,
        )
        return replace(access, **changed)  # type: ignore[arg-type]  # each test gives what fits

    def renewed(self, token: str, kind: int = 2, message_id: str = "") -> Pushed:
        """A push about a subscription."""
        about = {"version": "1.0", "notificationType": kind, "purchaseToken": token}
        told = play_notification(self.play.package_name, self.clock(), subscriptionNotification=about)
        return self.pubsub.push(told, message_id=message_id)


@contextmanager
def google_world() -> Iterator[GoogleWorld]:
    """A store of its own."""
    clock = Clock(int(time.time() * 1000))
    play = GooglePlay(clock)
    with play.server:
        yield GoogleWorld(clock, play, PubSub(play.keys))
