"""Builds that are ordered from afar, carried out by the real daemon: also where a server says nothing at all."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from conveyor.model.build import Outcome
from conveyor.model.event import EventKind
from conveyor.model.order import NewOrder, Order, OrderState
from tests.support.daemons import QuickSite, site_of
from tests.support.gitservers import hang, misbehaving
from tests.support.site import wait_for

pytestmark = pytest.mark.integration

NEVER, SOON = {"CONVEYOR_POLLING_TIME_LIMIT": "10m"}, {"CONVEYOR_POLLING_TIME_LIMIT": "1s"}


@pytest.fixture
def site() -> Iterator[QuickSite]:
    with site_of(QuickSite) as made:
        yield made


@pytest.fixture
def silent(site: QuickSite) -> Iterator[QuickSite]:
    """The same with a package whose server takes connections, and never says a word."""
    with misbehaving(hang) as address:
        follow(site, f"git://{address}/silent.git")
        yield site


def follow(site: QuickSite, upstream: str) -> None:
    """Say in repos.yaml where the package 'silent' comes from."""
    site.packages["silent"] = f'{{upstream: "{upstream}", packaging: specs/hello}}'
    site.configure()


def order(site: QuickSite, revision: str = "", package: str = "hello") -> int:
    """Order a build, as the API does."""
    with site.books() as books:
        new = NewOrder(package=package, revision=revision, targets=(), actor="ann", at=datetime.now(UTC))
        return books.orders.add(new).number


def found(site: QuickSite, number: int) -> Order:
    with site.books() as books:
        return books.orders.order(number)


def settled(site: QuickSite, number: int) -> Order:
    with site.books() as books:
        wait_for(lambda: books.orders.order(number).state is not OrderState.WAITING, "the order to be carried out")
        return books.orders.order(number)


def refused(site: QuickSite, number: int) -> str:
    """Why an order was refused."""
    cause = settled(site, number).cause
    assert cause is not None
    return f"{cause.kind}: {cause.summary}"


def test_what_is_ordered_is_found_and_built(site: QuickSite) -> None:
    old = site.push("sleep 0")
    site.push("fail")
    daemon = site.daemon("--no-poll")
    orders = [order(site, old[:10]), order(site, ""), order(site, "nothing")]

    (good,), (bad,) = (settled(site, number).builds for number in orders[:2])
    site.in_the_trunk(good)
    assert site.one(good).commit.upstream.sha == old
    assert site.finished(bad).outcome is Outcome.FAILED
    assert refused(site, orders[2]).startswith("RevisionMissing: ")
    assert "ann wants it" in next(event.summary for event in site.events(EventKind.QUEUED))
    daemon.stop()


def test_a_single_pass_carries_out_orders_too(silent: QuickSite) -> None:
    old = silent.push("sleep 0")
    silent.push("fail")
    hopeless, good = order(silent, package="silent"), order(silent, old)
    assert silent.daemon("--once", "--no-poll", env=SOON).end() == 0
    (build,) = settled(silent, good).builds
    silent.in_the_trunk(build)
    assert refused(silent, hopeless).endswith("cannot be polled: it took longer than 1 s")


def test_a_server_that_never_answers_holds_up_nobody_else_and_a_kill_loses_nothing(silent: QuickSite) -> None:
    daemon = silent.daemon("--no-poll", env=NEVER)
    hopeless, behind = order(silent, package="silent"), order(silent, "v1", package="silent")
    (build,) = settled(silent, order(silent)).builds
    silent.in_the_trunk(build)
    (build,) = settled(silent, order(silent, silent.push("sleep 0"))).builds
    silent.in_the_trunk(build)
    assert {found(silent, number).state for number in (hopeless, behind)} == {OrderState.WAITING}

    why = silent.run("why", "silent", "--json").json["why"]
    assert why["summary"].endswith("; 2 orders wait")
    assert "waits: the daemon looks for the commit, and asks upstream git://127.0.0.1:" in why["lines"][0]
    assert why["lines"][1].endswith(f"waits: order {hopeless} comes first")
    daemon.signal(signal.SIGKILL)
    daemon.end()
    assert "waits: no daemon is running" in silent.run("why", "silent").out
    assert {found(silent, number).state for number in (hopeless, behind)} == {OrderState.WAITING}
    after = silent.daemon("--no-poll", env=SOON)
    for number in (hopeless, behind):
        reason = refused(silent, number)
        assert reason.startswith("HostUnreachable: git://127.0.0.1:")
        assert reason.endswith("/silent.git cannot be polled: it took longer than 1 s")
    (build,) = settled(silent, order(silent)).builds
    silent.in_the_trunk(build)
    assert after.stop() == 0


def test_an_edit_frees_an_order_from_a_server_that_never_answers(silent: QuickSite) -> None:
    good = silent.add("other")
    daemon = silent.daemon("--no-poll", env=NEVER)
    number = order(silent, package="silent")
    settled(silent, order(silent))
    follow(silent, good.url)
    assert [silent.one(build).commit.upstream.sha for build in settled(silent, number).builds] == [good.head]
    assert daemon.stop() == 0


def test_the_end_waits_for_no_server(silent: QuickSite) -> None:
    daemon = silent.daemon("--no-poll", env=NEVER)
    number = order(silent, package="silent")
    settled(silent, order(silent))
    assert daemon.stop() == 0
    assert found(silent, number).state is OrderState.WAITING
