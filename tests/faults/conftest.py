"""A site that has published something, packages for what it publishes next, and room in memory for its copies."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import publisher
from tests.support.daemons import QuickSite, site_of
from tests.support.disks import mount_memory
from tests.support.keys import Keys
from tests.support.published import make_deb, make_dsc, make_rpms
from tests.support.publisher import DEB, RPM, Release, make_site, run
from tests.support.strace import need_strace

COMMITS = (("hello", 1), ("other", 1), ("hello", 2), ("hello", 3), ("other", 2), ("hello", 4))


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder, in memory where that can be had: hundreds of sites are made in it, each with dozens of fsyncs."""
    folder = tmp_path_factory.mktemp("faults")
    mounted = os.geteuid() == 0 and mount_memory(folder, "1g")
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def site(room: Path) -> Iterator[QuickSite]:
    """A site with a daemon that builds quickly."""
    with site_of(QuickSite, room) as made:
        made.set("min_free_disk", '"16M"')  # the room is in memory
        yield made


@pytest.fixture(scope="session")
def keys(room: Path) -> Keys:
    """Keys to sign with."""
    return Keys(room / "keys")


@pytest.fixture(scope="session")
def more_releases(room: Path) -> tuple[Release, ...]:
    """What builds of two packages made for both targets: some commits, in the order in which they are published."""
    made: list[Release] = []
    for number, (package, version) in enumerate(COMMITS, 1):
        folder = room / f"made/{number}"
        folder.mkdir(parents=True)
        rpms = make_rpms(folder / "rpm", package, f"1.{version}")
        debs = [make_deb(folder, package, f"1.{version}-1"), *make_dsc(folder, package, f"1.{version}-1")]
        made += [
            Release(target=RPM, package=package, number=number, files=tuple(rpms)),
            Release(target=DEB, package=package, number=number, files=tuple(debs)),
        ]
    return tuple(made)


@pytest.fixture(scope="session")
def releases(more_releases: tuple[Release, ...]) -> tuple[Release, ...]:
    """The first of them: one package, another, and a newer one of the first."""
    return more_releases[: 2 * 3]


@pytest.fixture(scope="session")
def before(room: Path, releases: tuple[Release, ...]) -> Path:
    """A site that has published all but the last commit."""
    need_strace()
    site = make_site(room / "before")
    ended = run(publisher.publish, site, releases[:-2])
    assert ended.good, ended
    return site


@pytest.fixture(scope="session")
def whole(room: Path, before: Path, releases: tuple[Release, ...]) -> Path:
    """A copy of it that has published the last one, too, undisturbed."""
    site = shutil.copytree(before, room / "whole", symlinks=True)
    ended = run(publisher.publish, site, releases)
    assert ended.good, ended
    return site
