"""What carries out orders from afar, put together."""

from __future__ import annotations

from conveyor.pipeline.ordering import Ordering
from conveyor.wiring.conveyor import Conveyor


def make_ordering(conveyor: Conveyor) -> Ordering:
    """What finds the commits that were ordered, and puts them into the queue."""
    return Ordering(
        book=conveyor.order_book,
        poll=conveyor.poll,
        store=conveyor.store,
        queue=conveyor.queue,
        packages=conveyor.repos.packages,
        targets=conveyor.repos.targets,
        clock=conveyor.clock,
    )
