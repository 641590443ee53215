"""Sites for the end-to-end tests, on shared warm buildroots."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.published import need
from tests.support.site import DISTRIBUTION, ROOT, RPM, Site

CACHE = ROOT / ".cache"
PROGRAMS = ("git", "bwrap", "setpriv", "unshare", "mkfs.ext4", "mmdebstrap", "apt-get", "dpkg", "dnf", "rpm")

Make = Callable[..., Site]


@pytest.fixture(scope="session")
def buildroots() -> Path:
    """A folder of layers that outlives the tests, on the file system of the sites; filled by one build."""
    if os.geteuid() != 0:
        pytest.skip("building needs root")
    need(*PROGRAMS)
    if not (DISTRIBUTION / "repodata").is_dir():
        pytest.skip(f"{DISTRIBUTION} is missing: containers/rpm-distribution/make.py makes it")
    folder = CACHE / "test-buildroots"
    folder.mkdir(parents=True, exist_ok=True)
    with _folder() as site:
        said = Site(site, folder).run("build", "hello", patience=1200)
    if said.code == 3:
        pytest.skip(f"the buildroots cannot be made: {said.err}")
    assert said.code == 0, said.err
    return folder


@pytest.fixture
def make_site(buildroots: Path) -> Iterator[Make]:
    """Makes sites; at the end none of them may have left anything behind."""
    sites: list[Site] = []
    with _folder() as folder:

        def make(data: Path | None = None) -> Site:
            own = folder / str(len(sites))
            own.mkdir()
            sites.append(Site(own, buildroots, data))
            return sites[-1]

        yield make
        left = [each for site in sites for each in site.left_behind]
        assert left == []


@pytest.fixture
def site(make_site: Make) -> Site:
    """One site."""
    return make_site()


@pytest.fixture
def rpm_site(site: Site) -> Site:
    """One site with the RPM target only, whose builds are the quickest."""
    site.targets = {RPM: site.targets[RPM]}
    site.configure()
    return site


class _folder:  # noqa: N801 - reads as the function it stands for
    """A folder below the cache, closed to other users as /root is, removed at the end."""

    def __enter__(self) -> Path:
        CACHE.mkdir(exist_ok=True)
        self._path = Path(tempfile.mkdtemp(prefix="e2e-", dir=CACHE))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path)
