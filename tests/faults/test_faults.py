"""The publisher is killed, or refused what it asks the kernel for, at each system call that writes.

After each of them clients see a whole tree, the next start brings everything into order, and publishing the same again
ends with the same bytes as if nothing had happened. CONVEYOR_TEST_ALL_FAULTS=1 leaves no call out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.faults.cases import ALL
from tests.support import publisher, soundness
from tests.support.disks import mount_memory
from tests.support.keys import Keys
from tests.support.publisher import Ended, Release, Worker, make_site, run, signed
from tests.support.strace import SystemCall, counted, injected, sampled

pytestmark = pytest.mark.integration

AT_ONCE = 2
# Of what there are hundreds, so many are tried; of what decides, each.
SAMPLE = {"write": 12, "pwrite64": 12, "openat": 12, "link": 12, "mkdir": 24, "fsync": 30, "fdatasync": 8}
NEW_NAMES = ("mkdir", "symlink", "link", "rename", "rmdir", "unlink")
NEEDS_ROOM = ("write", "pwrite64", "openat", "mkdir", "link", "symlink", "rename", "ftruncate")
SHOWN = 10
PAGE = 4096
MOST_PAGES = 200
# The snapshot is there, the move is begun, and the pointer is about to go.
MOVED = re.compile(r"/current\"")
SYNCS = ("fsync", "fdatasync")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a fault is tried on.

    Attributes:
        room: folder for copies of the site.
        before: the site before the last commit is published.
        releases: everything, the last commit included.
        whole: the published tree as it is without any fault; None where it is signed, and no two are alike.
        key: the public key that its signatures are checked with.
        calls: the writing system calls of an undisturbed run, those that fail by themselves left out.
    """

    room: Path
    before: Path
    releases: tuple[Release, ...]
    whole: dict[str, str] | None
    calls: tuple[SystemCall, ...]
    key: bytes = b""

    def sample(self, *names: str) -> tuple[SystemCall, ...]:
        """The calls of these names, or some of them."""
        found: list[SystemCall] = []
        for name in names:
            calls = [call for call in self.calls if call.name == name]
            found += calls if ALL else sampled(calls, SAMPLE.get(name, len(calls) or 1))
        return tuple(found)

    def copy(self, name: str) -> Path:
        """A copy of the site."""
        return copy(self.before, self.room / name)


def copy(site: Path, to: Path) -> Path:
    """A copy of a site; the hard links in it stay."""
    subprocess.run(["cp", "--archive", str(site), str(to)], check=True)
    return to


@pytest.fixture(scope="module")
def bench(room: Path, before: Path, whole: Path, releases: tuple[Release, ...]) -> Bench:
    site = copy(before, room / "counted")
    calls, ended = counted(Worker(publisher.publish, site, releases), room)
    assert ended.good, ended
    content = soundness.content_of(whole / "data/repos")
    assert soundness.problems(whole / "data/repos") == []
    assert soundness.content_of(site / "data/repos") == content
    shutil.rmtree(site)
    return Bench(
        room=room,
        before=before,
        releases=releases,
        whole=content,
        calls=tuple(call for call in calls if " = -1 E" not in call.text),
    )


def aftermath(bench: Bench, site: Path) -> list[str]:
    """What is not as it should be after a fault, and after the start and the publishing that follow it."""
    repos = site / "data/repos"
    found = [f"seen by clients: {each}" for each in soundness.problems(repos)]
    found += _told("a start", run(publisher.settle, site))
    found += [f"after a start: {each}" for each in (*soundness.problems(repos), *soundness.left_over(site / "data"))]
    found += _told("publishing again", run(publisher.publish_twice, site, bench.releases))
    if bench.key:
        found += soundness.not_signed(repos, bench.key, site)
    if bench.whole is not None:
        content = soundness.content_of(repos)
        different = sorted(path for path in {*bench.whole, *content} if bench.whole.get(path) != content.get(path))
        found += [f"other than without the fault: {path}" for path in different]
    return found


def _told(what: str, ended: Ended) -> list[str]:
    """What somebody who came after found wrong."""
    if not ended.good:
        return [f"{what}: {ended.refused or ended.defect or 'killed'}"]
    assert isinstance(ended.result, tuple)
    return [f"{what}: {each}" for each in ended.result]


Inject = Callable[[Path, tuple[Release, ...], SystemCall], Ended]


def try_each(bench: Bench, calls: Sequence[SystemCall], inject: Inject, judge: Callable[[Ended], str]) -> None:
    """Meet a fault at each of the calls, on a copy of the site each time."""

    def attempt(numbered: tuple[int, SystemCall]) -> Iterable[str]:
        number, call = numbered
        site = bench.copy(f"case-{number}")
        said = [judge(inject(site, bench.releases, call)), *aftermath(bench, site)]
        shutil.rmtree(site)
        return [f"{call}\n    {each}" for each in said if each]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        bad = [each for found in pool.map(attempt, enumerate(calls)) for each in found]
    assert len(calls) > 0
    print(f"{len(calls)} faults tried")  # noqa: T201 - the figure of the report
    shown = "\n".join(bad[:SHOWN])
    assert not bad, f"{len(bad)} things are wrong, such as:\n{shown}"


def publishing_meets(fault: str) -> Inject:
    """A publisher that meets a fault."""
    return lambda site, releases, call: injected(Worker(publisher.publish, site, releases), call, fault)


def killed_at(work: Callable[[Path], object]) -> Inject:
    """Another work that is killed."""
    return lambda site, _, call: injected(Worker(work, site), call, "signal=KILL")


def killed(ended: Ended) -> str:
    return "" if ended.killed else f"it was not killed: {ended}"


