"""What is ordered from afar, whatever it is kept in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from conveyor.errors import UnknownName
from conveyor.model.order import NewOrder, Order, OrderState
from conveyor.ports import OrderBook
from conveyor.store import open_books
from tests.fakes.orders import MemoryOrderBook
from tests.fakes.store_samples import CAUSE, NOON, TARGET, minute

NEW = NewOrder(package="nova", revision="stable/2026", targets=(TARGET,), actor="ada", at=NOON)


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def book(request: pytest.FixtureRequest) -> Iterator[OrderBook]:
    if request.param == "memory":
        yield MemoryOrderBook()
        return
    books = open_books(request.getfixturevalue(request.param))
    yield books.orders
    books.store.close()


def test_they_wait_in_the_order_in_which_they_came(book: OrderBook) -> None:
    first = book.add(NEW)
    second = book.add(replace(NEW, package="glance", revision="", targets=(), at=minute(-1)))

    assert first == Order(number=first.number, wanted=NEW)
    assert first.state is OrderState.WAITING
    assert book.waiting() == (first, second)
    assert (book.waiting("glance"), book.waiting("swift")) == ((second,), ())
    assert book.order(second.number) == second
    assert (second.wanted.revision, second.wanted.targets) == ("", ())


def test_they_are_taken_or_refused_once(book: OrderBook) -> None:
    taken, refused = book.add(NEW).number, book.add(NEW).number
    book.settle(taken, minute(1), builds=[7, 8])
    book.settle(refused, minute(2), cause=CAUSE)
    book.settle(taken, minute(3), cause=CAUSE)
    book.settle(4711, minute(3), cause=CAUSE)

    assert book.waiting() == ()
    assert book.order(taken) == Order(number=taken, wanted=NEW, builds=(7, 8), settled_at=minute(1))
    assert book.order(refused) == Order(number=refused, wanted=NEW, cause=CAUSE, settled_at=minute(2))
    assert [book.order(number).state for number in (taken, refused)] == [OrderState.TAKEN, OrderState.REFUSED]


def test_what_is_settled_is_forgotten_after_a_while_and_its_number_is_nobody_elses(book: OrderBook) -> None:
    old, waits = book.add(NEW), book.add(NEW)
    newest = book.add(NEW)
    book.settle(old.number, minute(1), builds=[1])
    book.settle(newest.number, minute(1), builds=[1])
    book.forget(minute(1))
    assert book.order(old.number).builds == (1,)
    book.forget(minute(2))

    assert book.waiting() == (waits,)
    for gone in (old, newest):
        with pytest.raises(UnknownName):
            book.order(gone.number)
    assert book.add(NEW).number > newest.number


def test_text_of_any_origin_is_kept(book: OrderBook) -> None:
    number = book.add(replace(NEW, revision="a\x00b", actor="\ud800")).number
    assert book.order(number).wanted == replace(
        NEW, revision="a\N{REPLACEMENT CHARACTER}b", actor="\N{REPLACEMENT CHARACTER}"
    )
