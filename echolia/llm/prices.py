"""What an answer costs, in millionths of a dollar: by the operator's own prices, or by a pinned table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.llm.providers.port import Usage

MICRO: Final = 1_000_000
# The table's own names of the providers whose kinds have other names here.
_PROVIDERS: Final = {"openai": "openai", "anthropic": "anthropic", "google": "google"}
OWN: Final = "own"

Cost = Callable[[Usage], int]


@dataclass(frozen=True, slots=True)
class Price:
    """How to price an answer of a model, and which table says so: kept with what was charged."""

    cost: Cost
    table: str


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """Dollars for a million tokens; `cached` and `written` are those of `input` where they are not given."""

    input: float
    output: float
    cached: float | None = None
    written: float | None = None

    def __call__(self, usage: Usage) -> int:
        """Millionths of a dollar, rounded up."""
        fresh = usage.input - usage.cached - usage.written
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.written is None else self.written
        shares = ((fresh, self.input), (usage.cached, cached), (usage.written, written))
        priced = (*shares, (usage.output, self.output))
        total = sum(Decimal(tokens) * Decimal(str(price)) for tokens, price in priced)
        return int(Decimal(total).to_integral_value(ROUND_CEILING))


def own_price(price: OwnPrice) -> Price:
    """What the operator says."""
    return Price(price, OWN)


def table_price(kind: str, model: str) -> Price:
    """What the pinned table says, by `genai-prices`; it is never fetched anew.

    Raises: `settings_invalid`: an unknown model is not free.
    """
    from genai_prices import Usage as Counted  # noqa: PLC0415  # a third of a second, and only where it is used
    from genai_prices import calc_price  # noqa: PLC0415

    def cost(usage: Usage) -> int:
        counted = Counted(
            input_tokens=usage.input,
            cache_read_tokens=usage.cached,
            cache_write_tokens=usage.written,
            output_tokens=usage.output,
        )
        total = calc_price(counted, model, provider_id=_PROVIDERS[kind]).total_price
        return int((total * MICRO).to_integral_value(ROUND_CEILING))

    try:
        cost(Usage(1, 1))
    except (LookupError, ValueError):
        known = False
    else:
        known = True
    if not known:
        raise EcholiaError(
            "settings_invalid", f"the price of {model} is not known: give it in the file of models"
        )
    return Price(cost, f"genai-prices {version('genai-prices')}")
