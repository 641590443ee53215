"""A store and a published tree with a long history, made at once instead of build by build."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Table, insert
from sqlalchemy.schema import CreateTable

from bench import manypackages
from bench.manypackages import Package
from bench.spread import package_of_each
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.build import Outcome, State
from conveyor.model.target import Format
from conveyor.store import open_store, tables
from conveyor.store.database import Database

BUILDS = 100_000
BEGAN_AT = datetime(2024, 1, 1, tzinfo=UTC)
BETWEEN = timedelta(minutes=1)
PACKAGING_SHA = "c" * 40
UPSTREAM = "https://example.org/{name}.git"
# Versions of what is made here; what is there of another one is made anew.
PACKAGES = "1"
ROWS = "2"
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was made.

    Attributes:
        folder: everything: the store, the published tree's pool, the packages as they were made.
        target: the target's name.
        packages: the newest of each package.
    """

    folder: Path
    target: str
    packages: tuple[Package, ...]

    @property
    def database(self) -> str:
        """The store's URL."""
        return f"sqlite:///{self.folder}/data/store.sqlite"

    @property
    def repos(self) -> Path:
        """The published tree."""
        return self.folder / "data/repos"


def kept(folder: Path, package_format: Format, target: str, count: int, builds: int = BUILDS) -> History:
    """The history in a folder, made if it is not there.

    Args:
        folder: keeps it between runs.
        package_format: the target's.
        target: the target's name.
        count: how many packages.
        builds: how many builds of them.
    """
    packages = _packages(packages_folder(folder), package_format, count)
    history = History(folder=folder, target=target, packages=packages)
    ready = folder / f"data/ready-{_schema()}"
    if not ready.exists():
        shutil.rmtree(folder / "data", ignore_errors=True)
        _fill_pool(history)
        _fill_store(history, builds)
        ready.touch()
    return history


def packages_folder(folder: Path) -> Path:
    """Where a history keeps the packages as they were made."""
    return folder / f"packages-{PACKAGES}"


def _packages(folder: Path, package_format: Format, count: int) -> tuple[Package, ...]:
    listed = folder / "packages.pickle"
    if not listed.exists():
        shutil.rmtree(folder, ignore_errors=True)
        made = manypackages.make(package_format, folder, manypackages.names(count), "1")
        listed.write_bytes(pickle.dumps([_moved(each, lambda path: path.relative_to(folder)) for each in made]))
    return tuple(_moved(each, lambda path: folder / path) for each in pickle.loads(listed.read_bytes()))


def _moved(package: Package, change: Callable[[Path], Path]) -> Package:
    return replace(package, files=tuple((change(path), artifact) for path, artifact in package.files))


def _schema() -> str:
    """Changes with the store's tables, and with what is written into them here."""
    made = "".join(str(CreateTable(table)) for table in tables.metadata.sorted_tables)
    return hashlib.sha256(f"{ROWS} {made}".encode()).hexdigest()[:12]


def sha_of(name: str, number: int) -> str:
    """The upstream sha of a package's commit."""
    return hashlib.sha1(f"{name} {number}".encode(), usedforsecurity=False).hexdigest()


def _fill_pool(history: History) -> None:
    pool = history.repos / history.target / "pool"
    for package in history.packages:
        for path, artifact in package.files:
            final = pool / artifact.pool_path
            final.parent.mkdir(parents=True, exist_ok=True)
            final.hardlink_to(path)


def _fill_store(history: History, builds: int) -> None:
    open_store(history.database).close()
    database = Database(history.database, patience=30)
    try:
        with database.writing() as connection, _batches(connection) as add:
            numbers = package_of_each(builds, len(history.packages))
            newest = {package: number for number, package in enumerate(numbers)}
            for number, package in enumerate(numbers):
                chosen, is_newest = history.packages[package], newest[package] == number
                _add_build(add, history.target, chosen, number, newest=is_newest)
    finally:
        database.close()


class _Batches:
    """Rows that wait for being written together."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[Table, list[dict[str, object]]] = {}

    def __call__(self, table: Table, **row: object) -> None:
        self._rows.setdefault(table, []).append(row)

    def flush(self) -> None:
        for table in tables.metadata.sorted_tables:
            rows = self._rows.pop(table, [])
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                self._connection.execute(insert(table), rows[start : start + _ROWS_AT_ONCE])


@contextmanager
def _batches(connection: Connection) -> Iterator[_Batches]:
    batches = _Batches(connection)
    yield batches
    batches.flush()


def _add_build(add: _Batches, target: str, package: Package, number: int, *, newest: bool) -> None:
    key = number + 1
    at = BEGAN_AT + BETWEEN * number
    version = package.version if newest else f"0.{number}-1"
    add(
        tables.upstream_commit,
        id=key,
        package=package.name,
        upstream_sha=sha_of(package.name, number),
        packaging_sha=PACKAGING_SHA,
        extended="",
        trunk=True,
        committed_at=at,
        author="Ada",
        subject=f"Change number {number}",
    )
    add(
        tables.build,
        id=key,
        commit_id=key,
        package=package.name,
        trunk=True,
        target=target,
        state=State.FINISHED,
        outcome=Outcome.SUCCEEDED,
        attempts=1,
        version=version,
        queued_at=at,
        failed_at=None,
    )
    add(
        tables.attempt,
        build_id=key,
        number=1,
        token=f"token{number}",
        host="bench",
        pid=1,
        process_started=1,
        heartbeat_at=at,
        queued_at=at,
        started_at=at,
        finished_at=at,
        outcome=Outcome.SUCCEEDED,
        stages=[["build", 1.0]],
        log=None,
    )
    add(
        tables.entry,
        build_id=key,
        package=package.name,
        target=target,
        upstream_url=UPSTREAM.format(name=package.name),
        packaging_url="",
        component="common",
        version=version,
        succeeded_at=at,
        published_at=at,
        publish_seconds=0.1,
    )
    _add_artifacts(add, target, key, _artifacts(package, number, newest=newest))


def _artifacts(package: Package, number: int, *, newest: bool) -> Sequence[Artifact]:
    """The real ones of the newest build; one made-up one of each before."""
    if newest:
        return [artifact for _, artifact in package.files]
    first = package.files[0][1]
    return [
        Artifact(
            filename=f"{first.name}-0.{number}",
            sha256=hashlib.sha256(f"{first.name} {number}".encode()).hexdigest(),
            size=1,
            kind=ArtifactKind.BINARY,
            name=first.name,
            version=f"0.{number}-1",
            architecture=first.architecture,
        )
    ]


def _add_artifacts(add: _Batches, target: str, build_id: int, artifacts: Sequence[Artifact]) -> None:
    for position, made in enumerate(artifacts):
        add(tables.artifact, sha256=made.sha256, size=made.size)
        add(
            tables.build_artifact,
            build_id=build_id,
            position=position,
            filename=made.filename,
            sha256=made.sha256,
            kind=made.kind,
            name=made.name,
            version=made.version,
            architecture=made.architecture,
        )
        if made.kind is ArtifactKind.BINARY:
            add(
                tables.trunk_package,
                target=target,
                name=made.name,
                version=made.version,
                architecture=made.architecture,
                build_id=build_id,
                position=position,
            )
