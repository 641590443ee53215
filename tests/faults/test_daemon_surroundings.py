"""Around the real daemon the clock jumps, servers are gone, and the disk becomes full."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from conveyor.model.event import EventKind
from tests.faults.cases import ALL
from tests.support import soundness
from tests.support.clocks import FakedClock
from tests.support.daemons import NO_POLL, QuickSite, site_of
from tests.support.disks import fill, mount_memory
from tests.support.nothing_lost import ends_well
from tests.support.site import DEB, holding, wait_for

pytestmark = pytest.mark.integration

DAY = 24.0  # hours
MOST_TRIES = 14  # of a build, in a day
JUMPS = (48, -24, -72, 0) if ALL else (48, -24)  # hours ahead of the true time
FULL_SECONDS = 4


@pytest.fixture
def clock(site: QuickSite) -> FakedClock:
    return FakedClock(site.folder)


def test_the_clock_jumps_both_ways(site: QuickSite, clock: FakedClock) -> None:
    """A build that waits to be tried again does not wait for a day, and none is built for nothing."""
    daemon = site.daemon(env={**clock.environment, "CONVEYOR_DAEMON_RETRY_WAIT": "2s"})
    wait_for(lambda: daemon.said("worker started"), "a worker")
    for number, hours in enumerate(JUMPS):
        site.push(f"error-once {number}")
        site.push("sleep 1")
        site.seen()
        earlier = len(site.events(EventKind.CLOCK_JUMPED))
        clock.set(hours)
        wait_for(lambda: len(site.events(EventKind.CLOCK_JUMPED)) > earlier, "the jump to be noticed")  # noqa: B023
        site.built()
        site.push("sleep 0")
        site.seen()
        site.built()
    assert ends_well(site, daemon) == []
    jumps = [event.detail["seconds"] for event in site.events(EventKind.CLOCK_JUMPED)]
    expected = [after - before for before, after in pairwise((0, *JUMPS))]
    assert [round(jump / 3600) for jump in jumps] == expected  # type: ignore[operator]
    assert daemon.said("build released") == []


def test_servers_are_gone_for_a_day(site: QuickSite, clock: FakedClock) -> None:
    """A mirror that builds need, and the host of an upstream: asked less and less often, and not given up."""
    other = site.add("other")
    site.see()
    moved = other.folder.rename(other.folder.with_suffix(".gone"))
    site.push("need mirror")
    env = {"CONVEYOR_DAEMON_RETRY_WAIT": "5m" if ALL else "1h", **clock.environment}
    daemon = site.daemon(env=env)
    site.poke()
    wait_for(lambda: site.events(EventKind.ERRORED), "the first attempt")
    (number,) = {event.build for event in site.events(EventKind.ERRORED)}
    assert number is not None
    waits: list[float] = []
    while clock.hours < DAY:
        build = site.wait(number, lambda build: build.not_before is not None, "the build to wait")
        assert build.not_before is not None
        waits.append((build.not_before - clock.now()).total_seconds() / 3600)
        clock.forward(waits[-1])
        wait_for(lambda: len(site.events(EventKind.ERRORED)) > len(waits), "the next attempt", 60)
    assert waits[:3] == sorted(waits[:3])
    assert len(waits) < MOST_TRIES
    assert not site.events(EventKind.GAVE_UP)
    assert site.events(EventKind.UNREACHABLE)
    site.data.joinpath("mirror").touch()
    moved.rename(other.folder)
    site.push("sleep 0", upstream=other)
    clock.forward(DAY / 2)
    site.in_the_trunk(number)
    wait_for(lambda: site.events(EventKind.REACHABLE), "the upstream to answer again")
    site.seen()
    assert ends_well(site, daemon) == []


@pytest.mark.parametrize("doing", ["build", "store", "publish"])
def test_the_disk_is_full(room: Path, doing: str) -> None:
    """A daemon that can write nothing, not even to its store, while it builds, stores or publishes; then it can."""
    disk = room / f"disk-{doing}"
    disk.mkdir()
    if os.geteuid() != 0 or not mount_memory(disk, "48m"):
        pytest.skip("this machine does not allow to mount a small disk")
    ballast = disk / "ballast"
    try:
        with site_of(lambda folder: QuickSite(folder, disk / "data"), room) as site:
            site.set("min_free_disk", '"1K"')
            daemon = site.daemon(NO_POLL)
            site.push("sleep 0")
            site.see()
            site.built()
            with ExitStack() as stack:
                if doing == "publish":
                    lock = stack.enter_context(ExitStack())
                    lock.enter_context(holding(site.data / "repos" / DEB / ".lock"))
                site.push("sleep 2", "large 3")
                site.see()
                wait_for(lambda: site.stage() == ("publish" if doing == "publish" else "build"), "the build")
                if doing == "build":
                    fill(ballast, leave=0)
                elif doing == "store":
                    fill(ballast, leave=2**20)
                else:
                    fill(ballast, leave=0)
                    lock.close()
                time.sleep(FULL_SECONDS)
                assert daemon.process.poll() is None
                assert soundness.problems(site.data / "repos") == []
                assert ballast.stat().st_size > 2**20
            ballast.unlink()
            assert ends_well(site, daemon) == []
    finally:
        subprocess.run(["umount", disk], check=True)
