"""Real clients read `current` without a pause while publishers write, are killed and meet a failing disk."""

from __future__ import annotations

import itertools
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support import publisher, soundness
from tests.support.clients import Apt, Dnf, Place
from tests.support.keys import Keys
from tests.support.publisher import DEB, RPM, Release, Worker, make_site, run, signed
from tests.support.strace import SystemCall, counted, injected, need_strace
from tests.support.webserver import WebServer, free_port, serving

pytestmark = pytest.mark.integration

UPDATES = 30
LIMIT = 240.0
# apt asks for what a repository need not have.
OPTIONAL = ("InRelease", "Release.gpg")
FAULTS = ("signal=KILL", "signal=KILL", "error=ENOSPC", "error=EIO")


@dataclass(slots=True)
class Count:
    """What happened to one who works without a pause.

    Attributes:
        good: how often it went well.
        bad: what it said where it did not.
        seen: what it was offered, which tells how often a pointer moved.
    """

    good: int = 0
    bad: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def read_with_apt(apt: Apt, count: Count, over: Callable[[], bool]) -> None:
    """Fetch the lists and a package, again and again; each third time from nothing."""
    for turn in itertools.count():
        if over():
            return
        if turn % 3 == 0:
            apt.forget()
        for said in (apt.update(), apt("download", "hello", "other")):
            if said.code != 0:
                count.bad.append(said.text)
        count.good += 1
        lists = apt.place.path("apt/state/lists").glob("*Release")
        count.seen.update(soundness.sha256_of(path) for path in lists)


def read_with_dnf(dnf: Dnf, count: Count, over: Callable[[], bool]) -> None:
    """The same with dnf."""
    for turn in itertools.count():
        if over():
            return
        if turn % 3 == 0:
            shutil.rmtree(dnf.place.path("dnf/cache"), ignore_errors=True)
        into = f"--destdir={dnf.place.name('packages')}"
        for said in (dnf.makecache(), dnf("install", "--downloadonly", into, "hello", "other")):
            if said.code != 0:
                count.bad.append(said.text)
        count.good += 1
        for path in dnf.place.path("dnf/cache").glob("*/repodata/repomd.xml"):
            count.seen.add(soundness.sha256_of(path))


@dataclass(slots=True)
class Publishing:
    """One who publishes commit after commit of a package, in processes that are killed or meet a failing disk.

    Attributes:
        site: the site.
        releases: what is published, without an end.
        calls: system calls at which something may happen.
        chance: decides what.
        ended: how the processes ended, by kind.
        defects: what was no intended error.
    """

    site: Path
    releases: Iterator[tuple[Release, ...]]
    calls: tuple[SystemCall, ...]
    chance: random.Random
    ended: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)

    def go_on(self, over: Callable[[], bool]) -> None:
        """Publish until it is over; what was not finished is taken up by the next process."""
        for releases in self.releases:
            while not over() and not self._published(releases):
                pass
            if over():
                return

    def _published(self, releases: tuple[Release, ...]) -> bool:
        worker = Worker(publisher.publish, self.site, releases)
        if self.chance.random() < 0.5:
            ended = injected(worker, self.chance.choice(self.calls), self.chance.choice(FAULTS))
        else:
            worker.go()
            if self.chance.random() < 0.5:
                time.sleep(self.chance.uniform(0, 0.3))
                worker.kill()
            ended = worker.end()
        self.ended["good" if ended.good else "killed" if ended.killed else ended.refused.partition(":")[0]] += 1
        if ended.defect:
            self.defects.append(ended.defect)
        return ended.good


def endless(releases: tuple[Release, ...], package: str, numbers: Iterator[int]) -> Iterator[tuple[Release, ...]]:
    """New commits for ever; what their builds made is that of the few there are, in turn."""
    versions = sorted({each.number for each in releases if each.package == package})
    for version in itertools.cycle(versions):
        number = next(numbers)
        yield tuple(replace(each, number=number) for each in releases if each.number == version)


@pytest.fixture
def served(room: Path, keys: Keys, more_releases: tuple[Release, ...]) -> Iterator[tuple[Path, WebServer]]:
    """A site with one commit of each package, whose tree is served."""
    need_strace()
    port = free_port()
    site = make_site(room / "served", base_url=f"http://127.0.0.1:{port}", settings=signed(keys))
    ended = run(publisher.publish, site, first_of_each(more_releases))
    assert ended.good, ended
    (room / "server").mkdir()
    with serving(site / "data/repos", room / "server", port) as server:
        yield site, server


def first_of_each(releases: tuple[Release, ...]) -> tuple[Release, ...]:
    """The first commit of each package."""
    numbers = {each.package: each.number for each in reversed(releases)}
    return tuple(each for each in releases if each.number == numbers[each.package])


def test_no_client_ever_fails(
    room: Path, tmp_path: Path, served: tuple[Path, WebServer], more_releases: tuple[Release, ...]
) -> None:
    site, server = served
    apt, dnf = Apt(Place(tmp_path / "apt")), Dnf(Place(tmp_path / "dnf"))
    apt.source(run(publisher.client_file, site, DEB, "current").text)
    dnf.source(run(publisher.client_file, site, RPM, "current").text)
    numbers = itertools.count(100)
    first = next(endless(more_releases, "hello", numbers))
    calls, ended = counted(Worker(publisher.publish, site, first), room)
    assert ended.good, ended
    calls = tuple(call for call in calls if call.name != "openat")  # the same one may read something another time
    chance = random.Random(20240101)
    publishing = [
        Publishing(
            site=site,
            releases=endless(more_releases, package, numbers),
            calls=calls,
            chance=random.Random(chance.random()),
        )
        for package in ("hello", "other")
    ]
    counts = {"apt": Count(), "dnf": Count()}
    deadline = time.monotonic() + LIMIT

    def enough() -> bool:
        return all(count.good >= UPDATES for count in counts.values()) or time.monotonic() > deadline

    threads = [
        threading.Thread(target=read_with_apt, args=(apt, counts["apt"], enough)),
        threading.Thread(target=read_with_dnf, args=(dnf, counts["dnf"], enough)),
        *(threading.Thread(target=each.go_on, args=(enough,)) for each in publishing),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    processes = sum((each.ended for each in publishing), Counter[str]())
    print(f"server: {server.name}; publishers: {dict(processes)}")  # noqa: T201 - the figures of the report
    for client, version in (("apt", apt.version), ("dnf", dnf.version)):
        count = counts[client]
        print(f"{version}: {count.good} updates of {len(count.seen)} states, {len(count.bad)} failures")  # noqa: T201
    assert [each for count in counts.values() for each in count.bad] == []
    assert [path for path, status in server.requests if status >= 400 and not path.endswith(OPTIONAL)] == []
    assert [each for one in publishing for each in one.defects] == []
    assert processes["killed"] > 5
    assert processes["good"] > 5
    assert all(count.good >= UPDATES and len(count.seen) > 5 for count in counts.values())
    assert run(publisher.settle, site).result == ()
    assert soundness.problems(site / "data/repos") == []
    assert soundness.left_over(site / "data") == []
