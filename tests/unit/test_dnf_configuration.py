"""What dnf is told of repositories and keys that lie on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.config import load_repos
from conveyor.formats.rpm.dnf import DnfManager, local_paths
from conveyor.model.target import RpmDistribution, RpmRepository

FOLDER = Path("/srv/Pakete, für alle: 100%")


def distribution(url: str, key: str | None) -> RpmDistribution:
    repository = RpmRepository(name="local", url=url, key=key)
    return RpmDistribution(release="1", database="/usr/lib/sysimage/rpm", repositories=(repository,))


@pytest.mark.parametrize("key", [str(FOLDER / "key"), (FOLDER / "key").as_uri()])
def test_any_path_is_shared_under_its_own_name(key: str) -> None:
    assert local_paths(distribution(FOLDER.as_uri(), key)) == (FOLDER, FOLDER / "key")


def test_other_addresses_are_not_shared() -> None:
    assert local_paths(distribution("https://example.org/a%20b", "https://example.org/key")) == ()


def test_a_key_with_a_blank_in_its_path_stays_one_url() -> None:
    known = load_repos(Path(__file__).parents[2] / "repos.yaml").target("local-1-x86_64")
    target = replace(known, origin=distribution("https://example.org/packages", str(FOLDER / "key")))
    (first, _) = DnfManager().install(target, ("hello",), None)
    lines = first.files["repos.d/conveyor.repo"].splitlines()
    assert f"gpgkey={(FOLDER / 'key').as_uri()}" in lines
