"""The real daemon is given floods of commits, and mistakes."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.model.build import Outcome
from conveyor.model.event import EventKind
from conveyor.model.queue import Pause, Scope, ScopeKind
from tests.faults.cases import ALL
from tests.support.daemons import Daemon, QuickSite
from tests.support.nothing_lost import ends_well, left, lost
from tests.support.site import wait_for

pytestmark = pytest.mark.integration

MANY = 10_000
PACKAGES = 200 if ALL else 5


def peak(daemon: Daemon) -> int:
    """The most memory that a daemon has occupied, in bytes."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{daemon.process.pid}/status").read_text())
    return int(line) * 1024


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
    site.push("until edited", upstream=other)
    site.seen()
    with site.books() as books:
        wait_for(books.store.running, "a build that runs")
        site.push("sleep 0")
        site.push("sleep 0", upstream=other)
        site.seen()
        del site.packages["other"], site.targets["debian-12-amd64"]
        site.upstreams.pop("other")
        site.configure()
        wait_for(lambda: site.events(EventKind.CONFIGURATION_LOADED), "the edit to be read")
        (site.data / "edited").touch()
        assert ends_well(site, daemon) == []
        builds = books.store.builds()
    superseded = [build for build in builds if build.outcome is Outcome.SUPERSEDED]
    assert len(superseded) == 4
    assert all(build.commit.package == "other" or build.target == "debian-12-amd64" for build in superseded)
    assert all(build.outcome is Outcome.SUCCEEDED for build in builds if build not in superseded)


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
