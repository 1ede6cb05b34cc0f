"""What a crash reporter that collects local variables would send, and whether a secret is in it."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path
from traceback import StackSummary, TracebackException

PACKAGE = str(Path(__file__).resolve().parents[2] / "echolia")


def report(error: BaseException) -> str:
    """The traceback with local variables, of the package's frames alone: a test holds what it looks for."""
    whole = TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in whole.stack if frame.filename.startswith(PACKAGE)]
    return "".join([*StackSummary.from_list(frames).format(), *whole.format_exception_only()])


def leaked(text: str, secrets: Iterable[bytes]) -> list[bytes]:
    """Those of these secrets that a text shows in any spelling."""
    return [secret for secret in secrets if any(spelling in text for spelling in _spellings(secret))]


def _spellings(secret: bytes) -> list[str]:
    whole = [
        secret.hex(),
        secret.hex().upper(),
        b64encode(secret).decode(),
        urlsafe_b64encode(secret).decode(),
    ]
    # A part is enough, for reports cut what is long; and an escape is one character too many to search for.
    return [*(each[:20] for each in whole), repr(secret)[2:22], str(list(secret))[1:30]]
