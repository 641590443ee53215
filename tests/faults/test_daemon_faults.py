"""The real daemon, as a process, meets kills, jumping clocks, full disks, lost servers, floods and mistakes.

After each of them it goes on, or the next one does, and then nothing is lost: every commit that was seen is built or
has a recorded reason, nothing is built twice without a reason, nothing is published twice, no pointer leads to nothing,
nothing is left behind (tests/support/nothing_lost.py). CONVEYOR_TEST_ALL_FAULTS=1 leaves no case out.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path

import pytest

from conveyor.model.build import Outcome
from conveyor.model.event import EventKind
from conveyor.model.queue import Pause, Scope, ScopeKind
from conveyor.pipeline.poll import Wanted
from conveyor.store import open_books
from tests.fakes import postgresql
from tests.support import soundness
from tests.support.acknowledging import ACKNOWLEDGED
from tests.support.clocks import FakedClock
from tests.support.daemons import Daemon, QuickSite, RealSite
from tests.support.disks import fill, mount_memory
from tests.support.kills import AFTER, BEFORE, Point, Transactions
from tests.support.nothing_lost import amiss, left, lost
from tests.support.old_store import make_old_store
from tests.support.published import need
from tests.support.site import CACHE, DEB, holding, wait_for
from tests.support.strace import need_strace, unsynced

pytestmark = pytest.mark.integration

ALL = os.environ.get("CONVEYOR_TEST_ALL_FAULTS", "") not in {"", "0"}
NO_POLL = "--no-poll"
# What a package declares is recorded with its first build alone: no later one can be killed there.
ONLY_ONCE = "SqlQueue.set_relations"
# What a real deb target needs.
PROGRAMS = ("git", "bwrap", "setpriv", "unshare", "mkfs.ext4", "mmdebstrap", "apt-get", "dpkg")
KILLS = 25 if ALL else 5
# Enough for a daemon to do everything that it does once.
ROUND_SECONDS = 6.0
DAY = 24.0  # hours
MOST_TRIES = 14  # of a build, in a day
JUMPS = (48, -24, -72, 0) if ALL else (48, -24)  # hours ahead of the true time
STARTS = 10 if ALL else 2
FULL_SECONDS = 4
MANY = 10_000
PACKAGES = 200 if ALL else 5


@pytest.fixture
def site(room: Path) -> Iterator[QuickSite]:
    if os.geteuid() != 0:
        pytest.skip("building needs root")
    folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=room))
    made = QuickSite(folder)
    made.set("min_free_disk", '"16M"')  # the room is in memory
    yield made
    defects = made.close()
    for log in sorted(folder.glob("daemon-*.log")):
        print(f"== {log.name}\n{log.read_text()[-6000:]}")  # noqa: T201 - seen where the test fails
    shutil.rmtree(folder)
    assert defects == []


def ends_well(site: QuickSite, daemon: Daemon | None = None) -> list[str]:
    """Let a daemon build all that is left, and stop it; what is amiss then."""
    working = daemon or site.daemon(NO_POLL)
    wait_for(lambda: working.said("daemon started"), "the daemon")
    site.built()
    assert working.stop() == 0
    return amiss(site)


def peak(daemon: Daemon) -> int:
    """The most memory that a daemon has occupied, in bytes."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{daemon.process.pid}/status").read_text())
    return int(line) * 1024


def of_role(site: QuickSite, role: str) -> list[str]:
    """The transactions that processes of a role have had, each once, in the order in which they first came."""
    return [name for who, name in dict.fromkeys(Transactions(site.folder).noted) if who == role]


def points(role: str, names: list[str]) -> list[Point]:
    """Where to kill: before and after each transaction, or in turns."""
    every = [Point(role=role, transaction=name, when=when) for name in names for when in (BEFORE, AFTER)]
    return every if ALL else [every[2 * place + place % 2] for place in range(len(names))]


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
    places = points("worker", [name for name in of_role(site, "worker") if name != ONLY_ONCE])
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
    places = points("daemon", of_role(site, "daemon"))
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


@pytest.mark.parametrize("killed", ["daemon", "worker"])
def test_killed_while_a_real_build_runs(killed: str) -> None:
    """Its sandbox dies with it, and the next build is in the same root."""
    if os.geteuid() != 0:
        pytest.skip("building needs root")
    need(*PROGRAMS)
    buildroots = CACHE / "test-buildroots"
    buildroots.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=CACHE))
    site = RealSite(folder, buildroots)
    try:
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
    finally:
        defects = site.close()
        shutil.rmtree(folder)
    assert defects == []


