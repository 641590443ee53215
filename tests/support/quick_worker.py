"""A worker with a quick builder, as a program of its own."""

from __future__ import annotations

from conveyor.worker import main
from tests.support.clocks import mend_sleep
from tests.support.kills import obey
from tests.support.quick import open_quick

if __name__ == "__main__":
    mend_sleep()
    obey("worker")
    main(open_quick)
