"""Who is asked next where a provider fails, and when nobody is."""

from __future__ import annotations

import pytest

from echolia.core.errors import EcholiaError
from echolia.llm.catalogue import Catalogue
from echolia.llm.providers.port import Ask, Message, ProviderFailed, Text
from echolia.llm.trying import KEY_REFUSED_S, TRIPPED_S, TRIPS_AFTER, Trying
from tests.llm.scripted import Scripted, catalogue, model, said

OVERLOADED = ProviderFailed("upstream_overloaded", status=529)
FAILED = ProviderFailed("upstream_failed", status=500)
REFUSED = ProviderFailed("upstream_refused", status=400)
NO_KEY = ProviderFailed("upstream_credentials", status=401)


class Watch:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def at_once(_seconds: float) -> None:
    """Pauses take no time here."""


def trying(made: Catalogue, watch: Watch | None = None) -> Trying:
    """Tries over these models."""
    return Trying(made, watch or Watch(), at_once)


async def told(one: Trying, name: str = "a") -> list[str]:
    """The words that come, and of which model."""

    def ask_of(asked: object) -> Ask:
        del asked
        return Ask("", [Message("user", [Text("Hm")])], 10)

    stream = one.stream(one.models(name, frozenset()), ask_of)
    return [f"{each.model.name}:{each.event.text}" async for each in stream if isinstance(each.event, Text)]


async def test_it_is_tried_again_before_the_first_word() -> None:
    provider = Scripted([[FAILED], [OVERLOADED], said("yes")])
    keys = [provider, provider, provider]
    assert await told(trying(catalogue(model("a"), a=keys))) == ["a:yes"]
    assert len(provider.asked) == provider.closed == 3


async def test_not_after_it() -> None:
    provider = Scripted([[Text("half"), FAILED], said("yes")])
    with pytest.raises(ProviderFailed, match="upstream_failed"):
        await told(trying(catalogue(model("a"), a=provider)))
    assert len(provider.asked) == 1


async def test_a_refusal_would_be_one_everywhere() -> None:
    a, b = Scripted([[REFUSED]]), Scripted([said("no")])
    with pytest.raises(ProviderFailed, match="upstream_refused"):
        await told(trying(catalogue(model("a", "b"), model("b"), a=a, b=b)))
    assert b.asked == []


async def test_another_model_stands_in() -> None:
    a, b = Scripted([[FAILED]]), Scripted([said("here")])
    assert await told(trying(catalogue(model("a", "b"), model("b"), a=a, b=b))) == ["b:here"]


async def test_one_that_lacks_what_is_needed_does_not() -> None:
    a, b = Scripted([[FAILED]]), Scripted([said("no")], abilities=frozenset())
    one = trying(catalogue(model("a", "b"), model("b"), a=a, b=b))
    assert [each.name for each in one.models("a", frozenset({"tools"}))] == ["a"]
    with pytest.raises(EcholiaError, match="tools"):
        one.models("b", frozenset({"tools"}))
    with pytest.raises(EcholiaError, match="model_unknown"):
        one.models("c", frozenset())


async def test_keys_take_turns_and_a_refused_one_rests() -> None:
    first, second, watch = Scripted([[NO_KEY]]), Scripted([said("yes")]), Watch()
    one = trying(catalogue(model("a"), a=[first, second]), watch)
    for _ in range(4):
        assert await told(one) == ["a:yes"]
    assert len(first.asked) == 1
    assert one.tripped == 1
    watch.now_s += KEY_REFUSED_S + 1
    await told(one)
    await told(one)
    assert len(first.asked) == 2


async def test_a_provider_that_fails_and_fails_rests() -> None:
    a, b, watch = Scripted([[FAILED]]), Scripted([said("here")]), Watch()
    one = trying(catalogue(model("a", "b"), model("b"), a=a, b=b), watch)
    for _ in range(TRIPS_AFTER + 3):
        assert await told(one) == ["b:here"]
    assert len(a.asked) == TRIPS_AFTER
    watch.now_s += TRIPPED_S + 1
    await told(one)
    await told(one)
    assert len(a.asked) == TRIPS_AFTER + 1


async def test_where_nobody_else_is_it_is_tried_all_the_same() -> None:
    a, watch = Scripted([[FAILED]] * TRIPS_AFTER * 2 + [said("well again")]), Watch()
    one = trying(catalogue(model("a"), a=a), watch)
    for _ in range(TRIPS_AFTER):
        with pytest.raises(ProviderFailed):
            await told(one)
    assert one.tripped == 1
    assert await told(one) == ["a:well again"]


async def test_a_provider_that_says_when_rests_until_then() -> None:
    later = ProviderFailed("upstream_overloaded", status=429, retry_after_s=60)
    a, b, watch = Scripted([[later]]), Scripted([said("here")]), Watch()
    one = trying(catalogue(model("a", "b"), model("b"), a=a, b=b), watch)
    await told(one)
    await told(one)
    assert len(a.asked) == 1
    watch.now_s += 61
    await told(one)
    assert len(a.asked) == 2