def test_what_is_acknowledged_is_on_the_disk(site: QuickSite) -> None:
    """No change is acknowledged before it is synced; a copy of the files as they are after a kill has all."""
    need_strace()
    trace = site.folder / "strace"
    said = subprocess.run(
        [
            *("strace", "-f", "-y", "-e", "trace=pwrite64,write,ftruncate,fsync,fdatasync", f"--output={trace}"),
            *(sys.executable, "-m", "tests.support.acknowledging", site.database),
        ],
        env=site.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == -signal.SIGKILL, said.stderr
    acknowledged = said.stdout.split()
    assert acknowledged == list(ACKNOWLEDGED)
    assert unsynced(trace.read_text(), site.data / "conveyor.db", acknowledged) == []
    elsewhere = site.folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("conveyor.db", "conveyor.db-wal"):
        if (site.data / name).exists():
            shutil.copy(site.data / name, elsewhere)
    books = open_books(f"sqlite:///{elsewhere}/conveyor.db")
    assert [name for name, is_there in ACKNOWLEDGED.items() if not is_there(books)] == []
    books.store.close()


@pytest.mark.parametrize("where", ["one folder", "two folders, one store"])
def test_two_start_at_the_same_moment(site: QuickSite, room: Path, where: str) -> None:
    with ExitStack() as stack:
        sites = [site, site]
        if where != "one folder":
            site.database = stack.enter_context(postgresql.fresh_database(stack.enter_context(postgresql.server())))
            folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=room))
            stack.callback(shutil.rmtree, folder)
            second = QuickSite(folder)
            second.database = site.database
            stack.callback(second.close)
            sites = [site, second]
        site.see()
        for _ in range(STARTS):
            site.push("sleep 0")
            site.see()
            daemons = [each.daemon(NO_POLL) for each in sites]
            wait_for(lambda: any(one.process.poll() is not None for one in daemons), "one to refuse")  # noqa: B023
            (loser,) = [one for one in daemons if one.process.poll() is not None]
            (winner,) = [one for one in daemons if one is not loser]
            assert loser.end() == 3
            assert "another daemon works with this store" in loser.log.read_text() or where == "one folder"
            assert (loser.said("daemon started"), loser.said("worker started")) == ([], [])
            wait_for(lambda: winner.said("worker started"), "the other to work")  # noqa: B023
            if where == "one folder":
                site.built()
            assert winner.stop() == 0
        assert len(site.events(EventKind.DAEMON_STARTED)) == STARTS
        if where == "one folder":
            assert ends_well(site) == []


@pytest.mark.parametrize("fault", ["connections", "server"])
def test_postgresql_goes_away(site: QuickSite, fault: str) -> None:
    """While builds run, are published, and wait: all connections are ended, or the server stops and starts again."""
    with postgresql.cluster() as cluster, postgresql.fresh_database(cluster.url) as url:
        site.database = url
        site.add("other")
        daemon = site.daemon(NO_POLL, env={"CONVEYOR_DAEMON_WORKERS": "2"})
        wait_for(lambda: daemon.said("worker started"), "a worker")
        for pause in (0.2, 0.7, 1.4, 2.1) if ALL else (0.3, 1.2):
            for upstream in site.upstreams.values():
                site.push("sleep 1", upstream=upstream)
            site.see()
            time.sleep(pause)
            if fault == "connections":
                postgresql.end_connections(url)
            else:
                cluster.stop()
                time.sleep(2)
                cluster.start()
        assert ends_well(site, daemon) == []
        site.database = f"sqlite:///{site.data}/unused.db"


@pytest.mark.parametrize("doing", ["build", "store", "publish"])
def test_the_disk_is_full(room: Path, doing: str) -> None:
    """A daemon that can write nothing, not even to its store, while it builds, stores or publishes; then it can."""
    if os.geteuid() != 0:
        pytest.skip("building needs root")
    folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=room))
    disk = folder / "disk"
    disk.mkdir()
    if not mount_memory(disk, "48m"):
        pytest.skip("this machine does not allow to mount a small disk")
    site = QuickSite(folder, disk / "data")
    site.set("min_free_disk", '"1K"')
    ballast = disk / "ballast"
    try:
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
        defects = site.close()
        print(daemon.log.read_text()[-4000:])  # noqa: T201 - seen where the test fails
        subprocess.run(["umount", disk], check=True)
        shutil.rmtree(folder)
    assert defects == []


@pytest.mark.parametrize("policy", ["commits: newest", "max_waiting: 3", ""] if ALL else ["max_waiting: 3"])
def test_10000_commits_arrive_at_once(site: QuickSite, policy: str) -> None:
    """They are in the queue within seconds; what the policy leaves is built, in order."""
    if policy:
        site.packages["hello"] = site.packages["hello"].replace("}", f", {policy}}}")
        site.configure()
    daemon = site.daemon()
    site.seen()
    site.built()
    memory = peak(daemon)
    shas = site.upstream.flood(MANY)
    began = time.monotonic()
    site.seen()
    seconds = time.monotonic() - began
    grown = peak(daemon) - memory
    print(f"{MANY} commits, {policy or 'every commit'}: {seconds:.1f} s, {grown / 2**20:.0f} MiB more")  # noqa: T201
    assert grown < 200 * 2**20
    with site.books() as books:
        builds = {build.commit.upstream.sha: build for build in books.store.builds(limit=2 * MANY)}
    assert {*shas} <= {*builds}
    if policy:
        assert ends_well(site, daemon) == []
        waited = [build for build in builds.values() if build.outcome is not Outcome.SUPERSEDED]
        assert len(waited) == (2 if "newest" in policy else 4)
        return
    for sha in shas[:3]:
        site.in_the_trunk(builds[sha].id)
    assert daemon.stop() == 0
    problems = [problem for problem in lost(site) if not problem.endswith(" is queued")]
    assert [*problems, *left(site)] == []


