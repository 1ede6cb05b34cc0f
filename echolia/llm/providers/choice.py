"""Which provider a name means; each SDK is loaded when a provider of its kind is made, and not before."""

from __future__ import annotations

from typing import Literal

from echolia.core.errors import EcholiaError
from echolia.llm.providers.echo import EchoProvider
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.port import Provider

Kind = Literal["echo", "anthropic", "openai", "google"]


def make(kind: Kind, endpoint: Endpoint) -> Provider:
    """A provider of that kind at that endpoint. Raises: `settings_invalid` where its SDK is not installed."""
    try:
        return _made(kind, endpoint)
    except ImportError as error:
        missing = 'models\' providers need an extra: pip install "echolia[llm]"'
        raise EcholiaError("settings_invalid", missing) from error


def _made(kind: Kind, endpoint: Endpoint) -> Provider:
    match kind:
        case "anthropic":
            from echolia.llm.providers.anthropic import AnthropicProvider  # noqa: PLC0415  # who has one pays

            return AnthropicProvider(endpoint)
        case "openai":
            from echolia.llm.providers.openai import OpenAIProvider  # noqa: PLC0415

            return OpenAIProvider(endpoint)
        case "google":
            from echolia.llm.providers.google import GoogleProvider  # noqa: PLC0415

            return GoogleProvider(endpoint)
        case "echo":
            return EchoProvider(endpoint)
