"""The real daemon as a process, on a site whose workers build quickly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag
from typing import Any, TypeVar

import pytest

from conveyor.cli.progress import SilentProgress
from conveyor.command import process_started
from conveyor.config import load_repos, load_settings
from conveyor.model.build import Build, State
from conveyor.model.event import Event, EventKind
from conveyor.model.watch import Side
from conveyor.pipeline.poll import Wanted
from conveyor.ports import Watch
from conveyor.store import Books, open_books
from conveyor.wiring import Conveyor, open_conveyor
from conveyor.wiring.watching import make_watcher
from tests.support.published import need
from tests.support.site import CACHE, DEB, TARGETS, Site, wait_for
from tests.support.upstream import GitUpstream

# What the daemon wants to find where it builds for a deb target.
PROGRAMS = ("git", "bwrap", "setpriv", "unshare", "mkfs.ext4", "mmdebstrap", "apt-get", "dpkg")
NO_POLL = "--no-poll"
TRACE = "Traceback"
# The shim of rpm's bindings asks another Python, through its standard input, which complains when the asker is killed.
SHIM = 'Traceback (most recent call last):\n  File "<stdin>"'
# What lets a test see things within its patience.
IMPATIENT = {"CONVEYOR_DAEMON_WORKERS": "1", "CONVEYOR_DAEMON_RETRY_WAIT": "1s", "CONVEYOR_DAEMON_STOP_WITHIN": "30s"}


@dataclass(slots=True)
class Daemon:
    """A daemon that runs, or ran.

    Attributes:
        process: its process.
        log: what it writes.
    """

    process: subprocess.Popen[str]
    log: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def said(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines that say this."""
        return [
            line for line in self.lines if line["event"] == event and all(line.get(k) == v for k, v in fields.items())
        ]

    def workers(self) -> list[int]:
        """Process ids of the workers that live."""
        started = [line["pid"] for line in self.said("worker started")]
        return [pid for pid in started if process_started(pid) is not None]

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it as the kernel does."""
        self.process.kill()
        self.process.wait()

    def end(self, patience: float = 60) -> int:
        """Wait for its end; its exit code."""
        try:
            return self.process.wait(patience)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def stop(self) -> int:
        """Stop it, and wait for its end."""
        self.signal()
        return self.end()


class QuickSite(Site):
    """A site for one deb target whose builds do what `behaviour` in the upstream's commit says: support/quick.py."""

    program = "tests.support.quick_conveyor"

    def __init__(self, folder: Path, data: Path | None = None, buildroots: Path | None = None) -> None:
        own = folder / "buildroots"
        own.mkdir()
        super().__init__(folder, buildroots or own, data)
        self.targets = {DEB: TARGETS[DEB]}
        self.upstreams = {"hello": self.upstream}
        self.database = f"sqlite:///{self.data}/conveyor.db"
        self.configure()
        self._daemons: list[Daemon] = []

    def add(self, package: str) -> GitUpstream:
        """One more package, with an upstream of its own."""
        upstream = GitUpstream(self.folder / f"upstream/{package}.git")
        upstream.commit("Begin", files={"hello.sh": f"echo {package}\n".encode()})
        self.packages[package] = f'{{upstream: "{upstream.url}", packaging: specs/hello}}'
        self.upstreams[package] = upstream
        self.configure()
        return upstream

    def set(self, key: str, value: str) -> None:
        """Set a key in conveyor.toml, before its tables."""
        settings = self.folder / "conveyor.toml"
        settings.write_text(f"{key} = {value}\n{settings.read_text()}")

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """As a site's, with its store."""
        return super().environment({"CONVEYOR_DATABASE": self.database, **(extra or {})})

    def push(self, *behaviour: str, upstream: GitUpstream | None = None) -> str:
        """A commit whose build behaves so; gives its sha."""
        files = {"behaviour": "".join(f"{line}\n" for line in behaviour).encode()}
        return (upstream or self.upstream).commit(f"Behave: {', '.join(behaviour)}", files=files)

    def queue(self, *packages: str, repos: str = "repos.yaml") -> list[int]:
        """Ask for builds of the newest commits, as a person would; their numbers."""
        with self.opened(repos) as conveyor:
            chosen = [conveyor.repos.packages[name] for name in packages or ("hello",)]
            commits = [conveyor.poll.find(package, Wanted()) for package in chosen]
            return [conveyor.store.queue(commit, DEB, retry=True).id for commit in commits]

    def queue_pushed(self, *behaviour: str) -> list[int]:
        """Push a commit of hello, and ask for its build."""
        self.push(*behaviour)
        return self.queue()

    def queue_as_it_was(self, behaviour: str, repos: str) -> list[int]:
        """The same, while repos.yaml has mistakes: by another that has none."""
        self.push(behaviour)
        (self.folder / "good.yaml").write_text(repos)
        return self.queue(repos="good.yaml")

    def see(self) -> None:
        """Have all that was pushed seen by a poll of the test's own."""
        with self.opened() as conveyor:
            watcher = make_watcher(
                conveyor.settings,
                conveyor.repos,
                queue=conveyor.queue,
                watch=conveyor.watch,
                store=conveyor.store,
                stop=Flag(),
            )
            conveyor.watch.poke(sorted(self.upstreams), "the test", datetime.now(UTC))
            wait_for(
                lambda: watcher.poll(datetime.now(UTC)) == 0 and self._all_seen(conveyor.watch), "all pushes to be seen"
            )
            watcher.close()

    def seen(self) -> None:
        """Wait until a daemon has seen all that was pushed."""
        self.poke()
        with self.books() as books:
            try:
                wait_for(lambda: self._all_seen(books.watch), "all pushes to be seen", 60)
            except AssertionError as error:
                raise AssertionError(f"{books.watch.pokes()} {books.watch.remotes()} {books.watch.heads()}") from error

    def poke(self) -> None:
        """Ask for a poll of everything."""
        with self.books() as books:
            books.watch.poke(sorted(self.upstreams), "the test", datetime.now(UTC))

    def _all_seen(self, watch: Watch) -> bool:
        heads = watch.heads()
        return all(
            (name, Side.UPSTREAM) in heads and heads[name, Side.UPSTREAM].sha == upstream.head
            for name, upstream in self.upstreams.items()
        )

    def cancel(self, number: int) -> None:
        """Cancel a build."""
        with self.books() as books:
            books.queue.cancel(number, "ada", datetime.now(UTC))

    @contextmanager
    def opened(self, repos: str = "repos.yaml") -> Iterator[Conveyor]:
        """The site as a command opens it."""
        named = {
            "CONVEYOR_REPOS": str(self.folder / repos),
            "CONVEYOR_DATA_DIR": str(self.data),
            "CONVEYOR_DATABASE": self.database,
        }
        settings = load_settings(self.folder / "conveyor.toml", named)
        conveyor = open_conveyor(settings, load_repos(settings.repos), SilentProgress())
        try:
            yield conveyor
        finally:
            conveyor.close()

    @contextmanager
    def books(self) -> Iterator[Books]:
        """What is recorded."""
        books = open_books(self.database)
        try:
            yield books
        finally:
            books.store.close()

    def one(self, number: int) -> Build:
        """A build as it is now."""
        with self.books() as books:
            return books.store.build(number)

    def events(self, *kinds: EventKind) -> list[Event]:
        """What was told, the oldest first."""
        with self.books() as books:
            return [event for event in books.events.after(0) if not kinds or event.kind in kinds]

    def daemon(self, *arguments: str, env: Mapping[str, str] | None = None) -> Daemon:
        """Start the daemon; its log goes to a file."""
        log = self.folder / f"daemon-{len(self._daemons)}.log"
        with log.open("w") as output:
            started = super().start("daemon", *arguments, env={**IMPATIENT, **(env or {})}, log=output)
        daemon = Daemon(started, log)
        self._daemons.append(daemon)
        return daemon

    def built(self, patience: float = 60) -> None:
        """Wait until nothing is left to be done: all is built or will not be, and published."""
        with self.books() as books:
            wait_for(lambda: _is_idle(books), "everything to be built", patience)

    def once(self, env: Mapping[str, str] | None = None) -> int:
        """One pass of the daemon; its exit code."""
        return self.daemon("--once", env=env).end(120)

    def wait(self, number: int, condition: Callable[[Build], object], what: str = "the build") -> Build:
        """Wait until a build is so."""
        with self.books() as books:
            wait_for(lambda: condition(books.store.build(number)), what, 60)
            return books.store.build(number)

    def finished(self, number: int) -> Build:
        """Wait for a build's end."""
        return self.wait(number, lambda build: build.state is State.FINISHED, f"the end of build {number}")

    def in_the_trunk(self, number: int) -> Build:
        """Wait until a build is published."""
        return self.wait(number, lambda build: build.published, f"build {number} to be published")

    def running(self, number: int) -> Build:
        """Wait until a build is in its build stage."""
        wait_for(lambda: self.stage() == "build" and self.one(number).state is State.RUNNING, "the stage build", 60)
        return self.one(number)

    def close(self) -> list[str]:
        """End all daemons; what any of them left behind or said that none should."""
        for daemon in self._daemons:
            if daemon.process.poll() is None:
                daemon.kill()
        traces = [log for log in (daemon.log.read_text() for daemon in self._daemons) if TRACE in log.replace(SHIM, "")]
        wait_for(
            lambda: not [pid for daemon in self._daemons for pid in daemon.workers()], "the end of all workers", 30
        )
        return traces


