"""The real publisher as a process of its own, which a test can kill or have refused what it asks the kernel for.

No sandbox and no build: it keeps, finishes and publishes packages that are there, on a data directory with the real
store and the real tree.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from traceback import format_exc

# Loaded once, in the process that all others are copies of: the wiring itself waits with them until they are needed.
import conveyor.formats.deb.describe
import conveyor.formats.deb.metadata
import conveyor.formats.deb.toolchain
import conveyor.formats.rpm.metadata
import conveyor.formats.rpm.toolchain
import conveyor.formats.templates.renderer
import conveyor.store
import conveyor.upstream.packaging
import conveyor.upstream.versions
import conveyor.wiring.builders  # noqa: F401
from conveyor.buildroot.isolation import cgroup
from conveyor.command import process_started
from conveyor.config import load_repos, load_settings
from conveyor.errors import ConveyorError
from conveyor.model.artifact import Artifact
from conveyor.model.build import Build, Claim, Outcome, State
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.promotion import MoveKind
from conveyor.wiring import disk_error, make_collect, open_conveyor
from conveyor.wiring.conveyor import Conveyor
from tests.fakes.progress import FakeProgress
from tests.support.keys import Keys
from tests.support.published import DAY_ONE, PACKAGING_SHA, entry_of, sha_of
from tests.support.soundness import sha256_of, touched

RPM = "centos-10-x86_64"
DEB = "debian-13-amd64"
REPOS = """\
defaults: {targets: [centos-10-x86_64, debian-13-amd64], version_scheme: tag}
targets:
  debian-13-amd64: {format: deb, suite: trixie}
  centos-10-x86_64:
    format: rpm
    release: "10"
    repositories: [{name: nowhere, url: "http://127.0.0.1:9/", key: none}]
packages:
  hello: {upstream: "https://git.example.org/hello"}
  other: {upstream: "https://git.example.org/other"}
"""
UNSIGNED = "[signing]\nunsigned = true\n"
PATIENCE = 120.0
# All that it says goes through a pipe; this comes first, and ends what is looked at of its system calls.
REPORT = b"conveyor-test-report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a build of a package made.

    Attributes:
        target: for which target.
        package: of which package.
        number: stands for the commit, and its order.
        files: what it made.
    """

    target: str
    package: str
    number: int
    files: tuple[tuple[Path, Artifact], ...]

    @property
    def commit(self) -> Commit:
        """The commit."""
        at = DAY_ONE - timedelta(days=self.number)
        info = CommitInfo(sha=sha_of(self.number), committed_at=at, author="Ada", subject=f"Change {self.number}")
        return Commit(package=self.package, upstream=info, packaging_sha=PACKAGING_SHA)


def make_site(
    folder: Path, *, repos: str = REPOS, base_url: str = "http://127.0.0.1:9/repos", settings: str = UNSIGNED
) -> Path:
    """An empty site."""
    for package in ("hello", "other"):
        (folder / "specs" / package).mkdir(parents=True)
    (folder / "repos.yaml").write_text(repos)
    (folder / "conveyor.toml").write_text(f'base_url = "{base_url}"\n{settings}')
    return folder


def signed(keys: Keys, kind: str = "first") -> str:
    """The settings of a site that signs with one of the keys."""
    return f'[signing]\nkey = "{keys[kind]}"\nhome = "{keys.home}"\n'


@contextmanager
def opened(site: Path) -> Iterator[Conveyor]:
    """Open a site as a command does."""
    cgroup.PARENT = "conveyor-tests"
    settings = load_settings(
        site / "conveyor.toml", {"CONVEYOR_REPOS": str(site / "repos.yaml"), "CONVEYOR_DATA_DIR": str(site / "data")}
    )
    conveyor = open_conveyor(settings, load_repos(settings.repos), FakeProgress())
    try:
        yield conveyor
    finally:
        conveyor.close()


def start(site: Path) -> tuple[str, ...]:
    """What every command does first; returns what could not be brought into order."""
    with opened(site) as conveyor:
        return tuple(error.summary for error in conveyor.recovery.run())


def client_file(site: Path, target: str, place: str) -> str:
    """What a client of a snapshot or pointer is given."""
    with opened(site) as conveyor:
        return conveyor.tree.client_file(target, place)[1]


