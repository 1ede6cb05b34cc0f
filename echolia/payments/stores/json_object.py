"""A body that should be one JSON object."""

from __future__ import annotations

import json

from echolia.payments.stores.fields import Malformed


def json_object(body: bytes) -> dict[str, object]:
    """Raises: `Malformed`."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Malformed
    return found
