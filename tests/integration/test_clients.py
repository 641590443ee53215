"""Real clients of both formats read a published, signed tree: they install, follow a pointer, go back to an old
snapshot, copy it, and refuse what another key has signed.

What the host has not comes from roots of Debian 13 and of testing, made once below .cache/test-buildroots-clients.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from debian.deb822 import Deb822

from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.promotion import MoveKind
from tests.support import publisher
from tests.support.clients import Apt, Dnf, Place, Root, Zypper, bootstrapped, call
from tests.support.keys import Keys, gpgv
from tests.support.published import commit_id_of, make_deb, make_dsc, make_rpms, need
from tests.support.publisher import DEB, RPM, Release, make_site, opened, run, signed
from tests.support.soundness import unpacked
from tests.support.webserver import WebServer, free_port, serving

pytestmark = pytest.mark.integration

TRIXIE = ("apt", "gpgv", "rpm", "zypper")
# The first suite that has dnf 5 and rpm 6.
FORKY = ("apt", "createrepo-c", "dnf5", "gpgv", "rpm", "zypper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A tree with two commits of "hello", and one of "other" between them.

    Attributes:
        site: the site.
        keys: the keys; the first signs.
        server: what serves it.
        releases: what was published.
    """

    site: Path
    keys: Keys
    server: WebServer
    releases: tuple[Release, ...]

    @property
    def repos(self) -> Path:
        """The published tree."""
        return self.site / "data/repos"

    def snapshot(self, target: str, number: int) -> Path:
        """A snapshot's folder."""
        return next((self.repos / target).glob(f"??/??/{commit_id_of(number)}"))

    def immutable(self, target: str, number: int) -> str:
        """The client file of a snapshot."""
        suffix = "repo" if target == RPM else "sources"
        return (self.snapshot(target, number) / f"conveyor.{suffix}").read_text()

    def point(self, target: str, pointer: str, number: int) -> str:
        """Move a pointer; returns its client file."""
        return run(move, self.site, target, pointer, number).text

    def binaries(self, target: str, *numbers: int) -> list[tuple[Path, Artifact]]:
        """The packages of commits, as they are in the pool."""
        pool = self.repos / target / "pool"
        return [
            (next(pool.glob(f"*/*/{artifact.filename}")), artifact)
            for release in self.releases
            if release.target == target and release.number in numbers
            for _, artifact in release.files
            if artifact.kind is ArtifactKind.BINARY
        ]


