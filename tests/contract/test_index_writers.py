"""Both formats' metadata as the real dnf and the real apt see it, from files and over HTTP."""

from __future__ import annotations

import functools
import gzip
import http.server
import multiprocessing
import os
import stat
import subprocess
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from debian.deb822 import Deb822, Release, Sources

from conveyor.config import load_repos
from conveyor.errors import ArtifactDamaged, DiskFull, SourceInvalid
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.formats.rpm.metadata import RpmIndexWriter
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot
from conveyor.model.target import DEFAULT_INDEXES, IndexOptions
from conveyor.ports import IndexWriter
from conveyor.repository import names
from conveyor.repository.signing.gnupg import KeyHome
from conveyor.repository.signing.published import Signing
from conveyor.repository.signing.signer import GpgSigner
from conveyor.repository.tree import PublishedTree
from tests.support import published
from tests.support.keys import Keys
from tests.support.published import artifact_of, commit_id_of, entry_of, make_deb, make_dsc, make_rpms, snapshot_of

RPM_TARGET = "centos-10-x86_64"
DEB_TARGET = "debian-13-amd64"
Built = list[tuple[Path, Artifact]]


def writers_at(cache: Path, options: IndexOptions = DEFAULT_INDEXES) -> dict[str, IndexWriter]:
    return {RPM_TARGET: RpmIndexWriter(cache, options), DEB_TARGET: DebIndexWriter(cache, options)}


def tree_at(
    folder: Path,
    base_url: str = "https://trunk.example.org/repos",
    options: IndexOptions = DEFAULT_INDEXES,
    signing: Signing | None = None,
) -> PublishedTree:
    writers = writers_at(folder / "cache", options)
    return PublishedTree(folder / "repos", writers=writers, base_url=base_url, signing=signing)


def added(tree: PublishedTree, target: str, built: Built) -> tuple[Artifact, ...]:
    return tuple(tree.add(target, path, artifact) for path, artifact in built)


def publish(tree: PublishedTree, snapshot: Snapshot) -> Path:
    folder = tree.publish(snapshot, {})
    tree.point(snapshot.target, "current", snapshot.commit_id)
    return folder


def rpm_snapshot(tree: PublishedTree, scratch: Path, number: int) -> Snapshot:
    """Two packages; the first one's version grows with the number, as its own name has all that RPM allows."""
    first = make_rpms(scratch / f"first{number}", "hello+world", f"1.{number}~rc1^git2")
    second = make_rpms(scratch / f"second{number}", "other", "7")
    return snapshot_of(
        RPM_TARGET,
        "x86_64",
        number,
        entry_of("hello", number, added(tree, RPM_TARGET, first)),
        entry_of("other", 0, added(tree, RPM_TARGET, second), succeeded=False),
    )


def deb_snapshot(tree: PublishedTree, scratch: Path, number: int) -> Snapshot:
    folder = scratch / f"deb{number}"
    folder.mkdir(parents=True)
    version = f"1.{number}~rc1+git2-1~deb13"
    first = [make_deb(folder, "hello", version), *make_dsc(folder, "hello", version)]
    second = [make_deb(folder, "other", "7-1"), *make_dsc(folder, "other", "7-1")]
    return snapshot_of(
        DEB_TARGET,
        "amd64",
        number,
        entry_of("hello", number, added(tree, DEB_TARGET, first)),
        entry_of("other", 0, added(tree, DEB_TARGET, second)),
    )


