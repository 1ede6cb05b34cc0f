"""A test that hangs ends, and says where its tasks wait."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.hanging import Hung, told_when_hung


async def _never() -> None:
    await asyncio.Event().wait()


def test_what_never_comes_is_told_by_the_task_that_waits_for_it() -> None:
    with pytest.raises(Hung, match="in _never"), told_when_hung(0.5):
        asyncio.run(_never())


def test_what_blocks_without_a_loop_ends_as_well() -> None:
    with pytest.raises(Hung, match="No event loop runs"), told_when_hung(0.5):
        time.sleep(60)
