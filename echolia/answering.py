"""Puts together what answers sealed asks: models, embeddings, and the door to both."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from echolia.embeddings.service import EmbeddingService, open_embeddings
from echolia.llm.catalogue import open_catalogue
from echolia.llm.meter import EmbeddingMeter
from echolia.llm.providers.choice import make
from echolia.llm.service import LlmService
from echolia.llm.trying import Trying
from echolia.payments.service.entitlements import PaidTiers
from echolia.settings import Settings
from echolia.storage.engine import Database
from echolia.storage.together import Together
from echolia.web.context import Dice
from echolia.web.sealed_door import SealedDoor, Sealing, load_identity, sealing_alone


class Answering(NamedTuple):
    """The llm feature, the embeddings feature, and what opens the asks of both."""

    service: LlmService
    embeddings: EmbeddingService
    door: SealedDoor


def open_answering(
    stack: AsyncExitStack,
    settings: Settings,
    directory: Database,
    tiers: PaidTiers,
    clock_ms: Callable[[], int],
    dice: Dice,
    sealing: Sealing | None,
) -> Answering:
    """Both features, until the stack ends. Raises: `settings_invalid`, `model_damaged`."""
    trying = Trying(open_catalogue(settings.models, make), time.monotonic)
    service = LlmService(directory, tiers, trying, clock_ms, dice, settings.llm_seconds)
    stack.push_async_callback(service.close)
    # Short texts come many at a time, and take less than a commit does. Asks go on one by one: many that are
    # sent in the same moment keep everybody else waiting.
    counted = Together(directory)
    embeddings = open_embeddings(settings, tiers, EmbeddingMeter(counted, clock_ms, dice))
    stack.push_async_callback(embeddings.close)
    identity = load_identity(settings.data / "keys" / "sealed")
    sealing = sealing or sealing_alone(clock_ms, dice)
    return Answering(service, embeddings, SealedDoor(sealing, identity, clock_ms, dice))