def move(site: Path, target: str, pointer: str, number: int) -> str:
    """Promote a commit, as `conveyor promote` does."""
    with opened(site) as conveyor:
        conveyor.pointers.move(MoveKind.PROMOTED, [(target, pointer, commit_id_of(number))], actor="tests")
        return conveyor.tree.client_file(target, pointer)[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("clients")
    keys, port = Keys(folder / "keys"), free_port()
    site = make_site(folder / "site", base_url=f"http://127.0.0.1:{port}", settings=signed(keys))
    releases = tuple(made(folder / "made"))
    ended = run(publisher.publish, site, releases)
    assert ended.good, ended
    (folder / "server").mkdir()
    with serving(site / "data/repos", folder / "server", port) as server:
        yield Served(site=site, keys=keys, server=server, releases=releases)


def made(folder: Path) -> Iterator[Release]:
    for number, (package, version) in enumerate((("hello", "1.1"), ("other", "1.1"), ("hello", "1.2")), 1):
        here = folder / str(number)
        here.mkdir(parents=True)
        debs = [make_deb(here, package, f"{version}-1"), *make_dsc(here, package, f"{version}-1")]
        rpms = make_rpms(here / "rpm", package, version)
        yield Release(target=RPM, package=package, number=number, files=tuple(rpms))
        yield Release(target=DEB, package=package, number=number, files=tuple(debs))


def tell(*versions: str) -> None:
    """Write into the test's output who the clients were."""
    print("; ".join(versions))  # noqa: T201 - asked for in the report


Make = Callable[[Path], Place]
PLACES: dict[str, Make] = {
    "host": Place,
    "debian-13": lambda folder: Root(folder, bootstrapped("trixie", TRIXIE)),
    "debian-testing": lambda folder: Root(folder, bootstrapped("forky", FORKY)),
}


class TestRpmClients:
    """Each installs into a root of its own."""

    @pytest.mark.parametrize(
        ("place", "client"),
        [("host", Dnf), ("debian-testing", Dnf), ("debian-13", Zypper), ("debian-testing", Zypper)],
        ids=["dnf", "dnf5", "zypper-13", "zypper-testing"],
    )
    def test_install_follow_and_go_back(
        self, served: Served, tmp_path: Path, place: str, client: type[Dnf | Zypper]
    ) -> None:
        def fresh(name: str) -> Dnf | Zypper:
            return client(PLACES[place](tmp_path / name))

        first = fresh("first")
        tell(first.version)
        pointer = f"for-{first.name}-{place}"
        first.source(served.point(RPM, pointer, 2))
        first.install("hello", "other")
        assert first.greeting("hello") == "1.1"
        served.point(RPM, pointer, 3)
        first.upgrade()
        assert first.greeting("hello") == "1.2"
        second = fresh("second")
        second.source(served.immutable(RPM, 1))
        second.install("hello")
        assert second.greeting("hello") == "1.1"

    @pytest.mark.parametrize(
        ("place", "client"),
        [("host", Dnf), ("debian-testing", Dnf), ("debian-testing", Zypper)],
        ids=["dnf", "dnf5", "zypper"],
    )
    def test_what_another_key_signed_is_refused(
        self, served: Served, tmp_path: Path, place: str, client: type[Dnf | Zypper]
    ) -> None:
        other = client(PLACES[place](tmp_path / "place"))
        tell(other.version)
        key = other.place.write("other.asc", served.keys.export("second"))
        text = re.sub(r"(?m)^gpgkey=.*$", f"gpgkey=file://{key}", served.immutable(RPM, 3))
        other.source(text)
        said = other.try_to_install("hello")
        assert "hello" not in other.installed
        assert re.search(r"(?i)signature|gpg|public key|not signed", said.bad()), said.text

    @pytest.mark.parametrize("place", ["host", "debian-testing"], ids=["dnf", "dnf5"])
    def test_reposync_and_createrepo_c_read_it_back(self, served: Served, tmp_path: Path, place: str) -> None:
        dnf = Dnf(PLACES[place](tmp_path / "place"))
        dnf.place.need("createrepo_c")
        if dnf.program == "dnf" and "reposync" not in dnf("help", plugins=True).text:
            pytest.skip("not installed: dnf's plugin reposync")
        tell(dnf.version, f"createrepo_c {dnf.place('createrepo_c', '--version').good().split()[1]}")
        dnf.source(served.immutable(RPM, 3))
        into = f"--download-path={dnf.place.name('mirror')}"
        dnf("reposync", "--repo=conveyor", into, "--download-metadata", plugins=True).good()
        mirror = dnf.place.path("mirror/conveyor")
        published = served.snapshot(RPM, 3)
        assert sorted(path.name for path in mirror.glob("pool/*/*/*.rpm")) == [
            "hello-1.2-1.noarch.rpm",
            "other-1.1-1.noarch.rpm",
        ]
        before = primary(published)
        # The times of the copies are their own: without a look at them.
        said = dnf.place(
            "createrepo_c", "--update", "--skip-stat", "--verbose", dnf.place.name("mirror/conveyor")
        ).good()
        assert len(re.findall("CACHE HIT", said)) == 2, said
        assert primary(mirror) == before

    @pytest.mark.parametrize("place", ["host", "debian-13", "debian-testing"])
    def test_rpm_checks_the_signatures(self, served: Served, tmp_path: Path, place: str) -> None:
        where = PLACES[place](tmp_path / "place")
        where.need("rpmkeys")
        tell(where("rpm", "--version").good().strip())
        keys = {kind: where.write(f"{kind}.asc", served.keys.export(kind)) for kind in ("first", "second")}
        packages = [where.write(path.name, path.read_bytes()) for path, _ in served.binaries(RPM, 1, 2, 3)]
        for kind in ("second", "first"):
            database = ("--root", "/", "--dbpath", where.name(f"database-{kind}"))
            where.path(f"database-{kind}").mkdir()
            where("rpmkeys", *database, "--import", keys[kind]).good()
            said = where("rpmkeys", *database, "--checksig", *packages)
            if kind == "first":
                assert said.good().count("digests signatures OK") == 3, said.text
            else:
                assert "SIGNATURES NOT OK" in said.bad()


def primary(folder: Path) -> dict[str, tuple[str, ...]]:
    """What the metadata says of each package, by its path: all of its text, less the time of the file."""
    entry = (folder / "repodata/repomd.xml").read_text()
    (path,) = [path for path in folder.glob("repodata/*-primary.xml*") if path.name in entry]
    packages = re.findall(r"<package .*?</package>", unpacked(path).decode(), re.DOTALL)
    words = [re.sub(r'time file="\d+"', "", package).split() for package in packages]
    return {next(word for word in each if word.startswith("href=")): tuple(sorted(each)) for each in words}


class TestDebClients:
    """The host's apt downloads, those in roots install."""

    def test_the_hosts_apt_follows_and_goes_back(self, served: Served, tmp_path: Path) -> None:
        apt = Apt(Place(tmp_path / "first"))
        tell(apt.version)
        apt.source(served.point(DEB, "for-apt-host", 2))
        apt.update().good()
        assert apt.candidate("hello") == "1.1-1"
        served.point(DEB, "for-apt-host", 3)
        apt.update().good()
        assert apt.candidate("hello") == "1.2-1"
        apt("install", "--download-only", "--yes", "hello", "other").good()
        old = Apt(Place(tmp_path / "second"))
        old.source(served.immutable(DEB, 1))
        old.update().good()
        old("download", "hello").good()
        fetched = {path.name: path.read_bytes() for path in tmp_path.rglob("*.deb")}
        assert fetched == {path.name: path.read_bytes() for path, _ in served.binaries(DEB, 1, 2, 3)}

    @pytest.mark.parametrize("place", ["debian-13", "debian-testing"])
    def test_install_follow_and_go_back(self, served: Served, tmp_path: Path, place: str) -> None:
        apt = Apt(PLACES[place](tmp_path / "first"), own=False)
        tell(apt.version)
        pointer = f"for-apt-{place}"
        apt.source(served.point(DEB, pointer, 2))
        apt.update().good()
        apt("install", "--yes", "hello", "other").good()
        assert apt.greeting("hello") == "1.1-1"
        served.point(DEB, pointer, 3)
        apt.update().good()
        apt("upgrade", "--yes").good()
        assert apt.greeting("hello") == "1.2-1"
        old = Apt(PLACES[place](tmp_path / "second"), own=False)
        old.source(served.immutable(DEB, 1))
        old.update().good()
        old("install", "--yes", "hello").good()
        assert old.greeting("hello") == "1.1-1"

    @pytest.mark.parametrize("place", ["host", "debian-13", "debian-testing"])
    def test_what_another_key_signed_is_refused(self, served: Served, tmp_path: Path, place: str) -> None:
        apt = Apt(PLACES[place](tmp_path / "place"), own=place == "host")
        tell(apt.version)
        key = apt.place.write("other.asc", served.keys.export("second"))
        text = served.immutable(DEB, 3)
        apt.source(f"{text[: text.index('Signed-By:')]}Signed-By: {key}\n")
        assert re.search(r"(?i)NO_PUBKEY|missing key|not signed|verif", apt.update().bad())
        assert "hello" not in apt.place("apt-cache", "pkgnames", **apt.environment).text

    def test_debians_own_tools_say_the_same_of_the_packages(self, served: Served, tmp_path: Path) -> None:
        need("dpkg-scanpackages", "apt-ftparchive")
        target, published = served.repos / DEB, served.snapshot(DEB, 3)
        tell(
            *(
                call([tool, "--version"], tmp_path).text.splitlines()[0]
                for tool in ("dpkg-scanpackages", "apt-ftparchive")
            )
        )
        ours = stanzas((published / "dists/trunk/main/binary-amd64/Packages").read_text())
        assert {each["Package"] for each in ours.values()} == {"hello", "other"}
        for argv in (["dpkg-scanpackages", "--multiversion", "pool"], ["apt-ftparchive", "packages", "pool"]):
            theirs = stanzas(scanned(argv, target))
            for path, stanza in ours.items():
                common = {
                    field: stanza.get(field) for field in theirs[path] if field not in {"MD5sum", "SHA1", "SHA512"}
                }
                assert common == {field: theirs[path][field] for field in common}

    def test_signatures_are_what_gpgv_takes(self, served: Served, tmp_path: Path) -> None:
        deb, rpm = served.snapshot(DEB, 3) / "dists/trunk", served.snapshot(RPM, 3) / "repodata"
        signed_files = [
            (deb / "InRelease",),
            (deb / "Release.gpg", deb / "Release"),
            (rpm / "repomd.xml.asc", rpm / "repomd.xml"),
        ]
        tell(call(["gpgv", "--version"], tmp_path).good().splitlines()[0])
        for files in signed_files:
            assert gpgv(served.keys.export("first"), tmp_path, *files).returncode == 0
            assert gpgv(served.keys.export("second"), tmp_path, *files).returncode != 0


def scanned(argv: list[str], folder: Path) -> str:
    """What a tool says of packages, less its remarks."""
    return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True).stdout


def stanzas(text: str) -> dict[str, dict[str, str]]:
    """The stanzas of an index, by path."""
    found = [dict(each) for each in Deb822.iter_paragraphs(text, use_apt_pkg=False)]
    return {each["Filename"]: each for each in found}


def test_nothing_that_a_client_needed_was_missing(served: Served) -> None:
    optional = (
        ".zck",
        "Release",
        "metalink",
        "media",
        "content",
        "directory.yast",
        "products",
        "repodata/repomd.xml.key",
    )
    missing = [path for path, status in served.server.requests if status >= 400 and not path.endswith(optional)]
    assert missing == []
