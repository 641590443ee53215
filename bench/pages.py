"""Pages of a site with many packages and a long history, asked for with wrk."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy import Connection, Table, insert

from bench.series import Peer, Sample
from bench.workshop import Workshop
from conveyor.command import run
from conveyor.errors import UserError
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot, SnapshotEntry
from conveyor.model.build import Outcome, State
from conveyor.model.promotion import CONSISTENT, CURRENT
from conveyor.model.target import Target
from conveyor.model.watch import Side
from conveyor.repository.names import shard
from conveyor.repository.records import manifest_json, manifest_line
from conveyor.repository.snapshot import MANIFEST
from conveyor.store import open_store, tables
from conveyor.store.database import Database

PACKAGES, COMMITS = 1000, 50
TARGETS = ("debian-13-amd64", "local-1-x86_64")
BUILDS = PACKAGES * COMMITS * len(TARGETS)
# One in so many newest builds failed.
FAILS = 30
BUDGET_MS = 50.0
SECONDS, CONNECTIONS = 10, 4
VERSION = "2"
# `consistent` stands so many commits of each package before the newest: something has failed since.
BEHIND = 2
ADDRESS = "https://git.example.org"
PACKAGING_SHA = "c" * 40
CAUSE = "python3-oslo.messaging needs python3-kombu >= 5.4, and 5.2.3 is the newest"
# Of each page, what wrk asks for. `number` is another one with each request.
PATHS = {
    "front": 'return "/"',
    "package": f'return string.format("/packages/package-%04d", number % {PACKAGES})',
    "build": f'return string.format("/builds/%d", 1 + number * 7919 % {BUILDS})',
    "search": f'return string.format("/search?q=package-%04d&state=failed", number % {PACKAGES})',
    "version-search": f'return string.format("/search?q=1.0.0~dev%d", number * 7919 % {PACKAGES * COMMITS})',
    "commit-search": 'return string.format("/search?commit=%06x", number * 7919 % 16777216)',
}
SCRIPT = """\
local number = 0
request = function()
  number = number + 1
  local path = (function() {path} end)()
  return wrk.format("GET", path, {{["Accept"] = "text/html"}})
