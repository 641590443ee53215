"""The bench's history and what it publishes are what Conveyor itself would have made."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import history, publication
from conveyor.model.target import Format
from conveyor.store import open_books
from tests.support.published import need

pytestmark = pytest.mark.integration
COUNT = 3
NEEDED = {Format.RPM: ["rpmbuild"], Format.DEB: []}
FIRST = {Format.RPM: "repodata/repomd.xml", Format.DEB: "dists/trunk/Release"}


@pytest.mark.parametrize("package_format", list(Format))
def test_a_commit_is_published_among_the_packages(tmp_path: Path, package_format: Format) -> None:
    need(*NEEDED[package_format])
    made = history.kept(tmp_path, package_format, publication.TARGET, COUNT, 4 * COUNT)
    assert history.kept(tmp_path, package_format, publication.TARGET, COUNT, 4 * COUNT) == made

    figures = [publication.publish(made, package_format) for _ in range(2)]

    assert all(min(each.values()) > 0 for each in figures)
    current = made.repos / publication.TARGET / "current"
    assert (current / FIRST[package_format]).is_file()
    assert len((current / "versions.csv").read_text().splitlines()) == 1 + COUNT
    books = open_books(made.database)
    assert len(books.store.published(publication.TARGET)) == 4 * COUNT + 4
    assert {entry.package for entry in books.store.entries(publication.TARGET)} == {each.name for each in made.packages}
    books.store.close()
