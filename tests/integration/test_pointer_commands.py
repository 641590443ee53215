"""`conveyor rollback` and `conveyor ledger` on a real tree and a real store."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conveyor.cli.main import app
from conveyor.errors import ConveyorError
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.model.promotion import MoveKind
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.repository.tree import PublishedTree
from conveyor.store import open_books
from tests.support.published import commit_id_of, entry_of, plain_artifact, snapshot_of

pytestmark = pytest.mark.integration

TARGETS = ("debian-12-amd64", "debian-13-amd64")
REPOS = """\
targets:
  debian-12-amd64: {format: deb, suite: bookworm}
  debian-13-amd64: {format: deb, suite: trixie}
packages:
  nova: {upstream: "https://opendev.org/openstack/nova", targets: [debian-12-amd64, debian-13-amd64]}
"""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Two targets with three snapshots each; `tested` was moved twice on both together, `current` on each alone."""

    folder: Path

    def __call__(self, *arguments: str, expected: int = 0, **environment: str) -> str:
        """What a command prints, or what its error says."""
        done = CliRunner().invoke(app, [*self.options, *arguments], env=environment)
        if isinstance(done.exception, ConveyorError):
            assert done.exception.exit_code == expected
            return done.exception.summary
        assert done.exit_code == expected, done.output
        return done.stdout

    @property
    def options(self) -> list[str]:
        return ["--repos", f"{self.folder}/repos.yaml", "--data-dir", f"{self.folder}/data"]

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads(self(*arguments, "--json"))["entries"]
        return entries

    @property
    def tree(self) -> PublishedTree:
        writers = dict.fromkeys(TARGETS, DebIndexWriter(self.folder / "data/metadata/deb"))
        return PublishedTree(self.folder / "data/repos", writers=writers, base_url="https://trunk.example.org")

    def at(self, pointer: str = "tested") -> list[str | None]:
        return [self.tree.pointed(target, pointer) for target in TARGETS]

    def edit(self, *statements: str) -> None:
        with sqlite3.connect(self.folder / "data/conveyor.db") as connection:
            for statement in ("DROP TRIGGER ledger_UPDATE", "DROP TRIGGER ledger_DELETE", *statements):
                connection.execute(statement)
        connection.close()

    def fill(self) -> None:
        (self.folder / "specs/nova").mkdir(parents=True)
        (self.folder / "repos.yaml").write_text(REPOS)
        books, tree = open_books(f"sqlite:///{self.folder}/data/conveyor.db"), self.tree
        pointers = Pointers(books.ledger, tree, SystemClock())
        for number in range(3):
            path, artifact = plain_artifact(self.folder, f"nova-{number}.txt", str(number).encode())
            for target in TARGETS:
                tree.add(target, path, artifact)
                tree.publish(snapshot_of(target, "amd64", number, entry_of("nova", number, (artifact,))), {})
                steps = [(target, "current", commit_id_of(number))]
                pointers.move(MoveKind.PUBLISHED, steps, actor="conveyor")
        for number in (0, 2):
            together = [(target, "tested", commit_id_of(number)) for target in TARGETS]
            pointers.move(MoveKind.PROMOTED, together, actor="ada", note="Good.", evidence={"votes": ["smoke"]})
        books.store.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path)
    site.fill()
    return site


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """For those that change nothing."""
    site = Site(folder=tmp_path_factory.mktemp("shared"))
    site.fill()
    return site


