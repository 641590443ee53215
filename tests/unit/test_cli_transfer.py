"""`conveyor export` and `conveyor import`: files, streams, and what goes wrong with them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conveyor.cli.main import app
from conveyor.errors import ConveyorError, DiskFull, ExportInvalid, NotPossible, UserError
from conveyor.store import open_books
from tests.support.full_store import fill


class Site:
    """A data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.url = f"sqlite:///{data}/conveyor.db"

    def run(self, *arguments: str, stdin: bytes | None = None) -> Result:
        options = ["--data-dir", str(self.data), *arguments]
        return CliRunner().invoke(app, options, input=stdin, env={"CONVEYOR_DATABASE": ""})

    def done(self, *arguments: str, stdin: bytes | None = None) -> Result:
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result

    def error(self, *arguments: str, stdin: bytes | None = None) -> ConveyorError:
        result = self.run(*arguments, stdin=stdin)
        assert isinstance(result.exception, ConveyorError), result.output
        return result.exception

    def builds(self) -> int:
        books = open_books(self.url)
        count = len(books.store.builds(limit=1000))
        books.store.close()
        return count


@pytest.fixture
def used(tmp_path: Path) -> Site:
    site = Site(tmp_path / "used")
    books = open_books(site.url)
    fill(books)
    books.store.close()
    return site


@pytest.fixture
def new(tmp_path: Path) -> Site:
    return Site(tmp_path / "new")


def test_a_store_goes_through_a_file(used: Site, new: Site, tmp_path: Path) -> None:
    file = tmp_path / "store.jsonl"
    told = used.done("export", str(file))
    rows = len(file.read_bytes().splitlines()) - 2
    assert told.stderr == f"exported {rows} rows\n"
    assert told.stdout == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    assert new.done("import", str(file)).stderr == f"imported {rows} rows\n"
    assert new.builds() == used.builds() > 5


def test_a_store_goes_through_a_pipe(used: Site, new: Site) -> None:
    written = used.done("export", "-").stdout_bytes
    new.done("import", "-", stdin=written)

    assert new.builds() == used.builds()


def test_a_file_that_is_there_is_replaced_as_a_whole(used: Site, tmp_path: Path) -> None:
    file = tmp_path / "store.jsonl"
    file.write_text("yesterday's")
    used.done("export", str(file))

    assert file.read_text().startswith('{"format":"conveyor-store"')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.jsonl", "used"]


def test_an_export_that_fails_leaves_the_file_as_it_was(new: Site, tmp_path: Path) -> None:
    file = tmp_path / "store.jsonl"
    file.write_text("yesterday's")
    error = new.error("export", str(file))

    assert isinstance(error, NotPossible)
    assert "nothing to export" in error.what
    assert file.read_text() == "yesterday's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "store.jsonl"]


def test_a_disk_without_room(used: Site) -> None:
    assert isinstance(used.error("export", "/dev/full"), DiskFull)


@pytest.mark.parametrize("name", ["missing/store.jsonl", "used", "used/conveyor.db/x"])
def test_a_name_that_cannot_be_written(used: Site, tmp_path: Path, name: str) -> None:
    error = used.error("export", str(tmp_path / name))

    assert type(error) is UserError
    assert f"{tmp_path / name} cannot be written" in error.what


@pytest.mark.parametrize("name", ["missing.jsonl", "used"])
def test_a_name_that_cannot_be_read(used: Site, new: Site, tmp_path: Path, name: str) -> None:
    error = new.error("import", str(tmp_path / name))

    assert type(error) is UserError
    assert f"{tmp_path / name} cannot be read" in error.what
    assert used.builds() > 5


def test_a_file_that_was_cut_off(used: Site, new: Site) -> None:
    written = used.done("export", "-").stdout_bytes
    error = new.error("import", "-", stdin=written[:-40])

    assert isinstance(error, ExportInvalid)
    assert error.exit_code == 2
    assert new.builds() == 0


def test_a_store_that_is_not_empty(used: Site) -> None:
    written = used.done("export", "-").stdout_bytes
    before = used.builds()

    assert isinstance(used.error("import", "-", stdin=written), NotPossible)
    assert used.builds() == before
