"""`conveyor` with a quick builder, for its own builds and its workers': a program of its own."""

from __future__ import annotations

import sys
from functools import partial

from conveyor.cli import context, daemon
from conveyor.cli.main import main
from conveyor.wiring import open_conveyor
from tests.support.clocks import mend_sleep
from tests.support.kills import obey
from tests.support.quick import make_quick_builders

# A clock of the test's own, for workers too.
CLOCK = ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT")

# Seconds between two times, of which nothing depends on how many there are.
HURRY = {"RECONCILE": 1.0, "SETTLE": 1.0, "CONFIGURATION": 0.5, "NOTICES": 1.0}


def hurry() -> None:
    """Let the daemon look more often after what tests wait for."""
    from conveyor.daemon import errands  # noqa: PLC0415 - other commands do without

    for name, seconds in HURRY.items():
        setattr(errands, name, seconds)


if __name__ == "__main__":
    if "daemon" in sys.argv:
        hurry()
    mend_sleep()
    obey("daemon")
    setattr(context, "open_conveyor", partial(open_conveyor, builders=make_quick_builders))  # noqa: B010
    setattr(daemon, "KEPT", (*daemon.KEPT, *CLOCK))  # noqa: B010
    daemon.WORKER = ("-m", "tests.support.quick_worker")
    main()