class TestRollback:
    def test_all_targets_of_the_last_move_go_back_and_the_ledger_says_who(self, site: Site) -> None:
        said = site("rollback", "tested", "--note", "It does not start.", SUDO_USER="eve")

        assert site.at() == [commit_id_of(0)] * 2
        assert said.splitlines() == [
            f"moved tested of {target}: {commit_id_of(2)} -> {commit_id_of(0)} (ledger {number})"
            for number, target in enumerate(TARGETS, start=11)
        ]
        newest, *_ = site.json("ledger", "--limit", "1")
        assert (newest["kind"], newest["actor"], newest["note"]) == ("rolled back", "eve", "It does not start.")
        assert (newest["before"], newest["after"]) == (commit_id_of(2), commit_id_of(0))

    def test_to_where_it_was_after_an_entry(self, site: Site) -> None:
        said = site("rollback", "current", "--target", TARGETS[0], "--to", "3", "--actor", "bot")

        assert site.at("current") == [commit_id_of(1), commit_id_of(2)]
        assert "the next good build moves current again" in said
        assert site.json("ledger", "--pointer", "current")[0]["actor"] == "bot"
        assert "is there already" in site("rollback", "current", "--target", TARGETS[0], "--to", "3")

    def test_what_was_moved_by_hand_is_written_down_first(self, site: Site) -> None:
        tree = site.tree
        for target in TARGETS:
            tree.point(target, "tested", commit_id_of(1))
        entries = site.json("rollback", "tested", "--target", TARGETS[1])

        assert [(entry["target"], entry["after"]) for entry in entries] == [(TARGETS[1], commit_id_of(2))]
        kinds = [entry["kind"] for entry in site.json("ledger", "--pointer", "tested", "--limit", "3")]
        assert kinds == ["rolled back", "found", "found"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("pool",), "'pool' cannot be a pointer's name"),
            (("../current",), "cannot be a pointer's name"),
            (("ab",), "cannot be a pointer's name"),
            (("testd",), "no target has a pointer 'testd'"),
            (("current",), "was last moved by different moves"),
            (("tested", "--target", "fedora-1"), "fedora-1"),
            (("tested", "--to", "99"), "the ledger has no entry 99"),
            (("tested", "--to", "4"), "says nothing of tested"),
            (("tested", "--to", "a" * 40), "has no snapshot"),
            (("tested", "--actor", " "), "--actor is empty"),
        ],
    )
    def test_what_cannot_be_is_told_and_moves_nothing(
        self, shared_site: Site, arguments: tuple[str, ...], said: str
    ) -> None:
        assert said in shared_site("rollback", *arguments, expected=2)
        assert shared_site.at() == [commit_id_of(2)] * 2
        assert len(shared_site.json("ledger")) == 10


class TestLedger:
    def test_a_table_newest_first(self, site: Site) -> None:
        heading, newest, *others = site("ledger", "--target", TARGETS[0]).splitlines()

        assert heading.split() == ["entry", "at", "pointer", "target", "from", "to", "why", "who", "note"]
        assert newest.split()[0::1][-1] == "Good."
        assert [commit_id_of(0)[:12], commit_id_of(2)[:12], "promoted", "ada"] == newest.split()[5:9]
        assert [line.split()[0] for line in others] == ["7", "5", "3", "1"]

    def test_nothing_yet(self, tmp_path: Path) -> None:
        site = Site(folder=tmp_path)
        (tmp_path / "specs/nova").mkdir(parents=True)
        (tmp_path / "repos.yaml").write_text(REPOS)
        assert site("ledger") == "no pointer has moved yet\n"
        assert site("ledger", "verify") == "the ledger has no entry yet\n"
        assert site.json("ledger") == []

    def test_verify_tells_the_head_that_is_published_too(self, site: Site) -> None:
        counted, head = site("ledger", "verify").splitlines()

        assert counted == "10 entries, each follows from the one before"
        assert head == f"head: {(site.folder / f'data/repos/{TARGETS[1]}/ledger-head').read_text().strip()}"
        site("rollback", "tested")
        assert "12 entries" in site("ledger", "verify", "--expect", head.removeprefix("head: "))

    def test_anybody_can_check_the_chain_as_the_documentation_says(self, site: Site) -> None:
        text = (Path(__file__).parents[2] / "docs/store.md").read_text(encoding="utf-8")
        program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
        assert program

        def checked() -> str:
            document = site("ledger", "--limit", "1000000000", "--json")
            argv = [sys.executable, "-c", program[1]]
            return subprocess.run(argv, input=document, text=True, capture_output=True, check=False).stderr

        assert checked() == ""
        site.edit("UPDATE ledger SET note = 'Bad.' WHERE number = 7")
        assert "AssertionError: 7" in checked()

    def test_a_changed_entry_is_named(self, site: Site) -> None:
        site.edit("UPDATE ledger SET actor = 'nobody' WHERE number = 8")
        said = site("ledger", "verify", expected=1)

        assert "entry 8 of the ledger is not what was written" in said
        assert "by nobody" in said
        whole = [sys.executable, "-m", "conveyor.cli.main", *site.options, "ledger", "verify"]
        assert subprocess.run(whole, cwd=Path(__file__).parents[2], check=False, capture_output=True).returncode == 1

    def test_an_end_that_is_gone_is_told_by_what_was_noted(self, site: Site) -> None:
        head = site("ledger", "verify").splitlines()[1].removeprefix("head: ")
        site.edit("DELETE FROM ledger WHERE number > 8")

        assert f"entry 10 is noted in repos/{TARGETS[0]}/ledger-head" in site("ledger", "verify", expected=1)
        for target in TARGETS:
            (site.folder / f"data/repos/{target}/ledger-head").unlink()
        assert "8 entries" in site("ledger", "verify")
        assert "ends with entry 8" in site("ledger", "verify", "--expect", head, expected=1)
        assert "is no head" in site("ledger", "verify", "--expect", "10", expected=2)
