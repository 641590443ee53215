"""The real daemon and its store: what was acknowledged is there, one daemon acts, the server goes, the store is old."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from conveyor.model.build import Outcome
from conveyor.model.event import EventKind
from conveyor.pipeline.poll import Wanted
from conveyor.store import open_books
from tests.fakes import postgresql
from tests.faults.cases import ALL
from tests.support.acknowledging import ACKNOWLEDGED
from tests.support.daemons import NO_POLL, QuickSite, site_of
from tests.support.nothing_lost import ends_well
from tests.support.old_store import make_old_store
from tests.support.site import wait_for
from tests.support.strace import need_strace, unsynced

pytestmark = pytest.mark.integration

STARTS = 10 if ALL else 2


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
            second = stack.enter_context(site_of(QuickSite, room))
            second.database = site.database
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
