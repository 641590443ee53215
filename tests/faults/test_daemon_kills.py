"""The real daemon, its workers and their builds are killed with -9, at each transaction and at any moment."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import pytest

from conveyor.model.event import EventKind
from tests.faults.cases import ALL
from tests.support.daemons import NO_POLL, QuickSite, RealSite, site_of
from tests.support.kills import Transactions, around
from tests.support.nothing_lost import ends_well
from tests.support.site import CACHE, wait_for
from tests.support.transacting import Building, Work

pytestmark = pytest.mark.integration

KILLS = 25 if ALL else 5
# Enough for a daemon to do everything that it does once.
ROUND_SECONDS = 6.0


def test_a_worker_is_killed_around_each_transaction(site: QuickSite) -> None:
    transactions, building = Transactions(site.folder), Building(site)
    points = around("worker", building.all_transactions(), every=ALL)
    assert len({point.transaction for point in points}) >= 10
    for point in points:
        building.come_to(point)
        wait_for(lambda: transactions.met, f"the death at {point}", 60)
        building.go_on()
        site.built()
    assert ends_well(site, building.go_on()) == []
    print(f"killed at {[*map(str, points)]}")  # noqa: T201 - the figure of the report


def test_the_daemon_is_killed_around_each_transaction(site: QuickSite) -> None:
    """Each time while builds wait, run, and wait to be tried again; what it had is built by the next one."""
    work = Work(site)
    points = around("daemon", work.all_transactions(), every=ALL)
    assert len({point.transaction for point in points}) >= 9
    for point in points:
        daemon = work.started_for(point)
        wait_for(lambda: daemon.process.poll() is not None, f"the death at {point}", 60)  # noqa: B023
        assert daemon.end() == -signal.SIGKILL
    daemon = work.started()
    site.seen()
    assert ends_well(site, daemon) == []
    print(f"killed at {[*map(str, points)]}")  # noqa: T201 - the figure of the report


def test_everything_is_killed_again_and_again_while_commits_arrive(site: QuickSite) -> None:
    """The daemon polls, too; at moments of chance it is killed with all its workers."""
    site.add("other")
    chance = random.Random(5)
    for _ in range(KILLS):
        daemon = site.daemon(env={"CONVEYOR_DAEMON_WORKERS": "2"})
        end = time.monotonic() + chance.uniform(0, ROUND_SECONDS)
        while time.monotonic() < end:
            upstream = chance.choice(list(site.upstreams.values()))
            site.push(
                chance.choice(["sleep 0", "sleep 0.5", "fail"]), f"sleep 0.0{chance.randrange(9)}", upstream=upstream
            )
            time.sleep(chance.uniform(0, 1))
        doomed = [daemon.process.pid, *daemon.workers()]
        chance.shuffle(doomed)
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon.process.wait()
    daemon = site.daemon(env={"CONVEYOR_DAEMON_WORKERS": "2"})
    site.seen()
    site.built(300)
    assert ends_well(site, daemon) == []
    starts = site.events(EventKind.DAEMON_STARTED)
    print(f"{KILLS} kills, {len(starts)} starts told of")  # noqa: T201 - the figure of the report


@pytest.mark.parametrize("killed", ["daemon", "worker"])
def test_killed_while_a_real_build_runs(killed: str) -> None:
    """Its sandbox dies with it, and the next build is in the same root."""
    buildroots = CACHE / "test-buildroots"
    buildroots.mkdir(parents=True, exist_ok=True)
    with site_of(lambda folder: RealSite(folder, buildroots)) as site:
        made = site.run("build", "hello", patience=1200)
        if made.code == 3:
            pytest.skip(f"the buildroots cannot be made: {made.err}")
        site.stall("build", 5)
        site.commit_packaging()
        (number,) = site.queue_pushed("sleep 0")
        daemon = site.daemon(NO_POLL)
        site.running(number)
        if killed == "daemon":
            daemon.kill()
            daemon = site.daemon(NO_POLL)
        else:
            for pid in daemon.workers():
                os.kill(pid, signal.SIGKILL)
        site.wait(number, lambda build: build.attempt == 2, "the second attempt")
        assert ends_well(site, daemon) == []
        assert site.one(number).published