class _Server(http.server.ThreadingHTTPServer):
    requests: list[str]


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        assert isinstance(self.server, _Server)
        self.server.requests.append(format % args)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    """Serves the folder "repos" on 127.0.0.1."""
    (tmp_path / "repos").mkdir(exist_ok=True)
    handler = functools.partial(_Handler, directory=str(tmp_path / "repos"))
    with _Server(("127.0.0.1", 0), handler) as running:
        running.requests = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url_of(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def run(argv: list[str], cwd: Path, **environment: str) -> str:
    """Run a real tool with a small environment; its output, which a failure shows."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(cwd), "LC_ALL": "C.UTF-8", **environment},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Dnf:
    """The real dnf with a root and caches of its own."""

    def __init__(self, folder: Path) -> None:
        published.need("dnf")
        self.folder = folder
        for path in ("repos.d", "log"):
            (folder / path).mkdir(parents=True)
        (folder / "dnf.conf").write_text("[main]\nplugins=1\ngpgcheck=1\n")

    def __call__(self, *arguments: str, plugin: str | None = None) -> str:
        # Plugins that a machine happens to have would say things, and bring repositories of their own.
        plugins = ["--disableplugin=*", f"--enableplugin={plugin}"] if plugin else ["--noplugins"]
        options = {
            "installroot": "root",
            "setopt=cachedir": "cache",
            "setopt=logdir": "log",
            "setopt=persistdir": "state",
            "setopt=reposdir": "repos.d",
        }
        paths = [f"--{name}={self.folder / path}" for name, path in options.items()]
        return run(
            ["dnf", "-q", f"--config={self.folder}/dnf.conf", "--releasever=10", *plugins, *paths, *arguments],
            self.folder,
        )


class Apt:
    """The real apt-get with a state of its own."""

    def __init__(self, folder: Path) -> None:
        published.need("apt-get")
        self.folder = folder
        for path in ("etc/sources.list.d", "etc/preferences.d", "etc/apt.conf.d", "state/lists/partial"):
            (folder / path).mkdir(parents=True)
        (folder / "cache/archives/partial").mkdir(parents=True)
        (folder / "state/status").touch()
        (folder / "apt.conf").write_text(self._configuration())

    def source(self, text: str) -> None:
        (self.folder / "etc/sources.list.d/conveyor.sources").write_text(text)

    def __call__(self, *arguments: str) -> str:
        return run(["apt-get", "-q", *arguments], self.folder, APT_CONFIG=f"{self.folder}/apt.conf")

    def policy(self, package: str) -> str:
        return run(["apt-cache", "policy", package], self.folder, APT_CONFIG=f"{self.folder}/apt.conf")

    def _configuration(self) -> str:
        options = {
            "Dir::Etc": self.folder / "etc",
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "state/status",
            "Dir::Cache": self.folder / "cache",
            "Acquire::Languages": "none",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "",
        }
        return "".join(f'{name} "{value}";\n' for name, value in options.items())

    def known(self) -> set[str]:
        """Names and versions of the packages in the lists that were fetched."""
        lists = [path for path in (self.folder / "state/lists").iterdir() if path.name.endswith("_Packages")]
        assert len(lists) == 1
        with lists[0].open() as file:
            return {f"{each['Package']} {each['Version']}" for each in Deb822.iter_paragraphs(file, use_apt_pkg=False)}


@pytest.fixture
def dnf(tmp_path: Path) -> Dnf:
    return Dnf(tmp_path / "dnf")


@pytest.fixture
def apt(tmp_path: Path) -> Apt:
    return Apt(tmp_path / "apt")


class TestDnf:
    QUERY = ("repoquery", "--queryformat=%{name} %{evr} %{arch}")

    @pytest.mark.parametrize("place", ["current", "immutable"])
    def test_from_files(self, tmp_path: Path, dnf: Dnf, place: str) -> None:
        tree = tree_at(tmp_path)
        folder = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        path = tmp_path / "repos" / RPM_TARGET / "current" if place == "current" else folder
        from_path = f"--repofrompath=trunk,file://{path}"
        found = dnf("--disablerepo=*", from_path, "--enablerepo=trunk", *self.QUERY, "--available").splitlines()
        assert found == ["hello+world 1.1~rc1^git2-1 noarch", "other 7-1 noarch"]

    def test_over_http_with_the_client_file(self, tmp_path: Path, dnf: Dnf, server: _Server) -> None:
        tree = tree_at(tmp_path, url_of(server))
        snapshot = rpm_snapshot(tree, tmp_path, 1)
        folder = publish(tree, snapshot)
        (dnf.folder / "repos.d/conveyor.repo").write_bytes((folder / "conveyor.repo").read_bytes())
        dnf("-y", "install", "--downloadonly", f"--destdir={dnf.folder}", "hello+world", "other")
        for artifact in (artifact for entry in snapshot.entries for artifact in entry.artifacts):
            if artifact.kind is ArtifactKind.BINARY:
                fetched = dnf.folder / artifact.filename
                assert fetched.read_bytes() == tree.artifact_path(RPM_TARGET, artifact).read_bytes()
        assert any("git2" in request and " 200 " in request for request in server.requests)

    def test_file_lists_and_changelogs_are_there(self, tmp_path: Path, dnf: Dnf) -> None:
        tree = tree_at(tmp_path)
        folder = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        source = ("--disablerepo=*", f"--repofrompath=trunk,file://{folder}", "--enablerepo=trunk")
        assert "/usr/share/hello+world/greeting" in dnf(*source, "repoquery", "-l", "hello+world")
        assert "- A change" in dnf(*source, "repoquery", "--changelogs", "hello+world")
        assert "hello+world" in dnf(*source, "repoquery", "--file", "/usr/share/hello+world/greeting")

    def test_a_build_can_require_any_file(self, tmp_path: Path, dnf: Dnf) -> None:
        target = load_repos(Path(__file__).parents[2] / "repos.yaml").target("local-1-x86_64")
        (dnf.folder / "dnf.conf").write_text(DnfManager().install(target, (), None)[0].files["dnf.conf"])
        tree = tree_at(tmp_path)
        folder = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        source = ("--disablerepo=*", f"--repofrompath=trunk,file://{folder}", "--enablerepo=trunk")
        assert "hello+world" in dnf(*source, "repoquery", "--whatprovides", "/usr/share/hello+world/greeting")

    def test_current_moves_and_the_old_url_stays(self, tmp_path: Path, dnf: Dnf, server: _Server) -> None:
        tree = tree_at(tmp_path, url_of(server))
        first = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        immutable = (first / "conveyor.repo").read_text().replace("[conveyor]", "[first]")
        current = tree.client_file(RPM_TARGET, "current")[1]
        (dnf.folder / "repos.d/both.repo").write_text(immutable + current)

        def versions(repository: str) -> list[str]:
            return dnf("--refresh", f"--repo={repository}", *self.QUERY, "hello+world").splitlines()

        assert versions("conveyor") == ["hello+world 1.1~rc1^git2-1 noarch"]
        publish(tree, rpm_snapshot(tree, tmp_path, 2))
        assert versions("conveyor") == ["hello+world 1.2~rc1^git2-1 noarch"]
        assert versions("first") == ["hello+world 1.1~rc1^git2-1 noarch"]

    def test_a_pointer_that_moved_back_is_seen(self, tmp_path: Path, dnf: Dnf, server: _Server) -> None:
        """When its metadata expires too, without being asked to refresh."""
        tree = tree_at(tmp_path, url_of(server))
        snapshots = {number: rpm_snapshot(tree, tmp_path, number) for number in (1, 2)}
        for snapshot in snapshots.values():
            tree.publish(snapshot, {})
        (dnf.folder / "repos.d/tested.repo").write_text(tree.client_file(RPM_TARGET, "tested")[1])
        for number, refresh in ((2, "--refresh"), (1, "--refresh"), (2, ""), (1, "")):
            tree.point(RPM_TARGET, "tested", snapshots[number].commit_id)
            for path in (dnf.folder / "cache").rglob("*.xml*"):
                os.utime(path, (0, 0))  # fetched long ago
            found = dnf(*filter(None, [refresh]), *self.QUERY, "hello+world").splitlines()
            assert found == [f"hello+world 1.{number}~rc1^git2-1 noarch"]

    @pytest.mark.parametrize("served", [False, True], ids=["files", "http"])
    def test_a_pointer_is_followed_by_its_mirror_list(
        self, tmp_path: Path, dnf: Dnf, server: _Server, served: bool
    ) -> None:
        tree = tree_at(tmp_path, url_of(server) if served else (tmp_path / "repos").as_uri())
        for number in (1, 2):
            folder = publish(tree, rpm_snapshot(tree, tmp_path, number))
            (dnf.folder / "repos.d/conveyor.repo").write_text(tree.client_file(RPM_TARGET, "current")[1])
            found = dnf("--refresh", *self.QUERY, "hello+world").splitlines()
            assert found == [f"hello+world 1.{number}~rc1^git2-1 noarch"]
            assert (folder / "mirrorlist").read_text() == f"{tree.url(RPM_TARGET, names.shard(folder.name))}/\n"
        text = (dnf.folder / "repos.d/conveyor.repo").read_text()
        assert f"mirrorlist={tree.url(RPM_TARGET, 'current')}/mirrorlist\n" in text
        assert "baseurl" not in text
        asked = [request for request in server.requests if "/current/" in request]
        assert all("/current/mirrorlist" in request for request in asked)
        assert bool(asked) == served

    def test_a_snapshot_without_a_mirror_list_is_read_through_the_pointer_until_that_moves(
        self, tmp_path: Path, dnf: Dnf, server: _Server
    ) -> None:
        tree = tree_at(tmp_path, url_of(server))
        folder = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        (folder / "mirrorlist").unlink()
        assert f"baseurl={url_of(server)}/{RPM_TARGET}/current\n" in tree.client_file(RPM_TARGET, "current")[1]
        tree.point(RPM_TARGET, "current", folder.name)
        (dnf.folder / "repos.d/conveyor.repo").write_text(tree.client_file(RPM_TARGET, "current")[1])
        assert dnf("--refresh", *self.QUERY, "hello+world").splitlines() == ["hello+world 1.1~rc1^git2-1 noarch"]
        assert stat.S_IMODE((folder / "mirrorlist").stat().st_mode) == 0o644

    def test_a_tree_that_is_served_elsewhere_leads_there(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path, "https://old.example.org")
        folder = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        tree_at(tmp_path, "https://new.example.org").point(RPM_TARGET, "tested", folder.name)
        assert (folder / "mirrorlist").read_text().startswith("https://new.example.org/")

    def test_reposync_stays_in_its_folder(self, tmp_path: Path, dnf: Dnf, server: _Server) -> None:
        if "reposync" not in dnf("help", plugin="reposync"):
            pytest.skip("not installed: dnf's plugin reposync")
        tree = tree_at(tmp_path, url_of(server))
        folder = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        (dnf.folder / "repos.d/conveyor.repo").write_bytes((folder / "conveyor.repo").read_bytes())
        to = f"--download-path={tmp_path}/mirror"
        dnf("reposync", "--repo=conveyor", to, "--download-metadata", plugin="reposync")
        mirror = tmp_path / "mirror/conveyor"
        assert len(list(mirror.glob("pool/*/*/*.rpm"))) == 2
        found = dnf("--disablerepo=*", f"--repofrompath=mirror,file://{mirror}", "--enablerepo=mirror", *self.QUERY)
        assert len(found.splitlines()) == 2


class TestApt:
    @pytest.mark.parametrize("place", ["current", "immutable"])
    def test_from_files(self, tmp_path: Path, apt: Apt, place: str) -> None:
        tree = tree_at(tmp_path, f"file://{tmp_path}/repos")
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        apt.source(
            tree.client_file(DEB_TARGET, "current")[1]
            if place == "current"
            else (folder / "conveyor.sources").read_text()
        )
        apt("update")
        assert apt.known() == {"hello 1.1~rc1+git2-1~deb13", "other 7-1"}

    def test_over_http_by_hash(self, tmp_path: Path, apt: Apt, server: _Server) -> None:
        tree = tree_at(tmp_path, url_of(server))
        snapshot = deb_snapshot(tree, tmp_path, 1)
        folder = publish(tree, snapshot)
        apt.source((folder / "conveyor.sources").read_text())
        output = apt("update")
        assert "W:" not in output
        assert "N:" not in output
        assert any("/by-hash/SHA256/" in request and " 200 " in request for request in server.requests)
        apt("download", "hello", "other")
        fetched = {path.name: path.read_bytes() for path in apt.folder.glob("*.deb")}
        assert len(fetched) == 2
        for entry in snapshot.entries:
            deb = next(artifact for artifact in entry.artifacts if artifact.kind is ArtifactKind.BINARY)
            assert fetched[deb.filename] == tree.artifact_path(DEB_TARGET, deb).read_bytes()

    def test_sources_of_every_package(self, tmp_path: Path, apt: Apt, server: _Server) -> None:
        tree = tree_at(tmp_path, url_of(server))
        publish(tree, deb_snapshot(tree, tmp_path, 1))
        apt.source(tree.client_file(DEB_TARGET, "current")[1].replace("Types: deb", "Types: deb deb-src"))
        apt("update")
        apt("source", "hello", "other")
        assert (apt.folder / "hello-1.1~rc1+git2/hello.py").is_file()
        assert (apt.folder / "other-7/debian/control").is_file()

    def test_current_moves_even_to_a_commit_with_an_older_date(self, tmp_path: Path, apt: Apt, server: _Server) -> None:
        tree = tree_at(tmp_path, url_of(server))
        first = deb_snapshot(tree, tmp_path, 1)
        second = deb_snapshot(tree, tmp_path, 2)
        assert second.created_at < first.created_at
        folder = publish(tree, first)
        os.utime(folder / "dists/trunk/Release", (0, 0))  # HTTP cannot tell two moments of one second apart
        apt.source(tree.client_file(DEB_TARGET, "current")[1])
        apt("update")
        assert "hello 1.1~rc1+git2-1~deb13" in apt.known()
        publish(tree, second)
        apt("update")
        assert "hello 1.2~rc1+git2-1~deb13" in apt.known()

    @pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
    def test_a_pointer_that_moved_back_offers_the_older_version(
        self, tmp_path: Path, apt: Apt, server: _Server, keys: Keys, signed: bool
    ) -> None:
        """Forth, back, forth again and back: each time the clients see it."""
        signer = GpgSigner(KeyHome(folder=keys.home), keys["first"])
        tree = tree_at(tmp_path, url_of(server), signing=Signing(signer=signer, packages={}) if signed else None)
        snapshots = {number: deb_snapshot(tree, tmp_path, number) for number in (1, 2, 3)}
        folders = {number: tree.publish(snapshot, {}) for number, snapshot in snapshots.items()}
        before = {number: content_of(folder) for number, folder in folders.items()}
        for number in (1, 2, 1, 3, 2, 1, 3):
            tree.point(DEB_TARGET, "tested", snapshots[number].commit_id)
            assert tree.pointed(DEB_TARGET, "tested") == snapshots[number].commit_id
            apt.source(tree.client_file(DEB_TARGET, "tested")[1])
            output = apt("update")
            assert "W:" not in output
            version = f"1.{number}~rc1+git2-1~deb13"
            assert apt.known() == {f"hello {version}", "other 7-1"}
            assert f"Candidate: {version}" in apt.policy("hello")
            apt("download", "hello")
        assert {number: without_carried(folder, before[number]) for number, folder in folders.items()} == before
        assert len(list((tmp_path / "repos" / DEB_TARGET / ".redated").glob("*/*"))) == 2

    def test_the_older_version_can_be_installed_over_the_newer(self, tmp_path: Path, apt: Apt, server: _Server) -> None:
        tree = tree_at(tmp_path, url_of(server))
        first, second = (deb_snapshot(tree, tmp_path, number) for number in (1, 2))
        tree.publish(first, {})
        publish(tree, second)
        apt.source(tree.client_file(DEB_TARGET, "current")[1])
        apt("update")
        (apt.folder / "state/status").write_text(
            "Package: hello\nStatus: install ok installed\nArchitecture: all\nVersion: 1.2~rc1+git2-1~deb13\n"
            "Maintainer: A Packager <packager@example.org>\nDescription: A greeting\n"
        )
        tree.point(DEB_TARGET, "current", first.commit_id)
        apt("update")
        told = apt("--simulate", "install", "--allow-downgrades", "hello=1.1*")
        assert "Inst hello [1.2~rc1+git2-1~deb13] (1.1~rc1+git2-1~deb13 Conveyor:trunk [all])" in told

    def test_it_installs_from_it(self, tmp_path: Path, apt: Apt) -> None:
        tree = tree_at(tmp_path, f"file://{tmp_path}/repos")
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        apt.source((folder / "conveyor.sources").read_text())
        apt("update")
        assert "Inst hello (1.1~rc1+git2-1~deb13 Conveyor:trunk [all])" in apt("--simulate", "install", "hello")


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if not path.is_symlink() else bytes(path.readlink())
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


def without_carried(folder: Path, before: dict[str, bytes]) -> dict[str, bytes]:
    """The content of a snapshot, less the metadata of others that a pointer carried along."""
    return {path: content for path, content in content_of(folder).items() if path in before or "by-hash" not in path}


MAKERS: dict[str, Callable[[PublishedTree, Path, int], Snapshot]] = {"rpm": rpm_snapshot, "deb": deb_snapshot}


@pytest.fixture(params=["rpm", "deb"])
def make(request: pytest.FixtureRequest) -> Callable[[PublishedTree, Path, int], Snapshot]:
    return MAKERS[request.param]


class TestBothFormats:
    def test_what_is_good_passes_the_check_and_is_not_published_by_it(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        tree.check(RPM_TARGET, make_rpms(scratch / "rpm", "hello", "1"))
        tree.check(DEB_TARGET, [make_deb(scratch, "hello", "1-1"), *make_dsc(scratch, "hello", "1-1")])
        assert not (tmp_path / "repos").exists()

    def test_what_could_not_be_listed_is_refused_beforehand(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        (tmp_path / "scratch").mkdir()
        dsc, *_ = make_dsc(tmp_path / "scratch", "hello", "1-1")
        with pytest.raises(SourceInvalid, match="which the build did not leave"):
            tree.check(DEB_TARGET, [dsc])
        path, artifact = make_deb(tmp_path / "scratch", "hello", "1-1")
        path.write_bytes(b"nonsense")
        with pytest.raises(SourceInvalid, match=r"hello_1-1_all\.deb"):
            tree.check(DEB_TARGET, [(path, artifact)])

    def test_the_same_snapshot_gives_the_same_bytes(
        self, tmp_path: Path, make: Callable[[PublishedTree, Path, int], Snapshot]
    ) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        snapshot = make(tree_at(first), first, 1)
        for artifact in (artifact for entry in snapshot.entries for artifact in entry.artifacts):
            path = tree_at(first).artifact_path(snapshot.target, artifact)
            os.utime(path, (1, 1))
            tree_at(second).add(snapshot.target, path, artifact)
        folders = [publish(tree_at(folder), snapshot) for folder in (first, second)]
        assert content_of(folders[0]) == content_of(folders[1])
        assert content_of(first / "repos") == content_of(second / "repos")

    def test_a_warm_or_damaged_cache_gives_the_same_bytes(
        self, tmp_path: Path, make: Callable[[PublishedTree, Path, int], Snapshot]
    ) -> None:
        tree = tree_at(tmp_path)
        snapshot = make(tree, tmp_path, 1)
        lasting = writers_at(tmp_path / "cache")[snapshot.target]
        spoiled: dict[str, Callable[[Path], object]] = {
            "cold": Path.exists,
            "warm": lambda path: path.write_bytes(path.read_bytes()[:-1]),
            "cut": lambda path: path.write_bytes(b""),
            "emptied": lambda path: path.write_bytes(path.read_bytes().replace(b"hello", b"jello")),
            "changed": Path.unlink,
            "deleted": Path.exists,
        }
        contents: list[dict[str, bytes]] = []
        for name, spoil in spoiled.items():
            # One that starts with what is on the disk, and one that has it in memory.
            for writer in (writers_at(tmp_path / "cache")[snapshot.target], lasting):
                folder = tmp_path / f"{name}-{len(contents)}"
                folder.mkdir()
                writer.write(folder, snapshot, tmp_path / "repos" / snapshot.target / "pool")
                contents.append(content_of(folder))
            kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
            # Each package's, and the groups of the indexes that they are in.
            assert len(kept) == (2 + 1 if snapshot.target == RPM_TARGET else 4 + 2)
            for path in kept:
                spoil(path)
        assert all(content == contents[0] for content in contents)

    def test_what_was_published_before_makes_no_difference(
        self, tmp_path: Path, make: Callable[[PublishedTree, Path, int], Snapshot]
    ) -> None:
        tree = tree_at(tmp_path)
        first, second = (make(tree, tmp_path / "scratch", number) for number in (1, 2))
        contents: list[dict[str, bytes]] = []
        for snapshot in (first, second, first):
            written = []
            for cache in ("kept", f"new{len(contents)}"):
                folder = tmp_path / f"{cache}-{len(contents)}"
                folder.mkdir()
                writer = writers_at(tmp_path / cache)[snapshot.target]
                writer.write(folder, snapshot, tmp_path / "repos" / snapshot.target / "pool")
                written.append(content_of(folder))
            assert written[0] == written[1]
            contents.append(written[0])
        assert contents[0] == contents[2]
        assert contents[0] != contents[1]

    def test_nothing_is_kept_of_what_is_not_listed_any_more(
        self, tmp_path: Path, make: Callable[[PublishedTree, Path, int], Snapshot]
    ) -> None:
        tree = tree_at(tmp_path)
        counts = set()
        for number in range(1, 4):
            publish(tree, make(tree, tmp_path / "scratch", number))
            counts.add(sum(path.is_file() for path in (tmp_path / "cache").rglob("*")))
        assert len(counts) == 1

    def test_a_package_that_is_another_is_refused(
        self, tmp_path: Path, make: Callable[[PublishedTree, Path, int], Snapshot]
    ) -> None:
        tree = tree_at(tmp_path)
        snapshot = make(tree, tmp_path, 1)
        artifact = next(each for each in snapshot.own.artifacts if each.kind is ArtifactKind.BINARY)
        lie = Artifact(
            filename=artifact.filename,
            sha256=artifact.sha256,
            size=artifact.size,
            kind=artifact.kind,
            name="bash",
            version=artifact.version,
            architecture=artifact.architecture,
        )
        with pytest.raises(SourceInvalid, match="inside"):
            tree.publish(
                snapshot_of(snapshot.target, snapshot.architecture, 9, entry_of("hello", 9, (lie,))),
                {},
            )
        assert not tree.snapshot_folder(snapshot.target, commit_id_of(9)).exists()

    @pytest.mark.parametrize(("target", "filename"), [(RPM_TARGET, "x-1-1.noarch.rpm"), (DEB_TARGET, "x_1-1_all.deb")])
    def test_nonsense_is_refused(self, tmp_path: Path, target: str, filename: str) -> None:
        path = tmp_path / filename
        path.write_bytes(b"nonsense" * 100)
        artifact = artifact_of(path, kind=ArtifactKind.BINARY, name="x", version="1-1", architecture="all")
        tree = tree_at(tmp_path)
        tree.add(target, path, artifact)
        with pytest.raises(SourceInvalid, match=filename):
            tree.publish(snapshot_of(target, "x86_64", 1, entry_of("x", 1, (artifact,))), {})
        assert list((tmp_path / "repos").rglob(".tmp-*")) == []

    def test_an_empty_snapshot_is_valid(self, tmp_path: Path, dnf: Dnf, apt: Apt) -> None:
        tree = tree_at(tmp_path, f"file://{tmp_path}/repos")
        rpm = publish(tree, snapshot_of(RPM_TARGET, "x86_64", 1, entry_of("x", 1, ())))
        source = ("--disablerepo=*", f"--repofrompath=trunk,file://{rpm}", "--enablerepo=trunk")
        assert dnf(*source, "repoquery", "--available") == ""
        deb = publish(tree, snapshot_of(DEB_TARGET, "amd64", 1, entry_of("x", 1, ())))
        apt.source((deb / "conveyor.sources").read_text())
        apt("update")

    def test_a_full_disk_is_said(self, tmp_path: Path, make: Callable[[PublishedTree, Path, int], Snapshot]) -> None:
        if os.geteuid() != 0:
            pytest.skip("mounting a small file system needs root")
        disk = tmp_path / "disk"
        disk.mkdir()
        tree = tree_at(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False)
        if mounted.returncode != 0:
            pytest.skip("this machine does not allow to mount a tmpfs")
        try:
            snapshot = make(tree, tmp_path / "scratch", 1)
            for ballast in range(300):
                try:
                    (disk / f"ballast{ballast}").write_bytes(b"x" * 4096)
                except OSError:
                    break
            failures = 0
            while ballast:  # free one page after another: each step of publishing meets the full disk once
                try:
                    tree.publish(snapshot, {})
                    break
                except DiskFull:
                    failures += 1
                assert list((disk / "repos").rglob(".tmp-*")) == []
                (disk / f"ballast{ballast}").unlink(missing_ok=True)
                ballast -= 1
            assert failures > 3
            assert tree.snapshot_folder(snapshot.target, snapshot.commit_id).is_dir()
        finally:
            subprocess.run(["umount", str(disk)], check=True)


class TestRpmMetadata:
    @pytest.mark.parametrize("tag", ["Summary: A", "URL: https://example.org/"])
    def test_a_control_character_does_not_get_into_the_index(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str
    ) -> None:
        """XML cannot hold it: no client could read any package of the index."""
        monkeypatch.setattr(published, "SPEC", published.SPEC.replace(tag, f"{tag}\x01"))
        package, _ = make_rpms(tmp_path / "scratch", "hello", "1")
        tree = tree_at(tmp_path)
        with pytest.raises(SourceInvalid, match=r"hello-1-1\.noarch\.rpm is not a package that a repository can hold"):
            tree.check(RPM_TARGET, [package])

    def test_source_packages_are_left_out_and_hrefs_stay_inside(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        folder = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        primary = next(folder.glob("repodata/*-primary.xml.gz"))
        root = ET.fromstring(gzip.decompress(primary.read_bytes()))
        space = {"c": "http://linux.duke.edu/metadata/common"}
        assert [each.text for each in root.findall("c:package/c:arch", space)] == ["noarch", "noarch"]
        for location in root.findall("c:package/c:location", space):
            assert location.attrib["href"].startswith("pool/")
            assert (folder / location.attrib["href"]).is_file()

    def test_it_is_dated_by_its_newest_build(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        snapshot = rpm_snapshot(tree, tmp_path, 1)
        folder = publish(tree, snapshot)
        assert (
            f"<revision>{int(snapshot.updated_at.timestamp())}</revision>"
            in (folder / "repodata/repomd.xml").read_text()
        )

    @pytest.mark.parametrize(
        ("lasting", "place"),
        [(True, "baseurl=https://x.org/place"), (False, "mirrorlist=https://x.org/place/mirrorlist")],
    )
    def test_the_client_file(self, tmp_path: Path, lasting: bool, place: str) -> None:
        name, text = RpmIndexWriter(tmp_path).client_file(
            name="conveyor", title="A title", url="https://x.org/place", lasting=lasting
        )
        assert name == "conveyor.repo"
        for line in ("[conveyor]", "name=A title", place, "enabled=1", "gpgcheck=0"):
            assert line in text.splitlines()
        assert text.count("https://") == 1

    def test_a_package_that_changed_in_the_pool_is_found_out(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        snapshot = rpm_snapshot(tree, tmp_path, 1)
        artifact = next(each for each in snapshot.own.artifacts if each.kind is ArtifactKind.BINARY)
        path = tree.artifact_path(RPM_TARGET, artifact)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ArtifactDamaged, match="is damaged in the pool"):
            tree.publish(snapshot, {})


class TestDebMetadata:
    def test_release_names_every_index_and_its_hash(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        with (folder / "dists/trunk/Release").open() as file:
            release = Release(file)
        assert release["Acquire-By-Hash"] == "yes"
        assert release["Date"] == "Mon, 01 Jan 2024 12:01:00 GMT"
        listed = {each["name"]: each for each in release["SHA256"]}
        assert len(listed) == 6
        for name, each in listed.items():
            path = folder / "dists/trunk" / name
            assert path.stat().st_size == int(each["size"])
            assert path.samefile(path.parent / "by-hash/SHA256" / each["sha256"])

    def test_a_source_package_lies_in_one_folder(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        with (folder / "dists/trunk/common/source/Sources").open() as file:
            stanzas = list(Sources.iter_paragraphs(file, use_apt_pkg=False))
        assert [stanza["Package"] for stanza in stanzas] == ["hello", "other"]
        for stanza in stanzas:
            assert len(stanza["Checksums-Sha256"]) == 3
            for each in stanza["Checksums-Sha256"]:
                path = folder / stanza["Directory"] / each["name"]
                assert path.stat().st_size == int(each["size"])

    def test_a_dsc_whose_tarball_is_missing_is_refused(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        (dsc, *_) = make_dsc(tmp_path, "hello", "1-1")
        artifacts = added(tree, DEB_TARGET, [dsc])
        with pytest.raises(SourceInvalid, match=r"hello_1\.orig\.tar\.gz"):
            tree.publish(snapshot_of(DEB_TARGET, "amd64", 1, entry_of("hello", 1, artifacts)), {})

    def test_what_the_repository_says_the_package_cannot(self, tmp_path: Path) -> None:
        control = published.CONTROL + "Filename: ../../etc/shadow\nSHA256: 0\nSize: 1\n"
        tree = tree_at(tmp_path)
        artifacts = added(tree, DEB_TARGET, [make_deb(tmp_path, "hello", "1-1", control=control)])
        folder = publish(tree, snapshot_of(DEB_TARGET, "amd64", 1, entry_of("hello", 1, artifacts)))
        text = (folder / "dists/trunk/common/binary-amd64/Packages").read_text()
        assert "shadow" not in text
        stanza = Deb822(text)
        assert stanza["Filename"] == f"pool/{artifacts[0].pool_path}"
        assert stanza["SHA256"] == artifacts[0].sha256
        assert stanza["Size"] == str(artifacts[0].size)
        assert stanza["Description"].endswith("\n .\n And more.")

    def test_the_client_file(self, tmp_path: Path) -> None:
        name, text = DebIndexWriter(tmp_path).client_file(name="conveyor", title="A title", url="https://x.org/current")
        assert name == "conveyor.sources"
        source = Deb822(text)
        assert dict(source) == {
            "Types": "deb",
            "URIs": "https://x.org/current",
            "Suites": "trunk",
            "Components": "main",
            "Trusted": "yes",
        }


def move_back_and_forth(folder: Path, target: str, commit_ids: list[str], rounds: int) -> None:
    tree = tree_at(folder)
    for turn in range(rounds):
        with tree.writing(target):
            tree.point(target, "current", commit_ids[turn % len(commit_ids)])


class TestWhilePointersMove:
    """Clients that read the metadata in several requests, while `current` moves between them all the time."""

    @pytest.fixture
    def moving(self, tmp_path: Path, make: Callable[[PublishedTree, Path, int], Snapshot]) -> Iterator[str]:
        tree = tree_at(tmp_path)
        snapshots = [make(tree, tmp_path / "scratch", number) for number in range(1, 4)]
        for snapshot in snapshots:
            publish(tree, snapshot)
        mover = multiprocessing.get_context("fork").Process(
            target=move_back_and_forth,
            args=(tmp_path, snapshots[0].target, [each.commit_id for each in snapshots], 100_000),
        )
        mover.start()
        yield snapshots[0].target
        assert mover.is_alive()
        mover.terminate()
        mover.join()

    def test_no_file_is_missing(self, tmp_path: Path, moving: str, server: _Server, dnf: Dnf, apt: Apt) -> None:
        for turn in range(8):
            if moving == RPM_TARGET:
                source = f"--repofrompath=trunk,{url_of(server)}/{moving}/current"
                found = dnf("--disablerepo=*", source, "--enablerepo=trunk", "--refresh", *TestDnf.QUERY)
                assert len(found.splitlines()) == 2
            else:
                text = tree_at(tmp_path, url_of(server)).client_file(DEB_TARGET, "current")[1]
                apt.source(text.replace("/current", f"/current/{'./' * turn}"))  # another URL each time: all is fetched
                output = apt("update")
                assert "W:" not in output
                assert len(apt.known()) == 2
        missing = [line for line in server.requests if " 404 " in line and "Release" not in line]
        assert missing == []
