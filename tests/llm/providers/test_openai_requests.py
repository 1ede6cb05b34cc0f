"""What only OpenAI itself is asked."""

from __future__ import annotations

from echolia.llm.providers.openai import request
from tests.llm.providers.asks import ask


def test_openai_itself_keeps_nothing_and_counts_thinking_into_the_limit() -> None:
    own, compatible = request(ask("openai"), own=True), request(ask("openai"), own=False)
    assert (own["store"], own["max_completion_tokens"]) == (False, 500)
    assert "max_tokens" not in own
    assert compatible["max_tokens"] == 500
    assert not {"store", "max_completion_tokens"} & set(compatible)
