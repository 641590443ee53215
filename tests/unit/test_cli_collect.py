"""`conveyor collect` and `conveyor scrub`: what they say, and how they end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from conveyor.cli.main import app
from conveyor.errors import ConveyorError
from conveyor.store import open_books
from tests.fakes.clock import FakeClock
from tests.support.retention import Trunk
from tests.support.workshop import TARGET, tree_of

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
REPOS = """\
{top}
defaults: {{targets: [debian-13-amd64]}}
targets:
  debian-12-amd64: {{format: deb, suite: bookworm}}
  debian-13-amd64: {{format: deb, suite: trixie}}
packages:
  nova: {{upstream: "https://opendev.org/openstack/nova"}}
"""


class Site:
    """Three published builds of nova, the first two of which retention takes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        (folder / "specs/nova").mkdir(parents=True)
        clock = FakeClock(LONG_AGO)
        books = open_books(f"sqlite:///{self.data}/conveyor.db", now=clock.now)
        trunk = Trunk(self.data, "nova", store=books.store, ledger=books.ledger, clock=clock)
        self.builds = [trunk.publish("nova") for _ in range(3)]
        self.root = trunk.root
        books.store.close()
        self.configure("retention: {newest: 1, grace: 1s}")

    def configure(self, top: str) -> None:
        (self.folder / "repos.yaml").write_text(REPOS.format(top=top))

    def run(self, *arguments: str) -> Result:
        options = ["--repos", str(self.folder / "repos.yaml"), "--data-dir", str(self.data)]
        return CliRunner().invoke(app, [*options, *arguments], env={"CONVEYOR_DATABASE": ""})

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert done.exit_code == code, done.output
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def manifest(self) -> Path:
        commit = self.builds[-1].commit.id
        return self.root / commit[:2] / commit[2:4] / commit / "manifest.json"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_dry_run_says_what_the_run_does(site: Site) -> None:
    before = tree_of(site.root), tree_of(site.data / "builds")
    told = site.json("collect", "--dry-run")
    assert (tree_of(site.root), tree_of(site.data / "builds")) == before
    done = site.json("collect")
    assert (told.pop("dry_run"), done.pop("dry_run")) == (True, False)
    assert told == done
    other, target = done["targets"]
    assert (other["target"], other["snapshots"], other["size"]) == ("debian-12-amd64", [], 0)
    assert [each["build"] for each in target["snapshots"]] == [build.id for build in site.builds[:2]]
    assert target["builds"] == [build.id for build in site.builds[:2]]
    assert len(target["files"]) == 4
    assert done["size"] == target["size"] > 0
    assert site.json("collect")["size"] == 0


def test_people_are_told_the_snapshots_and_the_sum(site: Site) -> None:
    told = site.run("collect", "--dry-run", "--target", TARGET.name)
    assert told.exit_code == 0
    assert site.builds[0].commit.id in told.stdout
    assert "would be freed; nothing was removed" in told.stdout
    done = site.run("collect")
    assert "freed" in done.stdout
    assert "would" not in done.stdout


def test_without_retention_everything_is_kept_and_said_so(site: Site) -> None:
    site.configure("")
    before = tree_of(site.data)
    done = site.run("collect")
    assert done.exit_code == 0
    assert "everything is kept" in done.stdout
    assert tree_of(site.root) == {
        name.partition("/")[2].partition("/")[2]: content
        for name, content in before.items()
        if name.startswith(f"repos/{TARGET.name}/")
    }
    assert site.json("collect")["targets"] == []


def test_a_target_that_is_not_known_is_a_mistake(site: Site) -> None:
    done = site.run("collect", "--target", "debian-14-amd64")
    assert isinstance(done.exception, ConveyorError)
    assert done.exception.exit_code == 2


def test_a_manifest_that_cannot_be_read_stops_its_target_and_is_named(site: Site) -> None:
    site.manifest().write_text("{")
    before = tree_of(site.root)
    done = site.run("collect")
    assert done.exit_code == 3
    assert f"{TARGET.name}: nothing was removed: {site.manifest()} cannot be read" in done.stderr
    document = site.json("collect", code=3)
    assert [each["error"] and each["error"]["kind"] for each in document["targets"]] == [None, "SnapshotDamaged"]
    assert tree_of(site.root) == before


def test_the_log_of_a_collected_build_is_said_to_be_gone(site: Site) -> None:
    site.run("collect")
    done = site.run("log", str(site.builds[0].id))
    assert isinstance(done.exception, ConveyorError)
    assert "retention removed it" in done.exception.summary
    assert site.run("log", str(site.builds[2].id)).exit_code == 0


def test_scrub_names_what_is_damaged_and_ends_with_1(site: Site) -> None:
    good = site.run("scrub", "--bytes-per-second", "1G")
    assert good.exit_code == 0
    assert "all as they have to be" in good.stdout
    path = max(site.root.glob("pool/*/*/*.fake"))
    path.write_bytes(b"x" * path.stat().st_size)
    done = site.run("scrub")
    assert done.exit_code == 1
    assert f"pool/{path.relative_to(site.root / 'pool')}" in done.stdout
    assert "conveyor build nova" in done.stderr
    document = site.json("scrub", "--target", TARGET.name, code=1)
    assert document["targets"][0]["findings"] == [
        {"path": str(path.relative_to(site.root)), "flaw": "damaged", "package": "nova"}
    ]
    wrong = site.run("scrub", "--bytes-per-second", "fast")
    assert isinstance(wrong.exception, ConveyorError)
    assert wrong.exception.exit_code == 2
