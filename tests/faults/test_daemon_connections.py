"""The daemon's and its workers' connections to PostgreSQL are lost, and its server is killed, at each transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from conveyor.model.event import EventKind
from tests.fakes import postgresql
from tests.faults.cases import ALL
from tests.support.daemons import Daemon, QuickSite
from tests.support.kills import Fault, Point, Transactions, around
from tests.support.nothing_lost import ends_well
from tests.support.site import wait_for
from tests.support.transacting import Building, Work

pytestmark = pytest.mark.integration

LOSSES = [Fault.CONNECTION, Fault.SERVER]
# What a daemon does once.
AT_START = {"SqlLeases.take", "SqlOutbox.forget"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgresql.Cluster]:
    with postgresql.cluster() as made:
        yield made


@pytest.fixture
def site(site: QuickSite, cluster: postgresql.Cluster) -> Iterator[QuickSite]:
    with postgresql.fresh_database(cluster.url) as url:
        site.database = url
        yield site


def met(transactions: Transactions, cluster: postgresql.Cluster, what: object) -> None:
    """Wait until what was ordered has happened, and start the server if it was killed."""
    wait_for(lambda: transactions.met, f"{what}", 60)
    cluster.start_if_killed()


def points_of(role: str, transactions: Sequence[str], fault: Fault) -> list[Point]:
    """Where the store is lost: all points, or at each transaction in turns by one of the faults."""
    points = around(role, transactions, fault, every=ALL)
    return points if ALL else points[LOSSES.index(fault) :: len(LOSSES)]


def going_on(daemon: Daemon, point: Point, work: Work) -> Daemon:
    """The daemon, or the next one where it has ended: because it was to, or because it could not start."""
    if point.transaction == "SqlLeases.release":
        assert daemon.end() == 0
        return work.started()
    wait_for(lambda: daemon.said("worker started") or daemon.process.poll() is not None, "the daemon")
    if daemon.process.poll() is None:
        return daemon
    assert point.transaction in AT_START
    assert daemon.end() == 3
    return work.started()


@pytest.mark.parametrize("fault", LOSSES)
def test_a_worker_loses_the_store_around_each_transaction(
    site: QuickSite, cluster: postgresql.Cluster, fault: Fault
) -> None:
    """What could not be recorded is done again by who comes next; what could, is not."""
    transactions, building = Transactions(site.folder), Building(site)
    points = points_of("worker", building.all_transactions(), fault)
    assert len(points) >= 5
    for point in points:
        building.come_to(point)
        met(transactions, cluster, point)
        building.go_on()
        site.built()
    assert ends_well(site, building.go_on()) == []
    print(f"lost at {[*map(str, points)]}")  # noqa: T201 - the figure of the report


@pytest.mark.parametrize("fault", LOSSES)
def test_the_daemon_loses_the_store_around_each_transaction(
    site: QuickSite, cluster: postgresql.Cluster, fault: Fault
) -> None:
    """It goes on by itself; only where it cannot have its lease it does not start."""
    transactions, work = Transactions(site.folder), Work(site)
    points = points_of("daemon", work.all_transactions(), fault)
    assert len(points) >= 5
    daemon = work.started()
    for point in points:
        wait_for(lambda: daemon.said("worker started"), "the daemon")  # noqa: B023
        if point.transaction in AT_START:
            assert daemon.stop() == 0
            transactions.order(point)
            daemon = work.started()
        else:
            work.come_to(daemon, point)
        met(transactions, cluster, point)
        daemon = going_on(daemon, point, work)
        if point.transaction == "SqlEvents.record":
            wait_for(lambda: site.events(EventKind.CONFIGURATION_LOADED), "what the store did not take")
        site.seen()
        site.built()
    assert ends_well(site, daemon) == []
    print(f"lost at {[*map(str, points)]}")  # noqa: T201 - the figure of the report
