"""Real clients read `current` without a pause while publishers, a promoter and a collector work at once, are killed and
meet a failing disk."""

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

from tests.faults.cases import ALL
from tests.support import publisher, soundness
from tests.support.clients import Apt, Dnf, Place
from tests.support.keys import Keys
from tests.support.publisher import DEB, REPOS, RPM, Release, Worker, make_site, run, signed
from tests.support.strace import SystemCall, counted, injected, need_strace
from tests.support.webserver import WebServer, free_port, serving

pytestmark = pytest.mark.integration

UPDATES = 30 if ALL else 15
LIMIT = 480.0
# apt asks for what a repository need not have.
OPTIONAL = ("InRelease", "Release.gpg")
# Short, and longer than a client needs from the first file that it asks for to the last one.
RETENTION = "retention: {newest: 5, grace: 15s}\n"
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


Work = tuple[Callable[..., object], tuple[object, ...]]


@dataclass(slots=True)
class Actor:
    """One who does work after work, in processes that are killed or meet a failing disk.

    Attributes:
        site: the site.
        work: what is done, without an end.
        calls: system calls at which something may happen; none where it is killed at any time.
        chance: decides what.
        ended: how the processes ended, by kind.
        defects: what was no intended error.
    """

    site: Path
    work: Iterator[Work]
    calls: tuple[SystemCall, ...]
    chance: random.Random
    ended: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)

    def go_on(self, over: Callable[[], bool]) -> None:
        """Work until it is over; what was not finished is taken up by the next process."""
        for work in self.work:
            while not over() and not self._done(work):
                pass
            if over():
                return

    def _done(self, work: Work) -> bool:
        worker = Worker(work[0], self.site, *work[1])
        if self.calls and self.chance.random() < 0.5:
            ended = injected(worker, self.chance.choice(self.calls), self.chance.choice(FAULTS))
        else:
            worker.go()
            if self.chance.random() < 0.5:
                time.sleep(self.chance.uniform(0, 0.3))
                worker.kill()
            ended = worker.end()
        kind = "defect" if ended.defect else ended.refused.partition(":")[0]
        self.ended["good" if ended.good else "killed" if ended.killed else kind] += 1
        if ended.defect:
            self.defects.append(ended.defect)
        return ended.good or "UnknownName" in ended.refused  # it was collected meanwhile


def publishing(releases: tuple[Release, ...], package: str, numbers: Iterator[int]) -> Iterator[Work]:
    """New commits of a package for ever."""
    return ((publisher.publish, (each,)) for each in endless(releases, package, numbers))


def promoting(chance: random.Random) -> Iterator[Work]:
    """A promotion that moves to and fro."""
    return ((publisher.promote, ("tested", chance.randrange(5))) for _ in itertools.count())


def collecting() -> Iterator[Work]:
    """Retention, again and again."""
    return ((publisher.collect, ()) for _ in itertools.count())


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
    site = make_site(
        room / "served", repos=RETENTION + REPOS, base_url=f"http://127.0.0.1:{port}", settings=signed(keys)
    )
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
    actors = {
        "publisher of hello": Actor(site, publishing(more_releases, "hello", numbers), calls, chance),
        "publisher of other": Actor(site, publishing(more_releases, "other", numbers), calls, chance),
        "promoter": Actor(site, promoting(chance), (), chance),
        "collector": Actor(site, collecting(), (), chance),
    }
    counts = {"apt": Count(), "dnf": Count()}
    deadline = time.monotonic() + LIMIT

    def enough() -> bool:
        return all(count.good >= UPDATES for count in counts.values()) or time.monotonic() > deadline

    threads = [
        threading.Thread(target=read_with_apt, args=(apt, counts["apt"], enough)),
        threading.Thread(target=read_with_dnf, args=(dnf, counts["dnf"], enough)),
        *(threading.Thread(target=each.go_on, args=(enough,)) for each in actors.values()),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    told = [f"server: {server.name}", *(f"{name}: {dict(each.ended)}" for name, each in actors.items())]
    for client, version in (("apt", apt.version), ("dnf", dnf.version)):
        count = counts[client]
        told.append(f"{version}: {count.good} updates of {len(count.seen)} states, {len(count.bad)} failures")
    collected = run(publisher.collected, site).result
    print(*told, f"{collected} snapshots collected", sep="\n")  # noqa: T201 - the figures of the report
    assert [each for count in counts.values() for each in count.bad] == []
    assert [path for path, status in server.requests if status >= 400 and not path.endswith(OPTIONAL)] == []
    assert [each for one in actors.values() for each in one.defects] == []
    assert all(each.ended["killed"] > 3 and each.ended["good"] > 3 for each in actors.values())
    assert collected
    assert all(count.good >= UPDATES and len(count.seen) > 5 for count in counts.values())
    assert run(publisher.settle, site).result == ()
    assert run(publisher.collect, site).good
    assert soundness.problems(site / "data/repos") == []
    assert soundness.left_over(site / "data") == []
