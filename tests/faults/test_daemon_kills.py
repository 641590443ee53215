"""The real daemon, its workers and their builds are killed with -9, at each transaction and at any moment."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from itertools import count

import pytest

from conveyor.model.event import EventKind
from tests.faults.cases import ALL
from tests.support.daemons import NO_POLL, QuickSite, RealSite, site_of
from tests.support.kills import Point, Transactions, around
from tests.support.nothing_lost import ends_well
from tests.support.site import CACHE, wait_for

pytestmark = pytest.mark.integration

# What a package declares is recorded with its first build alone: no later one can be killed there.
ONLY_ONCE = "SqlQueue.set_relations"
KILLS = 25 if ALL else 5
# Enough for a daemon to do everything that it does once.
ROUND_SECONDS = 6.0


def killed_while_it_builds(site: QuickSite) -> None:
    """Have a daemon leave a build that nobody works on."""
    site.push("sleep 5")
    site.see()
    daemon = site.daemon(NO_POLL)
    with site.books() as books:
        wait_for(books.store.running, "a build that runs")
    daemon.kill()


def killed_at(site: QuickSite, point: Point) -> None:
    """Wait until a process has died where it was to."""
    wait_for(lambda: Transactions(site.folder).met, f"the death at {point}", 60)


def test_a_worker_is_killed_around_each_transaction(site: QuickSite) -> None:
    transactions = Transactions(site.folder)
    transactions.note()
    for behaviour in ("sleep 0", "fail", "sleep 0"):
        site.push(behaviour)
        site.see()
    daemon = site.daemon(NO_POLL)
    site.built()
    places = around("worker", [name for name in transactions.of("worker") if name != ONLY_ONCE], every=ALL)
    assert len({place.transaction for place in places}) >= 6
    for place in places:
        transactions.die_at(place)
        site.push("fail" if place.transaction.endswith("finish") else "sleep 0")
        site.see()
        killed_at(site, place)
        site.built()
    assert ends_well(site, daemon) == []
    assert len(daemon.said("worker lost")) + len(daemon.said("chore")) >= len(places)


def test_the_daemon_is_killed_around_each_transaction(site: QuickSite) -> None:
    """Each time while builds wait, run, and wait to be tried again; what it had is built by the next one."""
    transactions = Transactions(site.folder)
    transactions.note()
    rounds = count()

    def work() -> None:
        for behaviour in ("sleep 0", f"error-once {next(rounds)}"):
            site.push(behaviour)
        site.see()

    work()
    killed_while_it_builds(site)
    assert ends_well(site) == []
    places = around("daemon", transactions.of("daemon"), every=ALL)
    assert len({place.transaction for place in places}) >= 6
    for place in places:
        work()
        if place.transaction == "SqlStore.release":
            killed_while_it_builds(site)
        transactions.die_at(place)
        daemon = site.daemon(NO_POLL)
        if place.transaction == "SqlLeases.release":
            wait_for(lambda: daemon.said("worker started") or daemon.process.poll(), "the daemon")  # noqa: B023
            daemon.signal()
        wait_for(lambda: daemon.process.poll() is not None, f"the death at {place}", 60)  # noqa: B023
        assert daemon.end() == -signal.SIGKILL
    assert ends_well(site) == []


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
    daemon = site.daemon()
    site.seen()
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
