"""Work that an operator begins is watched to its end, in the order in which it was told, whatever the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from echolia.core.errors import EcholiaError
from echolia.workers.desk import Desk


class Work:
    """An operator whose check tells what it is given, an exception by raising it, once it may go on."""

    def __init__(self, *told: Any) -> None:
        self._told = told
        self.may_go_on = asyncio.Event()

    async def check(self, _user: str | None) -> AsyncIterator[dict[str, Any]]:
        """See `Operating.check`."""
        await self.may_go_on.wait()
        for one in self._told:
            if isinstance(one, Exception):
                raise one
            yield one


async def nobody(_user: str) -> str:
    """No process has the account."""
    raise EcholiaError("account_unknown")


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ({"result": 3}, {"result": 3}),
        (EcholiaError("storage_damaged", "page 7"), {"failed": ["storage_damaged", "page 7"]}),
    ],
)
async def test_all_is_told_once_and_then_nobody_knows_of_it(last: Any, told: dict[str, Any]) -> None:
    work = Work({"done": 1}, {"done": 2}, last)
    desk = Desk(work, nobody)  # type: ignore[arg-type]  # as much of an operator as is asked
    number = await desk.begin("check", [None])
    watching = asyncio.create_task(desk.watch(number))
    work.may_go_on.set()
    seen = await watching
    while seen[-1] != told:
        seen += await desk.watch(number)
    assert seen == [{"done": 1}, {"done": 2}, told]
    with pytest.raises(EcholiaError, match="unavailable"):
        await desk.watch(number)
    await desk.close()


async def test_what_breaks_off_is_told_as_no_more_than_that() -> None:
    work = Work({"done": 1}, RuntimeError("a secret"))
    desk = Desk(work, nobody)  # type: ignore[arg-type]  # likewise
    work.may_go_on.set()
    number = await desk.begin("check", [None])
    seen = await desk.watch(number)
    while "failed" not in seen[-1]:
        seen += await desk.watch(number)
    assert seen == [{"done": 1}, {"failed": ["internal", ""]}]
    await desk.close()