def told_in_words(ended: Ended) -> str:
    """A refused call is no reason for a trace; it may be one that Conveyor does not need."""
    if ended.defect:
        return ended.defect
    return "it was killed" if ended.killed else ""


@pytest.mark.parametrize("name", [*NEW_NAMES, *SYNCS, "openat", "write", "pwrite64", "ftruncate"])
def test_killed_before(bench: Bench, name: str) -> None:
    try_each(bench, bench.sample(name), publishing_meets("signal=KILL"), killed)


@pytest.mark.parametrize("name", NEEDS_ROOM)
def test_no_room_at(bench: Bench, name: str) -> None:
    try_each(bench, bench.sample(name), publishing_meets("error=ENOSPC"), told_in_words)


@pytest.mark.parametrize("name", SYNCS)
def test_the_disk_fails_at(bench: Bench, name: str) -> None:
    try_each(bench, bench.sample(name), publishing_meets("error=EIO"), told_in_words)


@pytest.mark.parametrize("error", ["EIO", "EACCES"])
def test_a_name_is_refused(bench: Bench, error: str) -> None:
    calls = bench.sample("rename")
    try_each(bench, calls, publishing_meets(f"error={error}"), told_in_words)


@pytest.fixture(scope="module")
def signing(room: Path, keys: Keys, releases: tuple[Release, ...]) -> Bench:
    before = make_site(room / "signing", settings=signed(keys))
    assert run(publisher.publish, before, releases[:-2]).good
    site = copy(before, room / "counted")
    calls, ended = counted(Worker(publisher.publish, site, releases), room)
    assert ended.good, ended
    shutil.rmtree(site)
    return Bench(room=room, before=before, releases=releases, whole=None, calls=calls, key=keys.export("first"))


@pytest.mark.parametrize("name", ["rename", "openat", "write"])
def test_killed_while_signing(signing: Bench, name: str) -> None:
    calls = [call for call in signing.sample(name) if " = -1 E" not in call.text]
    # The run that was counted may have met folders of other tests that sign, and so be longer than those that follow.
    certain = calls[: len(calls) - len(calls) // 8]
    try_each(signing, calls if ALL else sampled(certain, 10), publishing_meets("signal=KILL"), killed)


@pytest.mark.parametrize("name", ["rename", "unlink", "rmdir", "pwrite64"])
def test_the_collector_is_killed(bench: Bench, whole: Path, name: str) -> None:
    """It leaves nothing but what the next one removes."""
    full = copy(whole, bench.room / "full")
    (full / "repos.yaml").write_text("retention: {newest: 1, grace: 1s}\n" + (full / "repos.yaml").read_text())
    time.sleep(1.1)  # the grace
    swept = copy(full, bench.room / "swept")
    calls, ended = counted(Worker(publisher.collect, swept), bench.room)
    assert ended.result == 4, ended
    left = soundness.content_of(swept / "data/repos")
    bad = []
    for number, call in enumerate(sampled([call for call in calls if call.name == name], 8)):
        site = copy(full, bench.room / f"collected-{number}")
        assert injected(Worker(publisher.collect, site), call, "signal=KILL").killed
        found = soundness.problems(site / "data/repos")
        found += _told("a start", run(publisher.settle, site))
        assert run(publisher.collect, site).good
        found += [*soundness.problems(site / "data/repos"), *soundness.left_over(site / "data")]
        if soundness.content_of(site / "data/repos") != left:
            found.append("another tree than without the kill")
        bad += [f"{call}\n    {each}" for each in found]
        shutil.rmtree(site)
    shutil.rmtree(full)
    shutil.rmtree(swept)
    assert calls
    assert not bad, "\n".join(bad[:SHOWN])


@pytest.mark.parametrize("name", ["rename", "fsync", "pwrite64"])
def test_the_start_is_killed_too(bench: Bench, name: str) -> None:
    """What one kill left, and another one kept from being brought into order, the next start brings into order."""
    half_done = bench.copy("half-done")
    (moved,) = [call for call in bench.calls if call.name == "rename" and MOVED.search(call.text)][:1]
    assert injected(Worker(publisher.publish, half_done, bench.releases), moved, "signal=KILL").killed
    calls, ended = counted(Worker(publisher.settle, copy(half_done, bench.room / "counted")), bench.room)
    assert ended.good, ended
    shutil.rmtree(bench.room / "counted")
    again = replace(bench, before=half_done, calls=calls)
    try_each(again, again.sample(name), killed_at(publisher.settle), killed)
    shutil.rmtree(half_done)


def test_a_disk_that_is_really_full(bench: Bench, tmp_path: Path) -> None:
    """A file takes all the room but some pages; each of them brings publishing a little further."""
    if os.geteuid() != 0 or not mount_memory(tmp_path, "16m"):
        pytest.skip("this machine does not allow to mount a small disk")
    try:
        site = copy(bench.before, tmp_path / "site")
        ballast = tmp_path / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(PAGE))
        refused = 0
        for _ in range(MOST_PAGES):
            ended = run(publisher.publish, site, bench.releases)
            assert not ended.defect, ended.defect
            assert soundness.problems(site / "data/repos") == []
            if ended.good:
                break
            refused += ended.refused.startswith("DiskFull")
            assert ended.refused.startswith(("DiskFull", "StoreUnusable")), ended
            assert ended.hint, ended
            os.truncate(ballast, max(0, ballast.stat().st_size - 8 * PAGE))
        assert refused > 5
        ballast.unlink()
        assert aftermath(bench, site) == []
        print(f"refused {refused} times")  # noqa: T201 - the figure of the report
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
