"""Rules of purchases: which facts count, whose they are, what they give, and that work is done once."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_PROJECTION: Final = "echolia/core/subscription.py"
_VECTORS: Final = "tests/core/test_subscription.py::test_vector"
_LEARNING: Final = "echolia/payments/store/learning.py"
_TRANSFERS: Final = "echolia/payments/store/transfers.py"
_JOBS: Final = "echolia/storage/jobs.py"
_ACCESS: Final = "tests/payments/test_access.py"
_OWNERS: Final = "tests/payments/test_owners.py"
_GOOGLE: Final = "tests/payments/test_google.py"
_RECONCILING: Final = "tests/payments/test_reconciling.py"
_WALKING: Final = "echolia/payments/service/walking.py"

PAYMENTS: Final = (
    Mutant(
        "after a refund an older period counts again",
        _PROJECTION,
        "        latest = max(transactions, key=_began)\n",
        "        latest = max(transactions, key=lambda each: (each.revoked_ms is None, *_began(each)))\n",
        (_VECTORS,),
    ),
    Mutant(
        "there is access at the expiry itself",
        _PROJECTION,
        '    (lambda at: at.now_ms < at.paid_ms and at.renews, "active"),\n',
        '    (lambda at: at.now_ms <= at.paid_ms and at.renews, "active"),\n',
        (_VECTORS,),
    ),
    Mutant(
        "a token that was replaced still counts",
        _PROJECTION,
        '    return "expired" if replaced else None\n',
        "    return None\n",
        (_VECTORS,),
    ),
    Mutant(
        "an older word replaces a newer one",
        _LEARNING,
        "WHERE purchase_facts.said_ms < excluded.said_ms",
        "WHERE purchase_facts.said_ms <> excluded.said_ms",
        (f"{_ACCESS}::test_a_life_in_any_order_with_duplicates_ends_alike",),
    ),
    Mutant(
        "sandbox purchases count in production",
        "echolia/payments/service/projecting.py",
        "tier is not None and subscription.environment in counting",
        "tier is not None",
        (f"{_ACCESS}::test_sandbox_purchases_give_nothing_in_production",),
    ),
    Mutant(
        "whoever hands a receipt over has the purchase",
        "echolia/payments/service/purchases.py",
        "        if await self._claimed(purchase, caller.account) != caller.account:\n",
        "        if await self._claimed(purchase, caller.account) is None:\n",
        (f"{_OWNERS}::test_another_account_s_receipt_is_refused_and_restore_moves_it",),
    ),
    Mutant(
        "a purchase moves as often as somebody likes",
        _TRANSFERS,
        "at_ms > ?5) < ?6",
        "at_ms > ?5) < ?6 + 100",
        (f"{_OWNERS}::test_a_purchase_moves_three_times_in_thirty_days",),
    ),
    Mutant(
        "a repeated notification is followed up again",
        "echolia/payments/store/inbox.py",
        "WHERE notification = ?4 AND claim = ?5)",
        "WHERE notification = ?4 AND claim <> ?5 OR claim = ?5)",
        (f"{_GOOGLE}::test_the_same_notification_again_asks_for_nothing",),
    ),
    Mutant(
        "who lost a job ends it",
        _JOBS,
        'Statement("DELETE FROM jobs WHERE job = ? AND fence = ?", mine)',
        'Statement("DELETE FROM jobs WHERE job = ? AND fence <> ?", mine)',
        ("tests/storage/test_jobs.py::test_who_died_loses_the_job_and_cannot_end_it",),
    ),
    Mutant(
        "what is asked for while it runs is forgotten",
        _JOBS,
        " WHERE job = ?1 AND fence = ?2 AND (wanted <> ?4 OR ?5 >= 0)",
        " WHERE job = ?1 AND fence = ?2 AND ?4 > 0 AND ?5 >= 0",
        ("tests/storage/test_jobs.py::test_what_is_asked_for_while_it_runs_is_done_again",),
    ),
    Mutant(
        "a walk comes no further than its first page",
        _WALKING,
        "            following = page._replace(name=name, number=page.number + 1)\n",
        "            following = page._replace(number=page.number + 1)\n",
        (f"{_RECONCILING}::test_a_walk_that_a_crash_ends_goes_on_at_the_page_where_it_was",),
    ),
    Mutant(
        "walks pile up while a store is away",
        _WALKING,
        " AND dead = 0 AND subject BETWEEN",
        " AND dead = 2 AND subject BETWEEN",
        (f"{_RECONCILING}::test_a_walk_that_the_store_ends_goes_on_and_no_second_one_begins",),
    ),
    Mutant(
        "a page that the store has forgotten is asked for for ever",
        _WALKING,
        "now_ms - page.began_ms > STALE_MS:",
        "now_ms - page.began_ms > 1000 * STALE_MS:",
        (f"{_RECONCILING}::test_a_walk_whose_page_nobody_knows_any_more_begins_anew",),
    ),
    Mutant(
        "who only looks brings a directory to its version",
        "echolia/operator/directory_session.py",
        "Reserve(settings.data), assert_current)",
        "Reserve(settings.data))",
        ("tests/cli/test_purchases.py::test_a_directory_of_an_older_version_is_left_to_the_server",),
    ),
)
