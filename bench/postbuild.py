"""DLRN's own step after a build, with its library: FOLDER PACKAGES FILE. Runs in DLRN's virtual environment.

PACKAGES is a folder of RPMs as bench/manypackages.py makes them. What is kept in FOLDER is made when it is missing: the
database with 100,000 builds, and the folder of each package's newest.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlrn import shell
from dlrn.config import ConfigOptions
from dlrn.db import Commit, closeSession, getSession
from dlrn.utils import lock_file

from bench.spread import package_of_each

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
# Ours lists none either. Its own default would have createrepo_c read twice as many.
include_srpm_in_repo=false
"""


@dataclass(frozen=True)
class Made:
    """A package's name, and the files that its build made: an RPM and a source RPM."""

    name: str
    files: tuple[Path, Path]


def main() -> int:
    """Take the step for two new commits, one after the other, and write down what it took."""
    folder, packages_folder, figures = sys.argv[1:]
    made = packages(Path(packages_folder))
    url = history(Path(folder), made)
    data = Path(folder, "data")
    first, _ = measured(data, url, made)
    seconds, inodes = measured(data, url, made)
    told = {"first": first, "seconds": seconds, "inodes": len(inodes), "kibibytes": sum(inodes.values()) / KIBI}
    Path(figures).write_text(json.dumps(told), encoding="utf-8")
    return 0


def packages(folder: Path) -> list[Made]:
    """The packages in a folder, by name."""
    found = []
    for source in sorted(folder.glob("*.src.rpm")):
        nvr = source.name.removesuffix(".src.rpm")
        name = nvr.rsplit("-", 2)[0]
        found.append(Made(name, (folder / f"rpms/noarch/python3-{nvr}.noarch.rpm", source)))
    return found


def history(folder: Path, made: Sequence[Made]) -> str:
    """Configure DLRN, and make its data folder and database if they are not there; returns the database's URL."""
    settings = configparser.RawConfigParser()
    settings.read_string(SETTINGS.format(folder=folder, scripts=Path(sys.prefix, "share/dlrn/scripts")))
    data, ready = folder / "data", folder / "ready"
    (data / "repos").mkdir(parents=True, exist_ok=True)
    url: str = ConfigOptions(settings).database_connection
    if not ready.exists():
        fill(url, data, made)
        ready.touch()
    return url


def measured(data: Path, url: str, made: Sequence[Made]) -> tuple[float, dict[int, int]]:
    """Seconds of the step for a new commit, and what it added."""
    moment = time.time()
    commit = commit_of(data, made[0], str(moment), int(moment))
    snapshot, built = data / "repos" / commit.getshardedcommitdir(), placed(data, commit, made[0])
    known = [package(each.name) for each in made]
    started = time.perf_counter()
    after_build([commit, built, "OK", None], known, url, data)
    seconds = time.perf_counter() - started
    return seconds, added(snapshot, built)


def after_build(status: list[object], known: list[dict[str, object]], url: str, data: Path) -> None:
    """What dlrn.shell.main() does with what a worker returns, in a run that had this one commit to build."""
    with lock_file(str(data / "remote.lck")):
        session = getSession(url)
        failures = shell.post_build(status, known, session, build_repo=True)
        shell.process_build_result(status, known, session, [status[0]], consistent=failures == 0, failures=failures)
        closeSession(session)


def package(name: str) -> dict[str, object]:
    """A package as DLRN's drivers tell of it."""
    return {
        "name": name,
        "project": name,
        "upstream": f"https://example.org/{name}.git",
        "master-distgit": f"https://example.org/{name}-distgit.git",
        "maintainers": ["bench@example.org"],
    }


def commit_of(data: Path, made: Made, seed: str, at: int) -> Commit:
    """A commit of a package that was built."""
    return Commit(
        type="rpm",
        project_name=made.name,
        commit_hash=hashlib.sha1(f"{made.name} {seed}".encode()).hexdigest(),
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
        repo_dir=str(data / made.name),
        distgit_dir=str(data / f"{made.name}_distgit"),
    )


def placed(data: Path, commit: Commit, made: Made) -> list[str]:
    """Put what a commit's build made into its folder; what DLRN calls the artifacts."""
    folder = Path("repos", commit.getshardedcommitdir())
    (data / folder).mkdir(parents=True, exist_ok=True)
    for file in made.files:
        (data / folder / file.name).hardlink_to(file)
    return artifacts(commit, made)


def artifacts(commit: Commit, made: Made) -> list[str]:
    """Where what a commit's build made lies below the data folder."""
    return [f"repos/{commit.getshardedcommitdir()}/{file.name}" for file in made.files]


def fill(url: str, data: Path, made: Sequence[Made]) -> None:
    """Make a history of builds; only of each package's newest there are files."""
    session = getSession(url)
    numbers = package_of_each(BUILDS, len(made))
    newest = {number: at for at, number in enumerate(numbers)}
    for at, number in enumerate(numbers):
        one = made[number]
        commit = commit_of(data, one, str(at), BEGAN_AT + at * 60)
        commit.artifacts = ",".join(artifacts(commit, one))
        if newest[number] == at:
            placed(data, commit, one)
        session.add(commit)
    session.commit()
    closeSession(session)


def added(folder: Path, built: list[str]) -> dict[int, int]:
    """Bytes on the disk of each inode of the snapshot, but for what was built."""
    own = {Path(each).name for each in built}
    found = {}
    for path in [folder, *folder.rglob("*")]:
        if path.name not in own:
            status = path.lstat()
            found[status.st_ino] = status.st_blocks * BLOCK
    return found
