"""A pointer that moves after each single request of a real client: whatever is read must still belong together."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.test_clients import PLACES, tell
from tests.support import publisher
from tests.support.clients import Apt, Dnf, Said, Zypper
from tests.support.keys import Keys
from tests.support.published import commit_id_of, make_deb, make_rpms
from tests.support.publisher import DEB, RPM, Release, make_site, opened, run, signed
from tests.support.soundness import unpacked
from tests.support.webserver import WebServer, free_port, serving_with

pytestmark = pytest.mark.integration

# Three: a client that asks twice between two files that belong together is not led back to the first.
VERSIONS = ("1.1", "1.2", "1.3")
TIMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """A served tree whose pointers "current" lead elsewhere after each request.

    Attributes:
        site: the site.
        server: what serves it.
    """

    site: Path
    server: WebServer

    def client_file(self, target: str) -> str:
        """The client file of the pointer."""
        return run(publisher.client_file, self.site, target, "current").text

    def moves(self) -> int:
        """How often each pointer has moved."""
        return len(self.server.requests)


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    folder = tmp_path_factory.mktemp("moving")
    port = free_port()
    site = make_site(folder / "site", base_url=f"http://127.0.0.1:{port}", settings=signed(Keys(folder / "keys")))
    ended = run(publisher.publish, site, tuple(made(folder / "made")))
    assert ended.good, ended
    order = itertools.cycle([commit_id_of(number) for number, _ in enumerate(VERSIONS, 1)])
    with opened(site) as conveyor:

        def move() -> None:
            commit = next(order)
            for target in (DEB, RPM):
                with conveyor.tree.writing(target):
                    conveyor.tree.point(target, "current", commit)

        with serving_with(site / "data/repos", port, move) as server:
            yield Moving(site=site, server=server)


def made(folder: Path) -> Iterator[Release]:
    for number, version in enumerate(VERSIONS, 1):
        here = folder / str(number)
        here.mkdir(parents=True)
        rpms = make_rpms(here / "rpm", "hello", version)
        yield Release(target=RPM, package="hello", number=number, files=tuple(rpms))
        deb = make_deb(here, "hello", f"{version}-1")
        yield Release(target=DEB, package="hello", number=number, files=(deb,))


def fresh(client: Dnf | Zypper) -> Said:
    """Have a client read all metadata anew."""
    if isinstance(client, Dnf):
        shutil.rmtree(client.place.path("dnf/cache"), ignore_errors=True)
        return client.makecache()
    client("clean", "--all").good()
    return client("refresh", "--force")


@pytest.mark.parametrize(
    ("place", "client"),
    [("host", Dnf), ("debian-testing", Dnf), ("debian-13", Zypper), ("debian-testing", Zypper)],
    ids=["dnf", "dnf5", "zypper-13", "zypper-testing"],
)
def test_an_rpm_client_reads_one_snapshot(
    moving: Moving, tmp_path: Path, place: str, client: type[Dnf | Zypper]
) -> None:
    one = client(PLACES[place](tmp_path / "place"))
    tell(one.version)
    one.source(moving.client_file(RPM))
    before = moving.moves()
    assert [said.text for said in (fresh(one) for _ in range(TIMES)) if said.code != 0] == []
    one.install("hello")
    assert one.greeting("hello") in VERSIONS
    assert moving.moves() - before > 4 * TIMES


@pytest.mark.parametrize("place", ["host", "debian-testing"], ids=["dnf", "dnf5"])
def test_reposync_copies_one_snapshot(moving: Moving, tmp_path: Path, place: str) -> None:
    """By the file that lies below the pointer: reposync reads metadata twice, and would follow the pointer."""
    dnf = Dnf(PLACES[place](tmp_path / "place"))
    if dnf.program == "dnf" and "reposync" not in dnf("help", plugins=True).text:
        pytest.skip("not installed: dnf's plugin reposync")
    for turn in range(TIMES):
        dnf.source((moving.site / f"data/repos/{RPM}/current/conveyor.repo").read_text())
        shutil.rmtree(dnf.place.path("dnf/cache"), ignore_errors=True)
        into = f"--download-path={dnf.place.name(f'mirror-{turn}')}"
        dnf("reposync", "--repo=conveyor", into, "--download-metadata", plugins=True).good()
        mirror = dnf.place.path(f"mirror-{turn}/conveyor")
        (package,) = mirror.glob("pool/*/*/*.rpm")
        (primary,) = mirror.glob("repodata/*-primary.xml*")
        assert package.name in unpacked(primary).decode()


@pytest.mark.parametrize("place", ["host", "debian-13", "debian-testing"])
def test_apt_reads_what_belongs_together(moving: Moving, tmp_path: Path, place: str) -> None:
    apt = Apt(PLACES[place](tmp_path / "place"), own=place == "host")
    tell(apt.version)
    apt.source(moving.client_file(DEB))
    before = moving.moves()
    for _ in range(TIMES):
        apt.update().good()
        assert apt.candidate("hello").removesuffix("-1") in VERSIONS
        apt("install", "--download-only", "--yes", "hello").good()
        apt("clean").good()
    assert moving.moves() - before > 2 * TIMES
