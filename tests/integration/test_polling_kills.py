"""kill -9 of a process that polls, at any moment: nothing is lost, and nothing is built twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conveyor.model.event import EventKind
from conveyor.store import open_books
from tests.support.gitservers import git_over_http
from tests.support.upstream import GitUpstream, git

pytestmark = pytest.mark.integration

PACKAGES = 6
TARGETS = ("debian-13-amd64", "centos-10-x86_64")
# What a daemon does all the time, in a process that can be killed: DATA SERVER, and ROUNDS of which each is waited for;
# 0 to go on for ever.
CHILD = f"""
import sys, threading, time
from datetime import UTC, datetime
from pathlib import Path
from conveyor.model.watch import Polling
from conveyor.pipeline.polling.watching import Watched, Watcher
from conveyor.store import open_books
from conveyor.upstream.mirror import GitMirrors
from conveyor.upstream.packaging import PackagingSources
from tests.support.watching import package
from conveyor.model.package import PackagingRepository

data, server, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
books = open_books(f"sqlite:///{{data}}/conveyor.db")
git = GitMirrors(data / "mirrors")
class Clock:
    def now(self):
        return datetime.now(UTC)
packages = {{
    f"p{{n}}": package(f"p{{n}}", url=f"{{server}}p{{n}}.git", targets={TARGETS!r},
                     packaging=PackagingRepository(url=f"{{server}}packaging.git", branch="master"))
    for n in range({PACKAGES})
}}
watched = Watched(git=git, packaging=PackagingSources(git), queue=books.queue, watch=books.watch, store=books.store,
                  clock=Clock(), tag_version=lambda url, name: name, host_of=lambda url: "")
polling = Polling(interval=1, retry_start=1, retry_limit=1)
watcher = Watcher(watched, packages, polling, patience=None if rounds else 0.1)
(data / "ready").touch()
while not rounds:
    watcher.poll(datetime.now(UTC))
    time.sleep(0.01)
for _ in range(rounds):
    watcher.poll(datetime.now(UTC))
    time.sleep(1.2)
watcher.close()
books.store.close()
"""


def started(data: Path, server: str, rounds: int = 0) -> subprocess.Popen[bytes]:
    """A process that polls."""
    (data / "ready").unlink(missing_ok=True)
    argv = [sys.executable, "-c", CHILD, str(data), server, str(rounds)]
    process = subprocess.Popen(argv, start_new_session=True)
    while not (data / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_a_poll_that_is_killed_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "git").mkdir()
    upstreams = [GitUpstream(tmp_path / "git" / f"p{number}.git") for number in range(PACKAGES)]
    packaging = GitUpstream(tmp_path / "git" / "packaging.git")
    packaging.commit("First", files={"x.spec.j2": b"Name: x"})
    for upstream in upstreams:
        upstream.tag("1.0", upstream.commit("First"))
    with git_over_http(tmp_path / "git") as server:
        assert started(tmp_path, server.url, 1).wait(60) == 0
        seen = {upstream: [git(upstream.folder, "rev-parse", "master")] for upstream in upstreams}
        for number in range(10):
            process = started(tmp_path, server.url)
            for upstream in upstreams:
                moved = upstream.commit(f"Commit {number}")
                upstream.tag("1.0", moved)
                seen[upstream] += [moved, upstream.commit(f"And {number}")]
            time.sleep(number / 10)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        assert started(tmp_path, server.url, 3).wait(60) == 0
    books = open_books(f"sqlite:///{tmp_path}/conveyor.db")
    for number, upstream in enumerate(upstreams):
        for target in TARGETS:
            builds = books.store.builds(package=f"p{number}", target=target, limit=1000)
            assert [build.commit.upstream.sha for build in reversed(builds)] == seen[upstream]
            assert all(build.outcome is None for build in builds)
        moves = books.events.newest(package=f"p{number}", kinds=[EventKind.TAG_MOVED], limit=1000)[::-1]
        # Of two moves between two looks the first one is not seen; but nothing is told twice, and the last not lost.
        assert [event.detail["from"] for event in moves] == [seen[upstream][0], *(e.detail["to"] for e in moves[:-1])]
        assert moves[-1].detail["to"] == seen[upstream][-2]
    books.store.close()
