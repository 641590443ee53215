"""`conveyor mirror` and `conveyor status`, with the real rsync and a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from conveyor.cli.context import Context
from conveyor.cli.main import app
from conveyor.cli.mirror import catch_up
from conveyor.errors import ConfigurationInvalid, UnknownName, UserError
from conveyor.formats.deb.metadata import DebIndexWriter
from tests.fakes.index_writer import FakeIndexWriter
from tests.integration.test_mirrors import assert_whole, publish
from tests.support.published import make_deb, need
from tests.support.trunk import Trunk
from tests.unit.test_json_docs import REPOS, table

pytestmark = pytest.mark.integration

TARGET = "debian-13-amd64"


class Site:
    """A trunk with a snapshot, and two mirrors: a folder, and a port where nobody listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copy = folder / "copy"
        self.copy.mkdir()
        (folder / "specs/nova").mkdir(parents=True)
        (folder / "repos.yaml").write_text(REPOS)
        self.configure(f'destination = "{self.copy}"', 'destination = "rsync://127.0.0.1/tree"\nport = 1')
        self.trunk = Trunk(data=folder / "data", writer=FakeIndexWriter())
        publish(self.trunk, 1)

    def configure(self, *mirrors: str) -> None:
        named = zip(("disk", "dead"), mirrors, strict=False)
        text = "".join(f'[[mirrors]]\nname = "{name}"\n{mirror}\n' for name, mirror in named)
        (self.folder / "conveyor.toml").write_text(f'data_dir = "{self.folder}/data"\n{text}')

    def run(self, *arguments: str) -> Result:
        given = ["--repos", str(self.folder / "repos.yaml"), "--settings", str(self.folder / "conveyor.toml")]
        return CliRunner().invoke(app, [*given, *arguments], env={"CONVEYOR_DATABASE": ""})

    def standing(self, name: str) -> dict[str, Any]:
        mirrors = json.loads(self.run("status", "--json").stdout)["mirrors"]
        found: dict[str, Any] = next(each for each in mirrors if each["mirror"] == name)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    need("rsync", "setpriv")
    site = Site(tmp_path)
    yield site
    site.trunk.close()


def test_all_are_brought_up_to_date_and_what_fails_stops_no_other(site: Site) -> None:
    result = site.run("mirror")
    assert result.exit_code == 3
    assert f"mirror disk: {TARGET}: " in result.stdout
    assert "mirror dead has no new copy of debian-13-amd64: rsync: [sender] failed to connect" in result.stderr
    assert "next: it is tried again with the next publish" in result.stderr
    assert_whole(site.copy / TARGET)
    assert site.run("mirror", "disk").stdout == (
        f"mirror disk: {TARGET}: 0 files of 0.0 KiB copied, 0 snapshots, artifacts and pointers removed\n"
    )


def test_status_says_how_they_stand(site: Site) -> None:
    assert f"mirror disk: {TARGET} was never copied\n" in site.run("status").stdout
    site.run("mirror")
    site.run("mirror")
    shown = site.run("status").stdout
    assert f"mirror disk: {TARGET} is complete as of 20" in shown
    assert f"mirror dead: {TARGET} was never copied, 2 failures: rsync: [sender] failed to connect" in shown
    assert "; tried again after 20" in shown
    publish(site.trunk, 2)
    assert f"mirror disk: {TARGET} is behind since 20" in site.run("status").stdout
    standing = site.standing("dead")
    assert list(table("A mirror")) == list(standing)
    assert (standing["behind"], standing["failures"], standing["synced_at"]) == (True, 2, None)


def test_a_dry_run_copies_nothing(site: Site) -> None:
    result = site.run("mirror", "disk", "--dry-run")
    assert result.exit_code == 0
    assert "would be copied, 0 snapshots, artifacts and pointers would be removed" in result.stdout
    assert list(site.copy.iterdir()) == []
    assert site.standing("disk")["synced_at"] is None


def test_after_publishing_each_gets_what_it_lacks_and_the_dead_one_is_left_alone(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    given = Context(repos=site.folder / "repos.yaml", settings=site.folder / "conveyor.toml", data_dir=None, environ={})
    with given.opened() as conveyor:
        catch_up(given, conveyor)
        said = capsys.readouterr().err
        assert "bringing mirror dead up to date; Ctrl-C leaves it for the next time" in said
        assert "conveyor: mirror dead has no new copy" in said
        assert_whole(site.copy / TARGET)
        publish(site.trunk, 2)
        catch_up(given, conveyor)
        assert capsys.readouterr().err.splitlines() == [
            "bringing mirror disk up to date; Ctrl-C leaves it for the next time"
        ]
    assert (site.copy / TARGET / "current").readlink() == (site.trunk.root / "current").readlink()


def test_a_roll_back_is_followed(site: Site) -> None:
    need("dpkg-deb")
    trunk = Trunk(data=site.folder / "debs", writer=DebIndexWriter(site.folder / "debs/metadata/deb"))
    site.configure(f'destination = "{site.copy}"')
    commits = [
        trunk.publish([make_deb(site.folder, "hello", f"{number}-1")], version=f"{number}-1").commit.id
        for number in (1, 2)
    ]
    result = site.run("--data-dir", str(trunk.data), "rollback", "current", "--target", TARGET, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["entries"]
    assert (site.copy / TARGET / "current").readlink().name == commits[0]
    assert (site.copy / TARGET / "consistent").readlink().name == commits[1]
    trunk.close()


def test_a_wrong_configuration_of_mirrors_fails_no_build(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.configure(f'destination = "{site.copy}"\ntargets = ["debian-31-amd64"]')
    given = Context(repos=site.folder / "repos.yaml", settings=site.folder / "conveyor.toml", data_dir=None, environ={})
    with given.opened() as conveyor:
        catch_up(given, conveyor)
    assert "mirror disk: debian-31-amd64" in capsys.readouterr().err
    assert isinstance(site.run("mirror").exception, ConfigurationInvalid)


def test_what_is_not_there(site: Site) -> None:
    error = site.run("mirror", "disc").exception
    assert isinstance(error, UnknownName)
    assert error.hint == "did you mean 'disk'?"
    site.configure()
    assert isinstance(site.run("mirror").exception, UserError)
    assert "mirror" not in site.run("status").stdout
