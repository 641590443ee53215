"""What orders from afar wait for, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from conveyor.model.order import Order
from conveyor.pipeline.explaining.polling import Followed
from conveyor.pipeline.explaining.words import listed, moment


def order_lines(orders: Sequence[Order], followed: Sequence[Followed], now: datetime, *, daemon: bool) -> Iterator[str]:
    """What orders of one package wait for, a line each.

    Args:
        orders: those that wait, the oldest first.
        followed: the package's git repositories.
        now: the time.
        daemon: whether a daemon runs.
    """
    before: int | None = None
    for order in orders:
        wanted = order.wanted
        what = f"{wanted.revision or 'the newest commit'} for {listed(wanted.targets) or 'all of its targets'}"
        waits = _waits(before, followed, daemon=daemon)
        yield f"order {order.number} of {what}, by {wanted.actor} at {moment(wanted.at, now)}, waits: {waits}"
        before = order.number


def orders_told(orders: Sequence[Order]) -> str:
    """That orders wait, in a few words; empty where none does."""
    if not orders:
        return ""
    return f"order {orders[0].number} waits" if len(orders) == 1 else f"{len(orders)} orders wait"


def _waits(before: int | None, followed: Sequence[Followed], *, daemon: bool) -> str:
    if not daemon:
        return "no daemon is running to look for the commit"
    if before is not None:
        return f"order {before} comes first"
    asked = " and ".join(each.shown for each in followed)
    return f"the daemon looks for the commit, and asks {asked}" if asked else "the daemon looks at it within seconds"
