"""What decides which build is next, put together."""

from __future__ import annotations

from conveyor.queue.scheduler import Scheduler
from conveyor.wiring.conveyor import Conveyor


def make_scheduler(conveyor: Conveyor) -> Scheduler:
    """A scheduler of the site's workers that knows of no build yet."""
    return Scheduler(workers=conveyor.settings.daemon.workers)
