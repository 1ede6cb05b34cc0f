"""The server's ledger is read strictly, whatever the server says."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.client import EcholiaError, Fact
from tests.support.devices import World, documents

GOOD = {"place": "user.runs.seq", "what": "positions", "value": 1, "why": "order"}


async def test_it_is_all_that_the_server_says(world: World) -> None:
    laptop = await world.first()
    facts = await laptop.ledger()
    assert len(facts) > 50
    assert facts[0] == Fact(
        "directory.accounts.account", "the account's id, random", facts[0].value, "Tells accounts apart."
    )


@pytest.mark.parametrize(
    "facts",
    [
        None, [], {}, "facts", [GOOD] * 1001, [None], [{**GOOD, "place": 1}], [{**GOOD, "what": ""}],
        [{**GOOD, "why": "x" * 501}], [{name: GOOD[name] for name in ("place", "what", "why")}],
    ],
)  # fmt: skip
async def test_what_is_no_ledger(world: World, facts: Any) -> None:
    laptop = await world.first()
    world.transport("laptop").meddle = documents("/ledger", lambda answer: answer.update(facts=facts))
    with pytest.raises(EcholiaError, match="server_invalid"):
        await laptop.ledger()


async def test_a_value_may_be_anything(world: World) -> None:
    laptop = await world.first()
    values: list[Any] = [None, [], {"a": [1]}, "text"]
    facts = [{**GOOD, "value": value} for value in values]
    world.transport("laptop").meddle = documents("/ledger", lambda answer: answer.update(facts=facts))
    assert [fact.value for fact in await laptop.ledger()] == values