def test_many_packages_get_many_commits_at_once(site: QuickSite) -> None:
    for number in range(PACKAGES):
        site.add(f"package{number}")
    for name in site.packages:
        site.packages[name] = site.packages[name].replace("}", ", max_waiting: 1}")
    site.configure()
    daemon = site.daemon(env={"CONVEYOR_DAEMON_WORKERS": "2"})
    with site.books() as books:
        books.queue.pause(Pause(scope=Scope(kind=ScopeKind.ALL), actor="test", note="", at=datetime.now(UTC)))
    site.seen()
    for upstream in site.upstreams.values():
        upstream.flood(50)
    began = time.monotonic()
    site.seen()
    print(f"{PACKAGES + 1} packages with 50 commits each: {time.monotonic() - began:.1f} s")  # noqa: T201
    with site.books() as books:
        books.queue.resume(Scope(kind=ScopeKind.ALL), "test", datetime.now(UTC))
    site.built(300)
    assert ends_well(site, daemon) == []


def test_a_store_of_the_previous_version_is_gone_on_with(site: QuickSite) -> None:
    """It has a build that waits, one of a process that is gone, one that errored and one that was cancelled."""
    shas = [site.push("sleep 0") for _ in range(4)]
    with site.opened() as conveyor:
        package = conveyor.repos.packages["hello"]
        commits = [conveyor.poll.find(package, Wanted(revision=sha)) for sha in shas]
    for path in site.data.glob("conveyor.db*"):
        path.unlink()
    make_old_store(site.database, commits)
    daemon = site.daemon()
    site.seen()
    # Of attempts that were made before there were events nothing is told.
    assert [each for each in ends_well(site, daemon) if "told" not in each] == []
    with site.books() as books:
        built = {build.commit.upstream.sha: build for build in books.store.builds()}
        assert [built[sha].outcome for sha in shas] == [*[Outcome.SUCCEEDED] * 2, Outcome.ERRORED, Outcome.CANCELLED]
        assert next(attempt.outcome for attempt in books.store.attempts(built[shas[1]].id)) is Outcome.ERRORED


def test_repos_yaml_is_edited_while_it_runs(site: QuickSite) -> None:
    """Broken, good again, a package removed, its target removed: what is published stays, what waits has a reason."""
    other = site.add("other")
    site.targets["debian-12-amd64"] = "{format: deb, suite: bookworm}"
    site.configure()
    daemon = site.daemon()
    site.seen()
    site.built()
    good = (site.folder / "repos.yaml").read_text()
    (site.folder / "repos.yaml").write_text(good + "  nova: {upstrem: x}\n")
    wait_for(lambda: site.events(EventKind.CONFIGURATION_BROKEN), "the mistake to be told")
    site.push("sleep 0")
    site.seen()
    site.built()
    site.packages["other"] = site.packages["other"].replace("}", ", maintainers: [nobody at all]}")
    site.configure()
    wait_for(lambda: len(site.events(EventKind.CONFIGURATION_BROKEN)) == 2, "an address that is none to be told")
    told = site.events(EventKind.CONFIGURATION_BROKEN)[-1]
    assert "is no address" in str(told.detail["mistakes"])
    site.push("sleep 10")
    site.push("sleep 0")
    for _ in range(2):
        site.push("sleep 0", upstream=other)
    site.seen()
    del site.packages["other"], site.targets["debian-12-amd64"]
    site.upstreams.pop("other")
    site.configure()
    wait_for(lambda: site.events(EventKind.CONFIGURATION_LOADED), "the edit to be read")
    site.built()
    assert ends_well(site, daemon) == []
    published = [path.name for path in (site.data / "repos").glob("*/??/??/*_*")]
    with site.books() as books:
        assert all(build.commit.id in published for build in books.store.builds() if build.published)
        assert {build.outcome for build in books.store.builds(package="other")} <= {
            Outcome.SUCCEEDED,
            Outcome.SUPERSEDED,
        }


def test_two_packages_make_the_same_binary_package(site: QuickSite) -> None:
    """The second is refused, says so, and holds nobody up."""
    other = site.add("other")
    daemon = site.daemon()
    site.seen()
    site.built()
    site.push("binary greeting")
    site.seen()
    site.built()
    sha = site.push("binary greeting", upstream=other)
    site.push("sleep 0")
    site.seen()
    assert ends_well(site, daemon) == []
    with site.books() as books:
        (refused,) = books.store.of_commit(sha)
        assert refused.outcome is Outcome.FAILED
        assert refused.cause is not None
        print(refused.cause.summary)  # noqa: T201 - what is told
