"""Mistakes with what is published: each is told with the way out and an exit code, and changes nothing."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conveyor.model.artifact import ArtifactKind
from tests.support import publisher
from tests.support.disks import mount_memory
from tests.support.keys import Keys
from tests.support.published import commit_id_of, make_deb, make_rpms
from tests.support.publisher import DEB, REPOS, RPM, Ended, Release, make_site, run, signed
from tests.support.site import ROOT, Said
from tests.support.soundness import content_of, left_over, touched

pytestmark = pytest.mark.e2e

RETENTION = "retention: {newest: 1, grace: 1s}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A site with three commits, of which the last is not published.

    Attributes:
        site: the site.
        releases: what it has published.
        next: what it publishes next.
    """

    site: Path
    releases: tuple[Release, ...]
    next: tuple[Release, ...]

    @property
    def state(self) -> tuple[dict[str, tuple[int, int, int]], dict[str, str], list[str]]:
        """All of the tree, and all of the store."""
        repos = self.site / "data/repos"
        with closing(sqlite3.connect(f"file:{self.site}/data/conveyor.db?mode=ro", uri=True)) as store:
            return touched(repos), content_of(repos), list(store.iterdump())

    def run(self, *arguments: str) -> Said:
        """Run `conveyor` in the site."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVEYOR_")}
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "conveyor.cli.main",
                "--data-dir",
                "data",
                "--settings",
                "conveyor.toml",
                *arguments,
            ],
            cwd=self.site,
            env={**environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(code=done.returncode, out=done.stdout, err=done.stderr, pid=0)

    def publish(self) -> Ended:
        """Publish what is next."""
        return run(publisher.publish, self.site, (*self.releases, *self.next))


def refused(published: Published, arguments: Sequence[str], code: int, *told: str) -> None:
    """A command is refused with these words, and nothing has changed."""
    before = published.state
    said = published.run(*arguments)
    text = said.out + said.err
    assert said.code == code, text
    assert [part for part in told if part not in text] == [], text
    assert published.state == before


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, ...]:
    folder = tmp_path_factory.mktemp("made")
    releases = []
    for number, (package, version) in enumerate((("hello", "1.1"), ("other", "1.1"), ("hello", "1.2")), 1):
        here = folder / str(number)
        here.mkdir()
        rpms, deb = make_rpms(here / "rpm", package, version), make_deb(here, package, f"{version}-1")
        releases += [
            Release(target=RPM, package=package, number=number, files=tuple(rpms)),
            Release(target=DEB, package=package, number=number, files=(deb,)),
        ]
    return tuple(releases)


@pytest.fixture
def published(tmp_path: Path, made: tuple[Release, ...]) -> Published:
    return site_of(tmp_path / "site", made)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory, made: tuple[Release, ...]) -> Published:
    """A site for mistakes that change nothing."""
    return site_of(tmp_path_factory.mktemp("unchanged") / "site", made)


def site_of(folder: Path, made: tuple[Release, ...], repos: str = REPOS, settings: str = "") -> Published:
    site = make_site(folder, repos=repos, settings=settings)
    ended = run(publisher.publish, site, made[:4])
    assert ended.good, ended
    return Published(site=site, releases=made[:4], next=made[4:])


NOT_A_NAME = "cannot be a p"  # pointer's or promotion's name


@pytest.mark.parametrize("command", ["promote", "rollback"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pool", NOT_A_NAME),
        ("ab", NOT_A_NAME),
        ("a/b", NOT_A_NAME),
        ("..", NOT_A_NAME),
        ("../../etc", NOT_A_NAME),
        (".hidden", NOT_A_NAME),
        ("--help-me", "No such option"),
        ("ledger-head", NOT_A_NAME),
        ("x" * 101, NOT_A_NAME),
        ("a\nb", NOT_A_NAME),
        ("", NOT_A_NAME),
    ],
)
def test_a_name_that_no_pointer_can_have(unchanged: Published, command: str, name: str, told: str) -> None:
    commit = commit_id_of(1)
    arguments = ["promote", commit, name] if command == "promote" else ["rollback", name, "--to", commit]
    refused(unchanged, arguments, 2, told)


@pytest.mark.parametrize("name", ["current", "consistent"])
def test_a_pointer_that_follows_builds_is_not_promoted(unchanged: Published, name: str) -> None:
    refused(unchanged, ["promote", commit_id_of(1), name], 2, name)


@pytest.mark.parametrize("commit", [commit_id_of(3), commit_id_of(99), "f" * 40, "nonsense", "../..", ""])
def test_what_does_not_exist_is_not_promoted(unchanged: Published, commit: str) -> None:
    refused(unchanged, ["promote", commit, "tested"], 2, "next:")
    refused(unchanged, ["rollback", "current", "--to", commit], 2, "next:")


def test_what_was_collected_is_not_promoted(tmp_path: Path, made: tuple[Release, ...]) -> None:
    published = site_of(tmp_path / "site", made, repos=RETENTION + REPOS)
    time.sleep(1.1)  # the grace
    assert published.run("collect").code == 0
    refused(published, ["promote", commit_id_of(1), "tested"], 2, commit_id_of(1)[:7])
    refused(published, ["rollback", "current", "--to", commit_id_of(1)], 2, commit_id_of(1)[:7])


@pytest.mark.parametrize(
    ("kind", "told"),
    [("expired", "expire"), ("revoked", "revoked"), ("public", "private"), ("locked", "passphrase"), (None, "no key")],
)
def test_a_key_that_does_not_sign(published: Published, keys: Keys, kind: str | None, told: str) -> None:
    settings = signed(keys, kind) if kind else signed(keys).replace(keys["first"], "0" * 40)
    original = (published.site / "conveyor.toml").read_text()
    (published.site / "conveyor.toml").write_text(original + settings)
    refused(published, ["build", "hello"], 3, told, "next:")
    tree = content_of(published.site / "data/repos")
    ended = published.publish()
    assert ended.refused.startswith("SigningFailed"), ended
    assert told in ended.refused, ended
    assert ended.hint
    assert content_of(published.site / "data/repos") == tree
    (published.site / "conveyor.toml").write_text(original + signed(keys))
    assert published.publish().good


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "home")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not mount_memory(folder, "8m"):
        pytest.skip("this machine does not allow to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def room_in(file: io.RawIOBase) -> bool:
    """Whether one more page could be written."""
    try:
        return file.write(bytes(4096)) is not None
    except OSError:
        return False


def test_a_full_disk(small_disk: Path, made: tuple[Release, ...]) -> None:
    published = site_of(small_disk / "site", made)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while room_in(file):
            pass
    tree = content_of(published.site / "data/repos")
    ended = published.publish()
    assert ended.refused.startswith(("DiskFull", "StoreUnusable")), ended
    said = published.run("rollback", "current", "--to", commit_id_of(1))
    assert said.code == 3, said.err
    assert "next:" in said.err
    assert content_of(published.site / "data/repos") == tree
    assert left_over(published.site / "data/repos") == []
    filler.unlink()
    assert published.publish().good


@pytest.mark.parametrize("target", [RPM, DEB])
@pytest.mark.parametrize("damage", ["a bit", "the end", "all of it"])
def test_an_artifact_that_is_not_what_it_was(published: Published, target: str, damage: str) -> None:
    """It is another package's, which the next snapshot would list, too; reading the pool back finds it."""
    artifact = next(
        artifact
        for release in published.releases
        if release.target == target and release.package == "other"
        for _, artifact in release.files
        if artifact.kind is ArtifactKind.BINARY
    )
    path = published.site / "data/repos" / target / "pool" / artifact.pool_path
    content = path.read_bytes()
    if damage == "all of it":
        path.unlink()
    else:
        changed = bytes([content[0], content[1] ^ 1]) + content[2:]
        path.write_bytes(changed if damage == "a bit" else content[:-1])
    said = published.run("scrub", "--target", target)
    assert said.code == 1, said.out + said.err
    assert artifact.filename in said.out
    tree = content_of(published.site / "data/repos")
    only = replace(published, next=tuple(each for each in published.next if each.target == target))
    ended = only.publish()
    assert ended.refused.startswith(("ArtifactDamaged", "ConveyorError")), ended
    assert artifact.filename in ended.refused
    assert ended.hint
    after = content_of(published.site / "data/repos")
    assert [path for path in after if after.get(path) != tree.get(path) and "/pool/" not in path] == []
    path.write_bytes(content)
    assert published.run("scrub", "--target", target).code == 0
    assert only.publish().good
