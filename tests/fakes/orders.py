"""The port `OrderBook` in memory. It passes the same contract suite as the real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from conveyor.errors import UnknownName
from conveyor.model.build import Cause
from conveyor.model.order import NewOrder, Order
from conveyor.store.types import harmless, utc


class MemoryOrderBook:
    """See `conveyor.ports.OrderBook`."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._last = 0

    def add(self, new: NewOrder) -> Order:
        self._last += 1
        kept = replace(new, revision=harmless(new.revision), actor=harmless(new.actor), at=utc(new.at))
        self._orders[self._last] = Order(number=self._last, wanted=kept)
        return self._orders[self._last]

    def order(self, number: int) -> Order:
        if number not in self._orders:
            raise UnknownName(f"there is no order {number}")
        return self._orders[number]

    def waiting(self, package: str | None = None) -> tuple[Order, ...]:
        left = (order for order in self._orders.values() if order.settled_at is None)
        return tuple(order for order in left if package in {None, order.wanted.package})

    def settle(self, number: int, at: datetime, *, builds: Sequence[int] = (), cause: Cause | None = None) -> None:
        order = self._orders.get(number)
        if order is not None and order.settled_at is None:
            self._orders[number] = replace(order, builds=tuple(builds), cause=cause, settled_at=utc(at))

    def forget(self, before: datetime) -> None:
        old = [number for number, order in self._orders.items() if order.settled_at and order.settled_at < before]
        for number in old:
            del self._orders[number]

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of all that are known."""
        return frozenset(self._orders)
