"""What the table asks, asked once for a million tokens, is what it asks each time."""

from __future__ import annotations

from decimal import ROUND_CEILING
from typing import Final

import pytest
from genai_prices import Usage as Counted
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.errors import EcholiaError
from echolia.llm.prices import MICRO, table_price
from echolia.llm.providers.port import Usage

# The last two of them cost more for long requests.
MODELS: Final = (
    ("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("anthropic", "claude-3-5-haiku-latest"),
    ("google", "gemini-2.0-flash"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-pro"),
)  # fmt: skip
COUNTS: Final = st.integers(0, 1_000_000)


@given(st.sampled_from(MODELS), COUNTS, COUNTS, COUNTS, COUNTS)
def test_it_is_what_the_table_itself_makes_of_it(
    named: tuple[str, str], fresh: int, cached: int, written: int, output: int
) -> None:
    kind, model = named
    counted = Counted(
        input_tokens=fresh + cached + written,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )
    told = MICRO * calc_price(counted, model, provider_id=kind).total_price
    priced = table_price(kind, model).cost(Usage(fresh + cached + written, output, cached, written))
    assert priced == int(told.to_integral_value(ROUND_CEILING))


def test_a_long_request_may_cost_more_for_each_token() -> None:
    cost = table_price("google", "gemini-2.5-pro").cost
    assert cost(Usage(1_000_000, 0)) > 10 * cost(Usage(100_000, 0))


def test_an_unknown_model_is_not_free() -> None:
    with pytest.raises(EcholiaError) as refused:
        table_price("openai", "no-such-model-1")
    assert refused.value.code == "settings_invalid"
