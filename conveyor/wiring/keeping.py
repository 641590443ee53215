"""What looks after the published tree: retention, and reading it back."""

from __future__ import annotations

from conveyor.pipeline.keeping.collect import Collect
from conveyor.pipeline.keeping.scrub import Scrub
from conveyor.repository.scrub import TreePoolReader
from conveyor.wiring.conveyor import Conveyor


def make_collect(conveyor: Conveyor) -> Collect:
    """What removes what retention does not keep."""
    return Collect(
        store=conveyor.parts.store,
        ledger=conveyor.ledger,
        repository=conveyor.tree,
        collector=conveyor.collector,
        clock=conveyor.parts.clock,
        policies=conveyor.repos.retention,
        builds=conveyor.parts.builds,
    )


def make_scrub(conveyor: Conveyor) -> Scrub:
    """What reads the pools from end to end."""
    return Scrub(conveyor.parts.store, conveyor.tree, conveyor.collector, TreePoolReader(conveyor.collector.root))
