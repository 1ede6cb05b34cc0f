"""Who listens: what each is told, and how many there may be."""

from __future__ import annotations

import pytest

from echolia.core.errors import EcholiaError
from echolia.sync.live.listeners import MAX_LISTENERS, Head, Listener, Listeners

ACCOUNT, OTHER = b"a" * 16, b"b" * 16
LAPTOP, PHONE = b"l" * 16, b"p" * 16


def listening(
    listeners: Listeners, account: bytes = ACCOUNT, device: bytes = LAPTOP
) -> tuple[Listener, list[int]]:
    """A listener, and a list that grows whenever it has news."""
    listener, news = listeners.add(account, device), []
    listener.on_news = lambda: news.append(1)
    return listener, news


def test_everybody_of_an_account_is_told_and_nobody_else() -> None:
    listeners = Listeners()
    laptop, news = listening(listeners)
    other, silence = listening(listeners, OTHER)
    listeners.tell(ACCOUNT, Head(7, 1))
    assert (laptop.take(), laptop.take(), news) == (Head(7, 1), None, [1])
    assert (other.take(), silence) == (None, [])


def test_of_several_heads_the_last_is_told_and_none_twice() -> None:
    listener, news = listening(Listeners())
    for seq in (1, 2, 3):
        listener.tell(Head(7, seq))
    assert listener.take() == Head(7, 3)
    listener.tell(Head(7, 3))
    assert (listener.take(), len(news)) == (None, 3)
    listener.tell(Head(7, 2))  # told late by another process: a listener has no opinion about order
    assert listener.take() == Head(7, 2)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (None, Head(7, 5)),
        (Head(7, 5), None),
        (Head(7, 4), Head(7, 5)),
        (Head(7, 6), Head(7, 5)),
        (Head(8, 5), Head(7, 5)),
    ],
)
def test_a_stream_begins_with_a_head_that_is_not_known(known: Head | None, told: Head | None) -> None:
    listener, _ = listening(Listeners())
    listener.begin(Head(7, 5), known)
    assert listener.take() == told
    listener.tell(Head(7, 6))
    assert listener.take() == Head(7, 6)


@pytest.mark.parametrize("known", [None, Head(7, 5)])
def test_a_head_that_moved_while_it_was_read_is_not_taken_back(known: Head | None) -> None:
    listener, _ = listening(Listeners())
    listener.tell(Head(7, 6))
    listener.begin(Head(7, 5), known)
    assert listener.take() == Head(7, 6)


def test_a_device_ends_and_the_others_go_on() -> None:
    listeners = Listeners()
    gone, news = listening(listeners, device=PHONE)
    stays, _ = listening(listeners)
    listeners.end(ACCOUNT, PHONE, "token_expired")
    listeners.end(ACCOUNT, PHONE, "unavailable")
    assert (gone.ended, news, stays.ended, listeners.count) == ("token_expired", [1], "", 1)
    gone.end("unavailable")
    assert gone.ended == "token_expired"
    listeners.end(ACCOUNT, None, "unavailable")
    assert (stays.ended, listeners.count, listeners.accounts()) == ("unavailable", 0, ())


def test_an_account_has_a_bounded_number_of_listeners() -> None:
    listeners = Listeners()
    open_ones = [listeners.add(ACCOUNT, LAPTOP) for _ in range(MAX_LISTENERS)]
    with pytest.raises(EcholiaError, match="listeners_full"):
        listeners.add(ACCOUNT, PHONE)
    listeners.add(OTHER, LAPTOP)
    for _ in range(2):
        listeners.remove(open_ones[0])
    listeners.add(ACCOUNT, PHONE)
    assert listeners.count == MAX_LISTENERS + 1


def test_all_are_woken_to_look_whether_they_may_go_on() -> None:
    listeners = Listeners()
    news = [listening(listeners, account)[1] for account in (ACCOUNT, OTHER)]
    listeners.wake()
    assert news == [[1], [1]]
