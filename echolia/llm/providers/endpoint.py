"""Where a provider is and how long it is waited for."""

from __future__ import annotations

from dataclasses import dataclass, field

from echolia.llm.providers.port import Ability


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider as whoever runs the server names it.

    `base_url` is the provider's own where empty. `lacks` are abilities that this endpoint does not have: a
    compatible one may have fewer than the protocol. Waiting: `connect_s` for a connection (also for a free
    one), `first_byte_s` from the request to the first byte of the answer, `chunk_s` for each further one.
    """

    api_key: str = field(default="", repr=False)
    base_url: str = ""
    lacks: frozenset[Ability] = frozenset()
    connections: int = 100
    connect_s: float = 10.0
    first_byte_s: float = 120.0
    chunk_s: float = 60.0
