"""What is a mass change: more than a share, and at least so many."""

from __future__ import annotations

from echolia.client import BrakeLimits
from echolia.client.brakes import Losses


def test_the_limits_are_more_than_a_share_and_at_least_so_many() -> None:
    limits = BrakeLimits()
    for losses, expected in (
        (Losses(25, 0, 100), False),
        (Losses(26, 0, 100), True),
        (Losses(19, 0, 19), False),
        (Losses(20, 0, 79), True),
        (Losses(20, 0, 80), False),
        (Losses(0, 50, 100), False),
        (Losses(0, 51, 101), True),
        (Losses(0, 49, 49), False),
    ):
        assert limits.exceeded(losses) is expected, losses
    assert not BrakeLimits(deletions_share=1, overwrites_share=1).exceeded(Losses(10**6, 10**6, 10**6))