end
done = function(summary, latency, requests)
  io.write(string.format("p95_us=%d failed=%d\\n", latency:percentile(95),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""
_ROWS = 20_000


class Pages:
    """One kind of page.

    Args:
        cache: keeps the site between runs.
        kind: which of PATHS.
    """

    def __init__(self, cache: Path, kind: str) -> None:
        self._folder = cache / f"pages-{VERSION}"
        self._kind = kind

    @staticmethod
    def missing() -> str:
        """Why nothing can be measured; empty where it can."""
        return "" if shutil.which("wrk") else "wrk is not installed"

    def ours(self, _workshop: Workshop, _target: Target) -> Sample:
        """Milliseconds that 95 of 100 answers take at most."""
        _make(self._folder)
        with _served(self._folder) as url, tempfile.TemporaryDirectory() as scratch:
            script = Path(scratch, "page.lua")
            script.write_text(SCRIPT.format(path=PATHS[self._kind]), encoding="utf-8")
            options = ["-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script)]
            output = Path(scratch, "output")
            with output.open("wb") as log:
                run(["wrk", *options, url], timeout=SECONDS * 10, log=log)
            found = re.search(r"p95_us=(\d+) failed=(\d+)", output.read_text(encoding="utf-8"))
            if found is None or found[2] != "0":
                raise UserError(f"wrk failed on {self._kind}", details=output.read_text(encoding="utf-8").splitlines())
            return Sample(value=int(found[1]) / 1000)

    @staticmethod
    def budget() -> Peer:
        """What the design allows."""
        return lambda _workshop, _target, _sample: BUDGET_MS


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    argv = [sys.executable, "-m", "conveyor.cli.main", "--data-dir", str(folder / "data"), "serve", "--listen", listen]
    project = str(Path(__file__).parents[1])
    with subprocess.Popen(argv, cwd=folder, env={"PYTHONPATH": project, "PATH": "/usr/bin:/bin"}) as process:
        try:
            _wait(f"http://{listen}/", process)
            yield f"http://{listen}"
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx.get(url, timeout=60, trust_env=False).raise_for_status()
        except httpx.ConnectError:
            time.sleep(0.1)
        else:
            return
    raise UserError("'conveyor serve' ended")


def _make(folder: Path) -> None:
    ready = folder / "ready"
    if ready.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    (folder / "repos.yaml").write_text(_repos(), encoding="utf-8")
    (folder / "conveyor.toml").write_text("[signing]\nunsigned = true\n", encoding="utf-8")
    url = f"sqlite:///{folder}/data/conveyor.db"
    open_store(url).close()
    database = Database(url, patience=30)
    try:
        with database.writing() as connection:
            _fill(connection)
    finally:
        database.close()
    for target in TARGETS:
        _publish(folder / "data" / "repos" / target, target)
    ready.touch()


def _repos() -> str:
    deb, rpm = TARGETS
    repository = "{name: os, url: /os, key: none}"
    lines = [
        "targets:",
        f"  {deb}: {{format: deb, suite: trixie}}",
        f'  {rpm}: {{format: rpm, release: "1", dist: l1, naming: rdo, repositories: [{repository}]}}',
        f"defaults: {{targets: [{deb}, {rpm}]}}",
        "packages:",
    ]
    for number in range(PACKAGES):
        name = _name(number)
        lines.append(f'  {name}: {{upstream: "{ADDRESS}/{name}", packaging: "{ADDRESS}/packaging-{name}"}}')
    return "\n".join(lines) + "\n"


def _name(number: int) -> str:
    return f"package-{number:04}"


def _fill(connection: Connection) -> None:
    rows: dict[Table, list[Mapping[str, object]]] = {
        table: []
        for table in (
            tables.upstream_commit,
            tables.build,
            tables.attempt,
            tables.entry,
            tables.head,
            tables.remote,
        )
    }
    began = datetime.now(UTC) - timedelta(days=60)
    for package in range(PACKAGES):
        _follow(rows, package, began)
    for commit in range(COMMITS):
        for package in range(PACKAGES):
            number = commit * PACKAGES + package
            at = began + timedelta(minutes=number)
            _add(rows, number, _name(package), at, good=commit < COMMITS - 1 or package % FAILS != 0)
    for table, made in rows.items():
        for start in range(0, len(made), _ROWS):
            connection.execute(insert(table), made[start : start + _ROWS])


def _follow(rows: Mapping[Table, list[Mapping[str, object]]], number: int, at: datetime) -> None:
    """What polls know of a package."""
    name = _name(number)
    newest = _sha(name, (COMMITS - 1) * PACKAGES + number)
    for side, url, sha in (
        (Side.UPSTREAM, f"{ADDRESS}/{name}", newest),
        (Side.PACKAGING, f"{ADDRESS}/packaging-{name}", PACKAGING_SHA),
    ):
        seen = {"package": name, "side": side, "url": url, "ref": "main", "sha": sha, "packaging_sha": PACKAGING_SHA}
        rows[tables.head].append({**seen, "tags": [], "at": at})
        polled = {"url": url, "polled_at": at, "answered_at": at, "failures": 0, "cause": "", "next_at": at}
        rows[tables.remote].append(polled)


def _sha(package: str, number: int) -> str:
    return hashlib.sha1(f"{package} {number}".encode(), usedforsecurity=False).hexdigest()


def _publish(tree: Path, target: str) -> None:
    """The snapshots that `current` and `consistent` lead to, as far as pages read them."""
    for pointer, behind in ((CURRENT, 1), (CONSISTENT, BEHIND)):
        entries = tuple(_entry((COMMITS - behind) * PACKAGES + number, _name(number)) for number in range(PACKAGES))
        last = entries[-1]
        snapshot = Snapshot(
            target=target,
            architecture="amd64",
            commit_id=last.commit_id,
            package=last.package,
            created_at=last.succeeded_at,
            entries=entries,
        )
        place = tree / shard(last.commit_id)
        place.mkdir(parents=True)
        (place / MANIFEST).write_bytes(manifest_json(snapshot, map(manifest_line, entries)))
        (tree / pointer).symlink_to(shard(last.commit_id))


def _entry(number: int, package: str) -> SnapshotEntry:
    """What a build brings: three files."""
    version = f"1.0.0~dev{number}-1"
    digest = hashlib.sha256(package.encode()).hexdigest()
    return SnapshotEntry(
        package=package,
        upstream_url=f"{ADDRESS}/{package}",
        upstream_sha=_sha(package, number),
        packaging_url=f"{ADDRESS}/packaging-{package}",
        packaging_sha=PACKAGING_SHA,
        extended="",
        component="main",
        version=version,
        succeeded_at=datetime.now(UTC),
        latest_succeeded=True,
        artifacts=tuple(
            Artifact(
                filename=f"{name}_{version}_all.deb",
                sha256=digest,
                size=100_000,
                kind=ArtifactKind.BINARY,
                name=name,
                version=version,
                architecture="all",
            )
            for name in (package, f"{package}-doc", f"python3-{package}")
        ),
    )


def _add(
    rows: Mapping[Table, list[Mapping[str, object]]], number: int, package: str, at: datetime, *, good: bool
) -> None:
    """A commit, and its build on each target."""
    rows[tables.upstream_commit].append(
        {
            "id": number + 1,
            "package": package,
            "upstream_sha": _sha(package, number),
            "packaging_sha": PACKAGING_SHA,
            "extended": "",
            "trunk": True,
            "committed_at": at,
            "author": "Ada",
            "subject": f"Change number {number}",
        }
    )
    outcome = Outcome.SUCCEEDED if good else Outcome.FAILED
    told = {
        "cause_fault": "package",
        "cause_stage": "build",
        "cause_kind": "BuildFailed",
        "cause_summary": CAUSE,
        "cause_hint": "",
        "cause_details": [CAUSE],
    }
    cause = dict.fromkeys(told) if good else told
    for place, target in enumerate(TARGETS):
        build, version = number * len(TARGETS) + place + 1, f"1.0.0~dev{number}-1"
        rows[tables.build].append(
            {
                "id": build,
                "commit_id": number + 1,
                "package": package,
                "trunk": True,
                "target": target,
                "state": State.FINISHED,
                "outcome": outcome,
                "attempts": 1,
                "version": version if good else None,
                "queued_at": at,
                "failed_at": None if good else at,
            }
        )
        rows[tables.attempt].append(
            {
                "build_id": build,
                "number": 1,
                "token": f"token {build}",
                "host": "bench",
                "pid": 1,
                "process_started": 1,
                "heartbeat_at": at,
                "queued_at": at,
                "started_at": at,
                "finished_at": at + timedelta(seconds=40),
                "outcome": outcome,
                "stages": [["source", 1.0], ["build", 39.0]],
                "log": None,
                **cause,
            }
        )
        if good:
            rows[tables.entry].append(
                {
                    "build_id": build,
                    "package": package,
                    "target": target,
                    "upstream_url": "https://git.example.org/x",
                    "packaging_url": "",
                    "component": "main",
                    "version": version,
                    "succeeded_at": at,
                    "published_at": at,
                    "publish_seconds": 0.1,
                }
            )
