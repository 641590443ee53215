"""Signed repositories as real clients see them: they install what is signed, and refuse what is not so, or changed."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from conveyor.errors import SigningFailed
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.rpm.metadata import RpmIndexWriter
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot
from conveyor.model.target import Format
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.publish import Publisher
from conveyor.ports import IndexWriter
from conveyor.repository.signing.gnupg import KeyHome
from conveyor.repository.signing.lead import content_digest, has_signature
from conveyor.repository.signing.published import Signing
from conveyor.repository.signing.rpm import RpmSigner
from conveyor.repository.signing.signer import GpgSigner
from conveyor.repository.tree import PublishedTree
from tests.contract.test_index_writers import DEB_TARGET, RPM_TARGET, Apt, Dnf
from tests.fakes import store_samples as sample
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import MemoryLedger
from tests.fakes.store import MemoryStore
from tests.support.keys import Keys, gpgv
from tests.support.published import commit_id_of, entry_of, make_deb, make_dsc, make_rpms, need, snapshot_of
from tests.support.workshop import TARGET

pytestmark = pytest.mark.integration
Built = list[tuple[Path, Artifact]]
RAW = re.compile(rb"-----BEGIN PGP SIGNATURE-----.*", re.DOTALL)


class _Handler(http.server.SimpleHTTPRequestHandler):
    # Called once, when the file at this path has been opened, and nothing of it was sent.
    meanwhile: ClassVar[dict[str, Callable[[], object]]] = {}

    def do_GET(self) -> None:
        file = self.send_head()
        if file is not None:
            self.meanwhile.pop(self.path, lambda: None)()
            with file:
                self.copyfile(file, self.wfile)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Where the folder "repos" is served."""
    (tmp_path / "repos").mkdir()
    handler = functools.partial(_Handler, directory=str(tmp_path / "repos"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


MADE: dict[Path, Built] = {}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


class Site:
    """One published tree, whose keys can be changed.

    Args:
        folder: folder of its own; "repos" in it is the tree.
        keys: what signs.
        url: where the tree is served.
        made: folder of packages, which are made once for all tests.
    """

    def __init__(self, folder: Path, keys: Keys, url: str, made: Path) -> None:
        self.folder, self.keys, self.url, self.made = folder, keys, url, made
        self.sign_with("first")

    def sign_with(self, key: str | None, **more: list[str]) -> None:
        """Change the keys, by their names; None to sign no more."""
        signing = None
        if key is not None:
            home = KeyHome(folder=self.keys.home)
            others = {name: [self.keys[each] for each in kinds] for name, kinds in more.items()}
            signer = GpgSigner(home, self.keys[key], **others)
            signing = Signing(signer=signer, packages={Format.RPM: RpmSigner(home, self.keys[key])})
        writers: dict[str, IndexWriter] = {
            RPM_TARGET: RpmIndexWriter(self.folder / "cache"),
            DEB_TARGET: DebIndexWriter(self.folder / "cache"),
        }
        self.tree = PublishedTree(self.folder / "repos", writers=writers, base_url=self.url, signing=signing)

    def make(self, target: str, number: int, name: str = "hello") -> Built:
        folder = self.made / f"{target}-{name}-{number}"
        if folder not in MADE:
            folder.mkdir()
            MADE[folder] = (
                make_rpms(folder, name, f"1.{number}")
                if target == RPM_TARGET
                else [make_deb(folder, name, f"1.{number}-1"), *make_dsc(folder, name, f"1.{number}-1")]
            )
        return MADE[folder]

    def keep(self, target: str, built: Built) -> tuple[Artifact, ...]:
        with self.tree.signed(target, built) as signed:
            return tuple(self.tree.add(target, path, artifact) for path, artifact in signed)

    def snapshot(self, target: str, number: int) -> Snapshot:
        """Two packages: one of its own number, and one that was there before."""
        own = self.keep(target, self.make(target, number))
        if number == 1:
            self.other = {**getattr(self, "other", {}), target: self.keep(target, self.make(target, 7, "other"))}
        architecture = "x86_64" if target == RPM_TARGET else "amd64"
        entries = (entry_of("hello", number, own), entry_of("other", 0, self.other[target]))
        return snapshot_of(target, architecture, number, *entries)

    def publish(self, target: str, number: int) -> Path:
        snapshot = self.snapshot(target, number)
        folder = self.tree.publish(snapshot, {})
        self.tree.point(target, "current", snapshot.commit_id)
        return folder


@pytest.fixture
def site(tmp_path: Path, keys: Keys, url: str, made: Path) -> Site:
    need("gpg", "rpmsign")
    return Site(tmp_path, keys, url, made)


class RpmClient:
    """The real dnf, with a root that packages are really installed in.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can install into a root")
        self.dnf = Dnf(folder)

    def use(self, text: str, *, pinned: bytes | None = None) -> None:
        """Use a client file; with pinned keys instead of those that it names."""
        if pinned is not None:
            path = self.dnf.folder / "pinned.asc"
            path.write_bytes(pinned)
            text = re.sub(r"gpgkey=.*", f"gpgkey=file://{path}", text)
        (self.dnf.folder / "repos.d/conveyor.repo").write_text(text)

    def install(self, *packages: str) -> list[str]:
        """Install or update; what is installed then."""
        self.dnf("-y", "--refresh", "--best", "install", *packages)
        listed = self.dnf("repoquery", "--installed", "--queryformat=%{name}-%{version}").split()
        return sorted(line for line in listed if not line.startswith("gpg-pubkey"))

    def refused(self, *packages: str) -> str:
        with pytest.raises(AssertionError) as caught:
            self.install(*packages)
        return str(caught.value)


class DebClient:
    """The real apt of this machine.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.apt = Apt(folder)

    def use(self, text: str, *, pinned: bytes | None = None) -> None:
        """Use a client file; with pinned keys instead of those that it holds."""
        if pinned is not None:
            field = "Signed-By:" + "".join(f"\n {line or '.'}" for line in pinned.decode().strip().splitlines())
            text = text[: text.index("Signed-By:")] + field + "\n"
        self.apt.source(text)

    def install(self, *packages: str) -> list[str]:
        """What would be installed; apt checks no more when it really does."""
        self.apt("--option=APT::Update::Error-Mode=any", "update")
        planned = self.apt("--simulate", "install", *packages)
        found = re.findall(r"^Inst (\S+) \((\S+?)-1 ", planned, re.MULTILINE)
        return sorted(f"{name}-{version}" for name, version in found)

    def refused(self, *packages: str) -> str:
        with pytest.raises(AssertionError) as caught:
            self.install(*packages)
        return str(caught.value)


Client = RpmClient | DebClient
CLIENTS: dict[str, type[RpmClient] | type[DebClient]] = {RPM_TARGET: RpmClient, DEB_TARGET: DebClient}


@pytest.fixture(params=[RPM_TARGET, DEB_TARGET])
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def client(target: str, tmp_path: Path) -> Client:
    return CLIENTS[target](tmp_path / "client")


def client_text(folder: Path) -> str:
    (path,) = (path for path in folder.iterdir() if path.suffix in {".repo", ".sources"})
    return path.read_text()


class TestClients:
    @pytest.mark.parametrize("place", ["current", "immutable"])
    def test_it_installs_with_the_client_file_alone(self, site: Site, client: Client, target: str, place: str) -> None:
        folder = site.publish(target, 1)
        text = client_text(folder) if place == "immutable" else site.tree.client_file(target, "current")[1]
        for word in ("Trusted", "gpgcheck=0", "not signed"):
            assert word not in text
        client.use(text)
        assert client.install("hello", "other") == ["hello-1.1", "other-1.7"]

    def test_another_s_key_is_refused(self, site: Site, client: Client, target: str) -> None:
        client.use(client_text(site.publish(target, 1)), pinned=site.keys.export("second"))
        said = client.refused("hello")
        assert re.search(r"NO_PUBKEY|Bad GPG signature|Signing key not found", said), said

    def test_changed_metadata_is_refused(self, site: Site, client: Client, target: str) -> None:
        folder = site.publish(target, 1)
        names = {RPM_TARGET: ["repodata/repomd.xml"], DEB_TARGET: ["dists/trunk/Release", "dists/trunk/InRelease"]}
        for name in names[target]:
            path = folder / name
            old = b"<revision>" if target == RPM_TARGET else b"Origin: Conveyor"
            assert old in path.read_bytes()
            path.write_bytes(path.read_bytes().replace(old, old + b"1"))
        client.use(client_text(folder))
        said = client.refused("hello")
        assert re.search(r"BADSIG|Bad GPG signature|invalid", said), said

    def test_missing_signatures_are_refused(self, site: Site, client: Client, target: str) -> None:
        folder = site.publish(target, 1)
        for name in ("repodata/repomd.xml.asc", "dists/trunk/InRelease", "dists/trunk/Release.gpg"):
            (folder / name).unlink(missing_ok=True)
        client.use(client_text(folder))
        assert re.search(r"is not signed|repomd\.xml\.asc|GPG", client.refused("hello"))

    def test_a_changed_package_is_refused(self, site: Site, client: Client, target: str) -> None:
        snapshot = site.snapshot(target, 1)
        folder = site.tree.publish(snapshot, {})
        package = next(each for each in snapshot.own.artifacts if each.kind is ArtifactKind.BINARY)
        flip(site.tree.artifact_path(target, package), -20)
        client.use(client_text(folder))
        if isinstance(client, DebClient):
            client.install("hello")
            with pytest.raises(AssertionError, match="Hash Sum mismatch"):
                client.apt("download", "hello")
        else:
            assert re.search("checksum|Cannot download", client.refused("hello"))

    def test_a_changed_key_is_learnt_without_a_break(self, site: Site, client: Client, target: str) -> None:
        """The way that docs/operating.md tells: each key signs metadata beside the other for a while."""
        first, both = site.keys.export("first"), site.keys.export("first", "second")
        client.use(client_text(site.publish(target, 1)), pinned=first)
        assert client.install("hello") == ["hello-1.1"]
        site.sign_with("first", also=["second"])
        old_client = site.publish(target, 2)
        client.use(client_text(old_client), pinned=first)
        assert client.install("hello") == ["hello-1.2"]
        site.sign_with("second", also=["first"])
        third = client_text(site.publish(target, 3))
        if isinstance(client, DebClient):
            client.use(third, pinned=first)
            assert client.install("hello") == ["hello-1.3"]
        client.use(third, pinned=both)
        assert client.install("hello") == ["hello-1.3"]
        site.sign_with("second", retired=["first"])
        client.use(client_text(site.publish(target, 4)))
        assert client.install("hello", "other") == ["hello-1.4", "other-1.7"]

    def test_a_pointer_that_moves_back_is_signed_by_today_s_key(self, site: Site, client: Client, target: str) -> None:
        site.publish(target, 1)
        site.sign_with("second", retired=["first"])
        site.publish(target, 2)
        client.use(site.tree.client_file(target, "current")[1])
        assert client.install("other", "hello") == ["hello-1.2", "other-1.7"]
        site.tree.point(target, "current", commit_id_of(1))
        fresh = CLIENTS[target](site.folder / "fresh")
        for one in (client, fresh):
            one.use(site.tree.client_file(target, "current")[1])
        assert fresh.install("hello") == ["hello-1.1"]
        if isinstance(client, DebClient):
            assert client.install("hello") == ["hello-1.1"]

    def test_a_client_of_a_pointer_learns_the_new_key_by_itself(self, site: Site, tmp_path: Path) -> None:
        client = RpmClient(tmp_path / "client")
        site.publish(RPM_TARGET, 1)
        client.use(site.tree.client_file(RPM_TARGET, "current")[1])
        assert client.install("hello") == ["hello-1.1"]
        site.sign_with("second", retired=["first"])
        site.publish(RPM_TARGET, 2)
        assert client.install("hello") == ["hello-1.2"]

    def test_after_the_change_old_and_new_snapshots_install_with_the_published_keys(
        self, site: Site, target: str, tmp_path: Path
    ) -> None:
        old = site.publish(target, 1)
        site.sign_with("second", retired=["first"])
        new = site.publish(target, 2)
        published = (tmp_path / "repos" / target / "conveyor.asc").read_bytes()
        for number, folder in enumerate((old, new), start=1):
            for pinned in (None, published):
                one = CLIENTS[target](tmp_path / f"client{number}{pinned is None}")
                one.use(client_text(folder), pinned=pinned)
                assert one.install("hello", "other") == [f"hello-1.{number}", "other-1.7"]
        late = CLIENTS[target](tmp_path / "late")
        late.use(client_text(new), pinned=site.keys.export("first"))
        assert re.search(r"NO_PUBKEY|Bad GPG signature|Signing key not found", late.refused("hello"))


def flip(path: Path, position: int) -> None:
    """Change one byte of a file, counted from its end."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


class TestKeeping:
    """What the publisher does with packages that it has published before."""

    def publisher(self, site: Site, store: MemoryStore) -> Publisher:
        pointers = Pointers(MemoryLedger(), site.tree, FakeClock())
        return Publisher(store, site.tree, pointers, site.folder, {})

    def test_the_same_package_keeps_its_signature_whichever_key_signs_now(self, site: Site) -> None:
        store = MemoryStore()
        publisher = self.publisher(site, store)
        target, built = replace(TARGET, name=RPM_TARGET, format=Format.RPM), site.make(RPM_TARGET, 1)
        kept = publisher.keep(target, built)
        sample.succeed(store, sample.commit("1"), sample.minute(1), *kept, target=RPM_TARGET)
        site.sign_with("second")
        publisher = self.publisher(site, store)
        again = publisher.keep(target, built)
        assert again[0] == kept[0]
        assert [each.filename for each in again] == [each.filename for each in kept]
        other = publisher.keep(target, site.make(RPM_TARGET, 2))
        assert other[0].sha256 not in {each.sha256 for _, each in site.make(RPM_TARGET, 2)}

    def test_what_was_published_without_a_signature_and_collected_comes_back_without_one(self, site: Site) -> None:
        store = MemoryStore()
        site.sign_with(None)
        target, built = replace(TARGET, name=RPM_TARGET, format=Format.RPM), site.make(RPM_TARGET, 1)
        kept = self.publisher(site, store).keep(target, built)
        sample.succeed(store, sample.commit("1"), sample.minute(1), *kept, target=RPM_TARGET)
        for artifact in kept:
            site.tree.artifact_path(RPM_TARGET, artifact).unlink()
        site.sign_with("first")
        again = self.publisher(site, store).keep(target, built)
        assert again[0] == kept[0]
        assert site.tree.artifact_path(RPM_TARGET, kept[0]).is_file()

    def test_without_a_key_files_are_published_as_they_are(self, site: Site, target: str) -> None:
        site.sign_with(None)
        built = site.make(target, 1)
        assert site.keep(target, built) == tuple(artifact for _, artifact in built)


class TestDnf:
    def test_a_package_without_signature_is_refused_where_signatures_are_demanded(
        self, site: Site, tmp_path: Path
    ) -> None:
        client = RpmClient(tmp_path / "client")
        site.sign_with(None)
        unsigned = site.snapshot(RPM_TARGET, 1)
        site.sign_with("first")
        folder = site.tree.publish(unsigned, {})
        text = client_text(folder)
        assert "\ngpgcheck=0\nrepo_gpgcheck=1\ngpgkey=" in text
        client.use(text.replace("\ngpgcheck=0", "\ngpgcheck=1"))
        assert "is not signed" in client.refused("hello")
        client.use(text)
        assert client.install("hello") == ["hello-1.1"]

    def test_a_package_that_another_signed_is_refused(self, site: Site, tmp_path: Path) -> None:
        client = RpmClient(tmp_path / "client")
        site.sign_with("second")
        foreign = site.snapshot(RPM_TARGET, 1)
        site.sign_with("first")
        client.use(client_text(site.tree.publish(foreign, {})))
        assert re.search(r"GPG|public key|not correct", client.refused("hello"))

    def test_metadata_and_signature_of_two_snapshots_do_not_stop_it(self, site: Site, tmp_path: Path) -> None:
        """Of a client file that names the pointer itself: the files do not fit, and dnf asks again."""
        client = RpmClient(tmp_path / "client")
        site.publish(RPM_TARGET, 1)
        text = site.tree.client_file(RPM_TARGET, "current")[1]
        client.use(text.replace("mirrorlist=", "baseurl=").replace("/mirrorlist\n", "\n"))
        assert client.install("hello") == ["hello-1.1"]
        site.publish(RPM_TARGET, 2)
        _Handler.meanwhile[f"/{RPM_TARGET}/current/repodata/repomd.xml"] = lambda: site.publish(RPM_TARGET, 3)
        assert client.install("hello") == ["hello-1.3"]
        assert not _Handler.meanwhile


class TestFiles:
    def test_what_is_signed_verifies_with_gpgv_and_rpm(self, site: Site, tmp_path: Path) -> None:
        rpms, debs = site.publish(RPM_TARGET, 1), site.publish(DEB_TARGET, 1)
        keys = (rpms / "conveyor.asc").read_bytes()
        suite = debs / "dists/trunk"
        for signed in (
            (rpms / "repodata/repomd.xml.asc", rpms / "repodata/repomd.xml"),
            (suite / "Release.gpg", suite / "Release"),
            (suite / "InRelease",),
        ):
            done = gpgv(keys, tmp_path, *signed)
            assert done.returncode == 0, done.stderr
        assert (suite / "Release").read_bytes() in (suite / "InRelease").read_bytes()
        packages = sorted((tmp_path / "repos" / RPM_TARGET / "pool").glob("*/*/*.rpm"))
        assert len(packages) == 4
        for package in packages:
            assert hashlib.sha256(package.read_bytes()).hexdigest() == package.parent.name
            assert "Header V4 RSA/SHA512 Signature" in checksig(keys, tmp_path, package)
            assert "NOT OK" not in checksig(keys, tmp_path, package)
        flip(packages[0], -20)
        assert "BAD" in checksig(keys, tmp_path, packages[0])

    def test_every_snapshot_has_the_keys_beside_it_and_the_target_has_the_newest(
        self, site: Site, target: str, tmp_path: Path
    ) -> None:
        first = site.publish(target, 1)
        site.sign_with("second", retired=["first"])
        second = site.publish(target, 2)
        stable = tmp_path / "repos" / target / "conveyor.asc"
        assert (first / "conveyor.asc").read_bytes() != (second / "conveyor.asc").read_bytes() == stable.read_bytes()
        assert stable.stat().st_mode & 0o777 == 0o644

    def test_pointers_carry_no_signatures_over(self, site: Site, target: str) -> None:
        first, second = site.publish(target, 1), site.publish(target, 2)
        for name in ("repodata/repomd.xml.asc", "dists/trunk/InRelease", "dists/trunk/Release.gpg"):
            if (first / name).exists():
                assert (first / name).read_bytes() != (second / name).read_bytes()
                assert (second / name).stat().st_nlink == 1

    def test_publishing_again_changes_nothing(self, site: Site, target: str) -> None:
        snapshot = site.snapshot(target, 1)
        folder = site.tree.publish(snapshot, {})
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert site.tree.publish(snapshot, {}) == folder
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    @pytest.mark.parametrize("key", ["locked", "expired", "revoked", "public"])
    def test_without_a_key_that_signs_nothing_is_published(
        self, site: Site, target: str, key: str, tmp_path: Path
    ) -> None:
        site.publish(target, 1)
        built, snapshot = site.make(target, 2), site.snapshot(target, 2)
        tree = tmp_path / "repos" / target
        before = inodes(tree)
        pointer = site.tree.pointed(target, "current")
        site.sign_with(key)
        with pytest.raises(SigningFailed, match="nothing was signed"):
            site.tree.publish(snapshot, {})
        if target == RPM_TARGET:
            with pytest.raises(SigningFailed, match="nothing was signed"):
                site.keep(target, built)
        assert inodes(tree) == before
        assert site.tree.pointed(target, "current") == pointer

    def test_a_signed_package_is_the_one_that_was_built(self, site: Site) -> None:
        built = site.make(RPM_TARGET, 1)
        (binary, was), *_ = built
        before = binary.read_bytes()
        kept = site.keep(RPM_TARGET, built)
        assert binary.read_bytes() == before
        assert kept[0].sha256 != was.sha256
        assert site.tree.holds(RPM_TARGET, binary, kept[0])
        site.sign_with("second")
        (resigned, *_), changed = site.keep(RPM_TARGET, built), site.folder / "changed.rpm"
        assert site.tree.holds(RPM_TARGET, site.tree.artifact_path(RPM_TARGET, resigned), kept[0])
        changed.write_bytes(before)
        flip(changed, -20)
        assert not site.tree.holds(RPM_TARGET, changed, kept[0])
        other, *_ = site.make(RPM_TARGET, 2)
        assert not site.tree.holds(RPM_TARGET, other[0], kept[0])

    def test_a_signature_that_a_build_left_is_replaced(self, site: Site, tmp_path: Path) -> None:
        built = [(Path(shutil.copy(path, tmp_path)), artifact) for path, artifact in site.make(RPM_TARGET, 1)]
        RpmSigner(KeyHome(folder=site.keys.home), site.keys["second"]).sign([path for path, _ in built])
        (path, artifact), *_ = built
        assert has_signature(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        left = Artifact(
            filename=artifact.filename,
            sha256=sha256,
            size=path.stat().st_size,
            kind=artifact.kind,
            name=artifact.name,
            version=artifact.version,
            architecture=artifact.architecture,
        )
        (kept,) = site.keep(RPM_TARGET, [(path, left)])
        stored = site.tree.artifact_path(RPM_TARGET, kept)
        assert "BAD" not in checksig(site.keys.export("first"), tmp_path, stored)
        assert "NOKEY" not in checksig(site.keys.export("first"), tmp_path, stored)
        assert content_digest(stored) == content_digest(path)


def inodes(tree: Path) -> dict[Path, int]:
    """All files and folders; a snapshot in the making already shows tarballs beside a .dsc, by symlinks."""
    return {path: path.stat().st_ino for path in tree.rglob("*") if not path.is_symlink()}


def checksig(keys: bytes, folder: Path, package: Path) -> str:
    """What the real rpmkeys says, with these keys alone."""
    need("rpmkeys")
    name = hashlib.sha256(keys).hexdigest()[:8]
    database, file = folder / f"rpmdb-{name}", folder / f"{name}.asc"
    if not database.exists():
        database.mkdir()
        file.write_bytes(keys)
        subprocess.run(["rpmkeys", f"--dbpath={database}", "--import", str(file)], check=True)
    argv = ["rpmkeys", f"--dbpath={database}", "--checksig", "--verbose", str(package)]
    return subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
