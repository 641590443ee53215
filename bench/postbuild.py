"""DLRN's own step after a build, with its library: FOLDER COUNT PACKAGES FILE. Runs in DLRN's virtual environment.

PACKAGES is a folder of RPMs, one for each package. What is kept in FOLDER is made when it is missing: the database with
100,000 builds, and the folder of each package's newest.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from dlrn import shell
from dlrn.config import ConfigOptions
from dlrn.db import Commit, getSession
from sqlalchemy.orm import scoped_session

BUILDS = 100_000
BEGAN_AT = 1704110400
PACKAGING = "c" * 40
BLOCK = 512  # bytes, what st_blocks counts: stat(2)
KIBI = 1024
SETTINGS = """\
[DEFAULT]
datadir={folder}/data
scriptsdir={scripts}
configdir={folder}
baseurl=file://{folder}/data/repos
distro=master
source=master
target=bench
smtpserver=
reponame=delorean
database_connection=sqlite:///{folder}/commits.sqlite
workers=1
"""


def main() -> int:
    """Take the step for two new commits, one after the other, and write down what it took."""
    folder, count, packages_folder, figures = sys.argv[1:]
    rpms = sorted(Path(packages_folder).glob("*.noarch.rpm"))[: int(count)]
    data, session = history(Path(folder), rpms)
    first, _ = measured(data, session, rpms)
    seconds, inodes = measured(data, session, rpms)
    told = {"first": first, "seconds": seconds, "inodes": len(inodes), "kibibytes": sum(inodes.values()) / KIBI}
    Path(figures).write_text(json.dumps(told), encoding="utf-8")
    return 0


def history(folder: Path, rpms: list[Path]) -> tuple[Path, scoped_session[Any]]:
    """DLRN's data folder and database, which are made if they are not there."""
    settings = configparser.RawConfigParser()
    settings.read_string(SETTINGS.format(folder=folder, scripts=Path(sys.prefix, "share/dlrn/scripts")))
    data, ready = folder / "data", folder / "ready"
    (data / "repos").mkdir(parents=True, exist_ok=True)
    session = getSession(ConfigOptions(settings).database_connection)
    if not ready.exists():
        fill(session, data, rpms)
        ready.touch()
    return data, session


def measured(data: Path, session: scoped_session[Any], rpms: list[Path]) -> tuple[float, dict[int, int]]:
    """Seconds of the step for a new commit, and what it added."""
    commit, built = new_build(data, rpms[0])
    packages = [package(name_of(rpm)) for rpm in rpms]
    status = [commit, built, "OK", None]
    started = time.perf_counter()
    failures = shell.post_build(status, packages, session)
    shell.process_build_result(status, packages, session, [], consistent=failures == 0)
    seconds = time.perf_counter() - started
    return seconds, added(data / "repos" / commit.getshardedcommitdir(), built)


def name_of(rpm: Path) -> str:
    """The name of an RPM's package."""
    return rpm.name.rpartition("-")[0].rpartition("-")[0]


def package(name: str) -> dict[str, object]:
    """A package as DLRN's drivers tell of it."""
    return {
        "name": name,
        "project": name,
        "upstream": f"https://example.org/{name}.git",
        "master-distgit": f"https://example.org/{name}-distgit.git",
        "maintainers": ["bench@example.org"],
    }


def commit_of(rpm: Path, number: int) -> Commit:
    """A commit of an RPM's package that was built."""
    at = BEGAN_AT + number * 60
    return Commit(
        type="rpm",
        project_name=name_of(rpm),
        commit_hash=hashlib.sha1(f"{rpm.name} {number}".encode()).hexdigest(),
        distro_hash=PACKAGING,
        extended_hash=None,
        commit_branch="master",
        dt_commit=at,
        dt_distro=at,
        dt_extended=0,
        dt_build=at,
        status="SUCCESS",
        notes="OK",
        flags=0,
        component=None,
        repo_dir="/",
        distgit_dir="/",
    )


def placed(data: Path, commit: Commit, rpm: Path) -> list[str]:
    """Put a commit's RPM into its folder; what DLRN calls the artifacts."""
    folder = Path("repos", commit.getshardedcommitdir())
    (data / folder).mkdir(parents=True, exist_ok=True)
    (data / folder / rpm.name).hardlink_to(rpm)
    return [str(folder / rpm.name)]


def fill(session: scoped_session[Any], data: Path, rpms: list[Path]) -> None:
    """Make a history of builds; only of the newest there are files."""
    for number in range(BUILDS):
        rpm = rpms[number % len(rpms)]
        commit = commit_of(rpm, number)
        commit.artifacts = f"repos/{commit.getshardedcommitdir()}/{rpm.name}"
        if number >= BUILDS - len(rpms):
            placed(data, commit, rpm)
        session.add(commit)
    session.commit()


def new_build(data: Path, rpm: Path) -> tuple[Commit, list[str]]:
    """A commit that was just built."""
    commit = commit_of(rpm, round(time.time() * 1000))
    commit.dt_build = commit.dt_commit = int(time.time())
    return commit, placed(data, commit, rpm)


def added(folder: Path, built: list[str]) -> dict[int, int]:
    """Bytes on the disk of each inode of the snapshot, but for what was built."""
    own = {Path(each).name for each in built}
    found = {}
    for path in [folder, *folder.rglob("*")]:
        if path.name not in own:
            status = path.lstat()
            found[status.st_ino] = status.st_blocks * BLOCK
    return found