def settle(site: Path) -> tuple[str, ...]:
    """Start, then look whether the store and the tree agree; returns what is wrong."""
    with opened(site) as conveyor:
        told = tuple(f"not brought into order: {error.summary}" for error in conveyor.recovery.run())
        return (*told, *_disagreements(conveyor))


def _disagreements(conveyor: Conveyor) -> Iterator[str]:
    store, tree = conveyor.parts.store, conveyor.tree
    if store.running() or store.unpublished():
        yield "a build is left running or unpublished"
    published = [each for target in conveyor.repos.targets for each in store.published(target)]
    collected = {each.build for each in published if each.collected_at is not None}
    for build in store.builds(limit=10_000):
        if build.outcome is Outcome.SUCCEEDED and build.id not in collected:
            yield from _lost(conveyor, build)
    for target in conveyor.repos.targets:
        pointed = tree.pointed(target, "current")
        shown = {each.commit for each in tree.manifest(target, pointed).packages} if pointed else set()
        if missing := {entry.commit_id for entry in store.entries(target)} - shown:
            yield f"current of {target} is at {pointed}, without {sorted(missing)}"
    yield from _of_ledger(conveyor)


def _lost(conveyor: Conveyor, build: Build) -> Iterator[str]:
    tree = conveyor.tree
    if not tree.snapshot_folder(build.target, build.commit.id).is_dir():
        yield f"build {build.id} has no snapshot"
    for artifact in conveyor.parts.store.entry(build.id).artifacts:
        path = tree.artifact_path(build.target, artifact)
        if not path.is_file() or sha256_of(path) != artifact.sha256:
            yield f"{artifact.filename} of build {build.id} is lost"


def _of_ledger(conveyor: Conveyor) -> Iterator[str]:
    """Where the ledger is not what happened: it is broken, or does not follow the pointers without a gap."""
    ledger = conveyor.ledger
    if ledger.broken() is not None or ledger.pending():
        yield "the ledger is broken, or a move is left pending"
    for target in conveyor.repos.targets:
        for pointer, commit in conveyor.tree.pointers(target).items():
            entries = ledger.entries(target=target, pointer=pointer)
            ways = [(entry.step.before, entry.step.after) for entry in reversed(entries)]
            if [before for before, _ in ways] != [None, *(after for _, after in ways[:-1])]:
                yield f"the ledger has a gap: {pointer} of {target} went {ways}"
            if ways[-1][1] != commit:
                yield f"the ledger has {pointer} of {target} at {ways[-1][1]}, not at {commit}"
            if any(entry.kind is MoveKind.FOUND for entry in entries):
                yield f"the ledger does not know who moved {pointer} of {target}"


def publish(site: Path, releases: Sequence[Release]) -> None:
    """Finish and publish what is not yet published, in order."""
    with opened(site) as conveyor:
        for error in conveyor.recovery.run():
            raise error
        for release in releases:
            _publish(conveyor, site / "data", release)


def collect(site: Path) -> int:
    """Remove what retention does not keep; returns how many snapshots."""
    with opened(site) as conveyor:
        removals = [make_collect(conveyor).run(target, dry_run=False) for target in conveyor.repos.targets]
        return sum(len(removal.snapshots) for removal in removals if removal is not None)


def collected(site: Path) -> int:
    """How many snapshots retention has removed so far."""
    with opened(site) as conveyor:
        published = [each for target in conveyor.repos.targets for each in conveyor.parts.store.published(target)]
        return sum(each.collected_at is not None for each in published)


def promote(site: Path, pointer: str, place: int) -> None:
    """Move a pointer of all targets at once to one of the newest snapshots that all of them have, counted from 0."""
    with opened(site) as conveyor:
        published = [
            [each.commit for each in conveyor.parts.store.published(target) if each.collected_at is None]
            for target in conveyor.repos.targets
        ]
        everywhere = [commit for commit in published[0] if all(commit in commits for commits in published)]
        steps = [(target, pointer, everywhere[place % len(everywhere)]) for target in conveyor.repos.targets]
        conveyor.pointers.move(MoveKind.PROMOTED, steps, actor="tests")


def publish_twice(site: Path, releases: Sequence[Release]) -> tuple[str, ...]:
    """Publish, and then the same once more; returns what the second time changed in the tree."""
    publish(site, releases)
    first = touched(site / "data/repos")
    publish(site, releases)
    second = touched(site / "data/repos")
    return tuple(sorted(path for path in {*first, *second} if first.get(path) != second.get(path)))


