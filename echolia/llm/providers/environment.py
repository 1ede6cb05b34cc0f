"""What the SDKs would print, record or send of their own accord, and what keeps them from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.web import quiet

# Read from the sources of the locked versions; `tests/llm/providers/test_environment.py` reads them again.
LEAKING: Final[Mapping[str, str]] = {
    "ANTHROPIC_LOG": "logs requests with their prompts",
    "OPENAI_LOG": "turns the SDK's log on",
    "GOOGLE_GENAI_DEBUG": "turns the SDK's log on",
    "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE": "exports prompts and answers",
    "GOOGLE_GENAI_CLIENT_MODE": "records requests and answers in files",
    "GOOGLE_GENAI_REPLAYS_DIRECTORY": "likewise",
    "GOOGLE_GENAI_REPLAY_ID": "likewise",
    "ANTHROPIC_CUSTOM_HEADERS": "changes what is sent, the key too",
    "OPENAI_CUSTOM_HEADERS": "likewise",
    "SSLKEYLOGFILE": "writes the keys of connections into a file",
}
LOGGERS: Final = ("anthropic", "openai", "google_genai", "google.genai", "google.auth", "httpx2", "httpcore2")


def refuse_leaking_environment(environ: Mapping[str, str]) -> None:
    """Raises: `settings_invalid`, which names the variables by which an SDK would leak, not their values."""
    found = sorted(name for name in LEAKING if environ.get(name))
    if found:
        raise EcholiaError("settings_invalid", "these must not be set: " + ", ".join(found))


def silence() -> None:
    """No logger of the SDKs hands on anything: `anthropic` logs whole prompts at DEBUG."""
    quiet.silence(LOGGERS)
