"""`conveyor snapshot` as people and programs read it, on a real store, tree and git."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from conveyor.cli.main import app
from conveyor.config.moment import moment_of
from conveyor.errors import ConveyorError, UserError
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.pipeline.looking.travel import Way
from conveyor.upstream.mirror import GitMirrors
from tests.fakes.index_writer import FakeIndexWriter
from tests.support.published import artifact_of
from tests.support.trunk import Trunk
from tests.support.upstream import GitUpstream
from tests.unit.test_json_docs import table, words

TARGET = "debian-13-amd64"
REPOS = """\
targets:
  debian-13-amd64: {format: deb, suite: trixie}
  debian-12-amd64: {format: deb, suite: bookworm}
packages:
  nova: {upstream: "https://opendev.org/openstack/nova", targets: [debian-13-amd64, debian-12-amd64]}
"""
HOSTILE = "Mend \x1b[31mit\x07 \u202eevil"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def trunk(tmp_path: Path) -> Iterator[Trunk]:
    """Two snapshots of nova, and one of oslo between them."""
    (tmp_path / "specs/nova").mkdir(parents=True)
    (tmp_path / "repos.yaml").write_text(REPOS)
    upstream = GitUpstream(tmp_path / "upstream" / "nova.git")
    shas = [upstream.commit(subject) for subject in ("First", HOSTILE, "Third")]
    GitMirrors(tmp_path / "data" / "mirrors").update(upstream.url)
    trunk = Trunk(data=tmp_path / "data", writer=FakeIndexWriter(), base_url=(tmp_path / "data/repos").as_uri())
    trunk.publish(a_deb(tmp_path, "nova", "1-1"), sha=shas[0], upstream_url=upstream.url)
    trunk.publish(a_deb(tmp_path, "oslo", "3-1"), package="oslo", version="3-1")
    trunk.publish(a_deb(tmp_path, "nova", "2-1"), version="2-1", sha=shas[2], upstream_url=upstream.url)
    yield trunk
    trunk.close()


def a_deb(folder: Path, name: str, version: str) -> list[tuple[Path, Artifact]]:
    path = folder / f"{name}_{version}_all.deb"
    path.write_text(f"{name} {version}")
    return [(path, artifact_of(path, kind=ArtifactKind.BINARY, name=name, version=version, architecture="all"))]


def run(trunk: Trunk, *arguments: str) -> Result:
    given = ["--repos", str(trunk.data.parent / "repos.yaml"), "--data-dir", str(trunk.data), "snapshot", *arguments]
    return CliRunner().invoke(app, given, env={"CONVEYOR_DATABASE": ""})


def shown(trunk: Trunk, *arguments: str) -> str:
    result = run(trunk, *arguments)
    assert result.exception is None, result.exception
    return result.stdout


def document(trunk: Trunk, *arguments: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(shown(trunk, *arguments, "--json"))
    assert list(table(f"conveyor snapshot {arguments[0]} --json")) == list(parsed)
    return parsed


def refused(trunk: Trunk, *arguments: str) -> ConveyorError:
    error = run(trunk, *arguments).exception
    assert isinstance(error, ConveyorError)
    return error


class TestForPeople:
    def test_the_list(self, trunk: Trunk) -> None:
        trunk.books.store.mark_collected([1], NOW)
        _, third, second, first = shown(trunk, "list").splitlines()
        assert re.fullmatch(r"3 +debian-13-amd64 +nova +2-1 +[0-9a-f]{12} +[-0-9]+ [:0-9]+ +consistent, current", third)
        assert re.fullmatch(r"2 +debian-13-amd64 +oslo +3-1 +[0-9a-f]{12} +[-0-9]+ [:0-9]+ *", second)
        assert "collected 2026-11-21" in first
        assert len(shown(trunk, "list", "--package", "nova", "--limit", "1").splitlines()) == 2
        assert shown(trunk, "list", "--target", "debian-12-amd64") == "nothing was published yet\n"

    def test_what_one_holds(self, trunk: Trunk) -> None:
        text = shown(trunk, "show", "current")
        folder = trunk.tree.snapshot_folder(TARGET, trunk.books.store.build(3).commit.id)
        assert f"url        {folder.as_uri()}" in text
        assert re.search(r"nova +2-1 .*\n *oslo +3-1 ", text)
        assert text.count("apt-get install --yes nova") == 2
        following = text.partition("# to follow current:")[2]
        assert f"URIs: {folder.as_uri()}\n" in text
        assert f"URIs: {folder.as_uri()}\n" not in following
        assert f"URIs: {folder.parents[2].as_uri()}/current\n" in following
        assert "to follow" not in shown(trunk, "show", folder.name[:9])
        assert f"commit     {folder.name}" in shown(trunk, "show", folder.name[:9])

    def test_where_current_was(self, trunk: Trunk) -> None:
        folder = trunk.tree.snapshot_folder(TARGET, trunk.books.store.build(3).commit.id)
        text = shown(trunk, "at", "2999-01-01T00:00")
        assert "local time (2" in text
        assert f"{TARGET}: current was nova 2-1, build 3, since " in text
        assert f"\n  {folder.as_uri()}\n" in text

    def test_where_it_was_is_gone(self, trunk: Trunk) -> None:
        trunk.books.store.mark_collected([3], NOW)
        text = shown(trunk, "at", "2999-01-01T00:00Z", "--target", TARGET)
        assert "is not there any more: collected 2026-11-21" in text
        older = trunk.tree.snapshot_folder(TARGET, trunk.books.store.build(2).commit.id)
        assert re.search(rf"the nearest before it, .*: {older.as_uri()}\n", text)
        assert "none that was published after it is there" in text

    def test_before_the_first(self, trunk: Trunk) -> None:
        assert "had no current at" in refused(trunk, "at", "2001-01-01", "--target", TARGET).summary

    def test_what_lies_between(self, trunk: Trunk) -> None:
        text = shown(trunk, "diff", "1", "current", "--target", TARGET)
        assert "\n+ oslo 3-1\n! nova 1-1 -> 2-1\n" in text
        assert re.search(r"[0-9a-f]{7} -> [0-9a-f]{7}, 2 upstream commits\n +[0-9a-f]{7} [-0-9]+ Ada: Third\n", text)
        assert re.search(r"Ada: Mend .*it.* evil\n", text)
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
        assert "they hold the same packages" in shown(trunk, "diff", "3", "current")

    def test_a_name_that_several_targets_have_needs_one(self, trunk: Trunk) -> None:
        other = trunk.tree.snapshot_folder("debian-12-amd64", "a" * 40 + "_cccccccc")
        other.mkdir(parents=True)
        (other.parents[2] / "current").symlink_to("/".join(other.parts[-3:]))
        assert refused(trunk, "show", "nothing").exit_code == 2
        assert "conveyor snapshot list' shows them" in refused(trunk, "show", "nothing").hint
        assert shown(trunk, "show", "current").startswith(TARGET)
        assert isinstance(refused(trunk, "show", "current", "--target", "debian-14"), UserError)


class TestForPrograms:
    def test_the_list_is_described(self, trunk: Trunk) -> None:
        each = document(trunk, "list")["snapshots"][0]
        assert list(table("A listed snapshot")) == list(each)
        assert list(table("A snapshot")) == list(each["snapshot"])
        assert (each["snapshot"]["build"], each["pointers"]) == (3, ["consistent", "current"])

    def test_what_one_holds_is_described(self, trunk: Trunk) -> None:
        held = document(trunk, "show", "current")
        assert [each["package"] for each in held["packages"]] == ["nova", "oslo"]
        assert list(table("A package of a snapshot")) == list(held["packages"][0])
        assert list(table("conveyor snapshot show --json"))[1:] == list(held)[1:]
        assert held["client_lines"].endswith("apt-get install --yes nova\n")
        assert "/current\n" in held["following_lines"]
        assert document(trunk, "show", held["snapshot"]["commit_id"])["following_lines"] is None

    def test_where_a_pointer_was_is_described(self, trunk: Trunk) -> None:
        (place,) = document(trunk, "at", "2999-01-01")["places"]
        assert list(table("A place")) == list(place)
        assert (place["snapshot"]["build"], place["older"], place["newer"]) == (3, None, None)

    def test_what_lies_between_is_described(self, trunk: Trunk) -> None:
        found = document(trunk, "diff", "1", "3")
        (change,) = found["changed"]
        assert list(table("A change")) == list(change)
        assert list(table("An upstream commit")) == list(change["commits"][0])
        assert words(table("A change")["way"]) == set(Way)
        assert [each["package"] for each in found["added"]] == ["oslo"]


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("2026-11-21T14:30Z", datetime(2026, 11, 21, 14, 30, tzinfo=UTC)),
            ("2026-11-21T14:30:05+02:00", datetime(2026, 11, 21, 12, 30, 5, tzinfo=UTC)),
            ("90m ago", NOW - timedelta(minutes=90)),
            ("2d  ago", NOW - timedelta(days=2)),
        ],
    )
    def test_with_a_zone(self, text: str, at: datetime) -> None:
        moment = moment_of(text, NOW)
        assert (moment.at, moment.local) == (at, False)

    def test_without_one_it_is_local(self) -> None:
        moment = moment_of("2026-11-21 14:30", NOW)
        assert moment.local
        assert moment.at.strftime("%Y-%m-%d %H:%M") == "2026-11-21 14:30"

    def test_a_date_is_its_end(self) -> None:
        end = moment_of("2026-11-21", NOW).at
        assert end.strftime("%Y-%m-%d %H:%M:%S") == "2026-11-21 23:59:59"

    @pytest.mark.parametrize("text", ["", "yesterday", "ago", "2 moons ago", "2026-13-01", "14:30", "99999999999d ago"])
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UserError, match="is no time") as raised:
            moment_of(text, NOW)
        assert "2d ago" in raised.value.hint