def _publish(conveyor: Conveyor, data: Path, release: Release) -> None:
    target = conveyor.repos.target(release.target)
    store, publisher = conveyor.parts.store, conveyor.publisher
    build = store.queue(release.commit, target.name, retry=True)
    if build.state is not State.FINISHED:
        claimed = store.claim(build.id, _claim())
        if claimed is None or claimed.claim is None:
            raise AssertionError("nobody else builds it")
        _write_log(conveyor, data, claimed, claimed.claim.token)
        component = conveyor.repos.package(release.package).component
        with publisher.keeping(target):
            artifacts = publisher.keep(target, release.files)
            entry = replace(entry_of(release.package, release.number, artifacts), component=component)
            build = store.finish(
                build.id,
                claimed.claim.token,
                outcome=Outcome.SUCCEEDED,
                at=entry.succeeded_at,
                version=entry.version,
                cause=None,
                stages=(),
                entry=entry,
            )
    if not build.published:
        publisher.publish(build, target)


def _claim() -> Claim:
    pid = os.getpid()
    started = process_started(pid) or 0
    return Claim(
        token=f"{pid}-{started}-{os.urandom(4).hex()}",
        host=platform.node(),
        pid=pid,
        process_started=started,
        heartbeat_at=DAY_ONE,
    )


def _write_log(conveyor: Conveyor, data: Path, build: Build, token: str) -> None:
    log = data / "builds" / str(build.id) / str(build.attempt) / "log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("fine\n")
    conveyor.parts.store.set_log(build.id, token, str(log.relative_to(data)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a worker ended.

    Attributes:
        killed: whether it was killed.
        result: what its work returned.
        refused: the intended error that ended it, in one line: its kind and its words.
        hint: what that error says to do.
        defect: the trace of any other.
    """

    killed: bool = False
    result: object = None
    refused: str = ""
    hint: str = ""
    defect: str = ""

    @property
    def good(self) -> bool:
        """Whether it did all of its work."""
        return not (self.killed or self.refused or self.defect)

    @property
    def text(self) -> str:
        """What its work returned, a text; a failure of the test where there is none."""
        assert isinstance(self.result, str), self
        return self.result


class Worker:
    """A process that waits until it is told to go.

    Args:
        work: what it does, a function of a module.
        arguments: for it.
    """

    def __init__(self, work: Callable[..., object], *arguments: object) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        self._process = _context().Process(target=_carry_out, args=(theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()
        if not self._connection.poll(PATIENCE):
            raise AssertionError("the worker does not start")
        self.pid: int = self._connection.recv()

    def go(self) -> None:
        """Let it work."""
        self._connection.send("go")

    def kill(self) -> None:
        """Kill it as the kernel does."""
        with suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, signal.SIGKILL)

    def end(self, patience: float = PATIENCE) -> Ended:
        """Wait for it."""
        ended = self._heard(patience)
        self._process.join(patience)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise AssertionError("the worker does not end")
        self._connection.close()
        return ended if self._process.exitcode != -signal.SIGKILL else Ended(killed=True)

    def _heard(self, patience: float) -> Ended:
        try:
            if not self._connection.poll(patience):
                self._process.kill()
                raise AssertionError("the worker says nothing")
            self._connection.recv_bytes()
            ended = self._connection.recv()
        except (EOFError, ConnectionResetError):
            return Ended(killed=True)
        assert isinstance(ended, Ended)
        return ended


def run(work: Callable[..., object], *arguments: object) -> Ended:
    """Do a work undisturbed, in a process of its own."""
    worker = Worker(work, *arguments)
    worker.go()
    return worker.end()


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _carry_out(connection: Connection, work: Callable[..., object], arguments: Sequence[object]) -> None:
    sys.dont_write_bytecode = True
    connection.send(os.getpid())
    connection.recv()
    try:
        ended = Ended(result=work(*arguments))
    except ConveyorError as error:
        ended = Ended(refused=f"{type(error).__name__}: {error.summary}", hint=error.hint)
    except OSError as error:
        failure = disk_error(error)  # as `main` of the command line does
        if failure is None:
            ended = Ended(defect=format_exc())
        else:
            ended = Ended(refused=f"{type(failure).__name__}: {failure.summary}", hint=failure.hint)
    except Exception:  # noqa: BLE001 - the test says of each that it is one
        ended = Ended(defect=format_exc())
    connection.send_bytes(REPORT)
    connection.send(ended)
