"""Nothing is lost, nothing is done twice, nothing is left behind: the store, the published tree and the upstreams are
held against each other, once a daemon has had the time to build all and has ended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from conveyor.model.build import AttemptRecord, Build, Outcome, State
from conveyor.model.event import Event, EventKind
from conveyor.model.lease import DAEMON
from conveyor.model.promotion import CURRENT
from conveyor.model.watch import Side
from conveyor.store import Books
from tests.support import soundness
from tests.support.daemons import NO_POLL, Daemon, QuickSite
from tests.support.site import wait_for
from tests.support.upstream import GitUpstream, git

ALL = 1_000_000
ENDS = {
    Outcome.SUCCEEDED: {EventKind.SUCCEEDED, EventKind.WORKS_AGAIN},
    Outcome.FAILED: {EventKind.FAILED, EventKind.FAILED_AGAIN},
    Outcome.ERRORED: {EventKind.ERRORED},
}


def ends_well(site: QuickSite, daemon: Daemon | None = None) -> list[str]:
    """Let a daemon build all that is left, and stop it; what is amiss then."""
    working = daemon or site.daemon(NO_POLL)
    wait_for(lambda: working.said("daemon started"), "the daemon")
    site.built()
    assert working.stop() == 0
    return amiss(site)


def amiss(site: QuickSite) -> list[str]:
    """All that is not as it should be."""
    return [*lost(site), *left(site)]


def lost(site: QuickSite) -> list[str]:
    """What is lost or was done twice, as store, tree and upstreams tell."""
    with site.books() as books:
        builds = sorted(books.store.builds(limit=ALL), key=lambda build: build.id)
        told = books.events.after(0, limit=ALL)
        found = [each for build in builds for each in _of_build(build, _attempts(books, build), told)]
        found += _of_books(books)
        for name, upstream in site.upstreams.items():
            found += _of_upstream(books, name, upstream, [build for build in builds if build.commit.package == name])
        for target in sorted({build.target for build in builds}):
            found += _of_tree(books, site.data / "repos" / target, [each for each in builds if each.target == target])
    return [*found, *soundness.problems(site.data / "repos")]


def left(site: QuickSite) -> list[str]:
    """What was left behind."""
    named_by_others = {"mirrors", "buildroots"}
    folders = [path for path in sorted(site.data.iterdir()) if path.is_dir() and path.name not in named_by_others]
    return [*site.left_behind, *(each for folder in folders for each in soundness.left_over(folder))]


def _attempts(books: Books, build: Build) -> Sequence[AttemptRecord]:
    return books.store.attempts(build.id) if build.attempt else ()


def _of_build(build: Build, attempts: Sequence[AttemptRecord], told: Sequence[Event]) -> Iterator[str]:
    name = f"build {build.id} ({build.commit.package} {build.commit.short})"
    if build.state is not State.FINISHED:
        yield f"{name} is {build.state}"
    elif not _reason(build):
        yield f"{name} {build.outcome} without a reason"
    if [attempt.number for attempt in attempts] != list(range(1, build.attempt + 1)):
        yield f"{name} has other attempts than it counts"
    yield from (f"{name}: attempt {attempt.number} {wrong}" for attempt in attempts for wrong in _wrong(attempt, build))
    kinds = Counter(event.kind for event in told if event.build == build.id)
    yield from (f"{name} {wrong}" for wrong in _wrongly_told(build, attempts, kinds))


def _wrong(attempt: AttemptRecord, build: Build) -> Iterator[str]:
    if attempt.outcome is None:
        yield "has no end"
    elif attempt.outcome is Outcome.SUCCEEDED:
        if attempt.number != build.attempt:
            yield "succeeded, and there was another"
    elif attempt.cause is None and not _put_back(attempt):
        yield f"{attempt.outcome} without a cause"


def _wrongly_told(build: Build, attempts: Sequence[AttemptRecord], kinds: Mapping[EventKind, int]) -> Iterator[str]:
    if kinds[EventKind.PUBLISHED] != int(build.published):
        yield f"was told to be published {kinds[EventKind.PUBLISHED]} times"
    if kinds[EventKind.STARTED] != len(attempts):
        yield f"was told to have started {kinds[EventKind.STARTED]} times, of {len(attempts)} attempts"
    for outcome, ends in ENDS.items():
        happened = sum(attempt.outcome is outcome for attempt in attempts)
        times = sum(kinds[kind] for kind in ends)
        if times != happened:
            yield f"{outcome} {happened} times, and was told so {times} times"


def _reason(build: Build) -> bool:
    match build.outcome:
        case Outcome.SUCCEEDED:
            return build.published
        case Outcome.FAILED | Outcome.ERRORED:
            return build.cause is not None
        case _:
            return bool(build.ended or build.cause)


def _put_back(attempt: AttemptRecord) -> bool:
    return attempt.outcome is Outcome.CANCELLED and attempt.cause is None


def _of_books(books: Books) -> Iterator[str]:
    if (holder := books.leases.holder(DAEMON)) is not None:
        yield f"process {holder.pid} has the lease of the daemon still"
    for build in books.store.running():
        yield f"build {build.id} is claimed"
    for build in books.store.unpublished():
        yield f"build {build.id} is not published"
    for number, _ in books.ledger.pending():
        yield f"move {number} of pointers is not completed"
    if books.ledger.broken() is not None:
        yield "the ledger is broken"
    moves = Counter((entry.step.target, entry.step.pointer, entry.step.after) for entry in books.ledger.entries())
    for (_, pointer, commit), times in moves.items():
        if times > 1:
            yield f"{pointer} was moved to {commit} {times} times"


def _of_upstream(books: Books, package: str, upstream: GitUpstream, builds: Sequence[Build]) -> Iterator[str]:
    """From the first commit that was seen on, each is there, and they are built in their order."""
    commits = git(upstream.folder, "rev-list", "--first-parent", "--reverse", "master").split()
    places = {sha: place for place, sha in enumerate(commits)}
    known = {places[build.commit.upstream.sha] for build in builds if build.commit.upstream.sha in places}
    if not known:
        yield f"no commit of {package} is known"
        return
    for place in range(min(known), len(commits)):
        if place not in known:
            yield f"commit {place} of {package}, {commits[place][:7]}, is lost"
    head = books.watch.heads().get((package, Side.UPSTREAM))
    if head is not None and head.sha != commits[-1]:
        yield f"the newest commit of {package} was not seen"
    ends = {EventKind.SUCCEEDED, EventKind.WORKS_AGAIN, EventKind.FAILED, EventKind.FAILED_AGAIN}
    by_number = {build.id: places.get(build.commit.upstream.sha, 0) for build in builds if not _waited(books, build)}
    order = [
        by_number[event.build]
        for event in books.events.after(0, limit=ALL)
        if event.kind in ends and event.build in by_number
    ]
    if order != sorted(order):
        yield f"the commits of {package} were built in the order {order}"


def _waited(books: Books, build: Build) -> bool:
    """Whether it errored, and let others pass while it waited."""
    causes = [attempt.cause for attempt in _attempts(books, build) if attempt.outcome is Outcome.ERRORED]
    return any(cause is None or "was killed" not in cause.summary for cause in causes)


def _of_tree(books: Books, folder: Path, builds: Sequence[Build]) -> Iterator[str]:
    """What is published on one target. Files that attempts left in the pool are for retention."""
    published = {build.commit.id for build in builds if build.published}
    there = {path.name: path for path in folder.glob("??/??/*_*")}
    yield from (f"{commit} is published, and not there" for commit in sorted(published - {*there}))
    yield from (f"{commit} is there, and not published" for commit in sorted({*there} - published))
    current = folder / CURRENT
    if not published:
        return
    if not current.is_symlink():
        yield f"there is no current of {folder.name}"
        return
    newest = {entry.package: entry.version for entry in books.store.entries(folder.name)}
    listed = _versions(json.loads((current / "manifest.json").read_text()))
    if listed != newest:
        yield f"current of {folder.name} has {listed}, and the newest are {newest}"


def _versions(manifest: Mapping[str, object]) -> dict[str, str]:
    packages = manifest["packages"]
    assert isinstance(packages, list)
    return {package["package"]: package["version"] for package in packages}
