"""A worker with a quick builder, as a program of its own."""

from __future__ import annotations

from conveyor.pipeline import heartbeat
from conveyor.worker import main
from tests.support.clocks import mend_sleep
from tests.support.kills import obey
from tests.support.quick import open_quick

BEAT_SECONDS = 0.5  # so that quick builds have a heartbeat, too

if __name__ == "__main__":
    setattr(heartbeat, "BEAT_SECONDS", BEAT_SECONDS)  # noqa: B010
    mend_sleep()
    obey("worker")
    main(open_quick)
