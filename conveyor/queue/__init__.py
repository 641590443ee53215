"""Which build is next, and why the others wait. In memory: no store, no clock, no threads."""

from conveyor.queue.dependencies import find_cycles
from conveyor.queue.scheduler import Scheduler

__all__ = ["Scheduler", "find_cycles"]
