"""What an answer costs, in millionths of a dollar: by the operator's own prices, or by a pinned table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from echolia.core.errors import EcholiaError
from echolia.llm.providers.port import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

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
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  # a third of a second, where it is used

    try:
        _, found = get_snapshot().find_provider_model(model, None, _PROVIDERS[kind], None)
        cost = _TablePrice(found)
        cost(Usage(1, 1))
    except (LookupError, ValueError):
        pass
    else:
        return Price(cost, f"genai-prices {version('genai-prices')}")
    raise EcholiaError(
        "settings_invalid", f"the price of {model} is not known: give it in the file of models"
    )


class _TablePrice:
    """What the table asks for a model now: some prices hold at times of their own.

    The table takes a fifth of a millisecond to multiply, so it is asked once what a million tokens are; but
    for prices that depend on how many there are.
    """

    def __init__(self, model: ModelInfo) -> None:
        self._model = model
        self._prices: ModelPrice | None = None
        self._rates: tuple[Decimal, ...] | None = None

    def __call__(self, usage: Usage) -> int:
        """Millionths of a dollar, rounded up."""
        prices = self._model.get_prices(datetime.now(UTC))
        if prices is not self._prices:
            self._prices, self._rates = prices, _rates(prices)
        if self._rates is None:
            total = MICRO * _dollars(prices, *_counts(usage))
        else:
            fresh = usage.input - usage.cached - usage.written
            counts = (fresh, usage.cached, usage.written, usage.output)
            total = sum((count * rate for count, rate in zip(counts, self._rates, strict=True)), Decimal())
        return int(total.to_integral_value(ROUND_CEILING))


def _counts(usage: Usage) -> tuple[int, int, int, int]:
    return usage.input, usage.cached, usage.written, usage.output


def _rates(prices: ModelPrice) -> tuple[Decimal, ...] | None:
    """Dollars for a million tokens: fresh, cached, written, output; None where it depends on how many."""
    from genai_prices.types import TieredPrices  # noqa: PLC0415

    if any(isinstance(price, TieredPrices) for price in vars(prices).values()):
        return None
    million = ((MICRO, 0, 0, 0), (MICRO, MICRO, 0, 0), (MICRO, 0, MICRO, 0), (0, 0, 0, MICRO))
    return tuple(_dollars(prices, *counts) for counts in million)


def _dollars(prices: ModelPrice, given: int, cached: int, written: int, output: int) -> Decimal:
    from genai_prices import Usage as Counted  # noqa: PLC0415

    counted = Counted(
        input_tokens=given, cache_read_tokens=cached, cache_write_tokens=written, output_tokens=output
    )
    return prices.calc_price(counted)["total_price"]