def _is_idle(books: Books) -> bool:
    return not [
        *books.queue.changes(0).items,
        *books.queue.errored(),
        *books.store.unpublished(),
        *books.ledger.pending(),
    ]


class RealSite(QuickSite):
    """The same with the real builder.

    Args:
        folder: as a site's.
        buildroots: shared folder of layers.
    """

    program = "conveyor.cli.main"

    def __init__(self, folder: Path, buildroots: Path) -> None:
        super().__init__(folder, buildroots=buildroots)


SomeSite = TypeVar("SomeSite", bound=QuickSite)


@contextmanager
def site_of(make: Callable[[Path], SomeSite], below: Path = CACHE) -> Iterator[SomeSite]:
    """A site in a folder of its own, for as long as a test runs; no daemon of it may leave or say what none should.

    The test is skipped where the daemon would not start.

    Args:
        make: makes it, in an empty folder.
        below: where that folder is.
    """
    if os.geteuid() != 0:
        pytest.skip("building needs root")
    need(*PROGRAMS)
    below.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=below))
    try:
        site = make(folder)
        try:
            yield site
        finally:
            defects = site.close()
            for log in sorted(folder.glob("daemon-*.log")):
                print(f"== {log.name}\n{log.read_text()[-6000:]}")  # noqa: T201 - seen where the test fails
    finally:
        shutil.rmtree(folder)
    assert defects == []


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    return process_started(pid) is not None
