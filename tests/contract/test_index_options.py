"""What repositories have on request, and the same metadata from the formats' own tools."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from debian.deb822 import Deb822, Release

from conveyor.errors import SourceInvalid
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.rpm.createrepo import library as cr
from conveyor.formats.rpm.metadata import RpmIndexWriter
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot
from conveyor.model.target import Compression, IndexOptions, SourcePackages
from conveyor.repository.tree import PublishedTree
from tests.contract.test_index_writers import (
    DEB_TARGET,
    RPM_TARGET,
    Apt,
    Dnf,
    added,
    deb_snapshot,
    publish,
    rpm_snapshot,
    run,
    tree_at,
)
from tests.support import published
from tests.support.published import artifact_of, entry_of, make_deb, make_dsc, need, snapshot_of

QUERY = ("repoquery", "--queryformat=%{name} %{evr} %{arch}")
ZSTD = IndexOptions(compression=Compression.ZSTD)
BESIDE = IndexOptions(source_packages=SourcePackages.BESIDE)
INSIDE = IndexOptions(source_packages=SourcePackages.INSIDE)
BINARIES = ["hello+world 1.1~rc1^git2-1 noarch", "other 7-1 noarch"]
SOURCES = ["hello+world 1.1~rc1^git2-1 src", "other 7-1 src"]


@pytest.fixture
def dnf(tmp_path: Path) -> Dnf:
    return Dnf(tmp_path / "dnf")


@pytest.fixture
def apt(tmp_path: Path) -> Apt:
    return Apt(tmp_path / "apt")


def rpm_tree(tmp_path: Path, options: IndexOptions) -> tuple[PublishedTree, Path]:
    tree = tree_at(tmp_path, f"file://{tmp_path}/repos", options=options)
    return tree, publish(tree, rpm_snapshot(tree, tmp_path, 1))


def from_folder(folder: Path) -> tuple[str, str, str]:
    return "--disablerepo=*", f"--repofrompath=trunk,file://{folder}", "--enablerepo=trunk"


class TestRpm:
    @pytest.mark.parametrize(("options", "suffix"), [(IndexOptions(), "gz"), (ZSTD, "zst")])
    def test_dnf_and_createrepo_c_read_each_compression(
        self, tmp_path: Path, dnf: Dnf, options: IndexOptions, suffix: str
    ) -> None:
        _, folder = rpm_tree(tmp_path, options)
        assert {path.name.rpartition(".")[2] for path in (folder / "repodata").iterdir()} == {"xml", suffix}
        source = from_folder(folder)
        assert dnf(*source, *QUERY, "--available").splitlines() == BINARIES
        assert "/usr/share/hello+world/greeting" in dnf(*source, "repoquery", "-l", "hello+world")
        assert "- A change" in dnf(*source, "repoquery", "--changelogs", "hello+world")
        read = cr.Metadata()
        read.locate_and_load_xml(str(folder))
        packages = [read.get(key) for key in read.keys()]  # noqa: SIM118 - not a mapping
        assert sorted(each.name for each in packages) == ["hello+world", "other"]
        assert all(each.files and each.changelogs for each in packages)

    @pytest.mark.parametrize("options", [IndexOptions(), ZSTD])
    def test_what_repomd_says_of_its_files_is_true(self, tmp_path: Path, options: IndexOptions) -> None:
        _, folder = rpm_tree(tmp_path, options)
        records = list(cr.Repomd(str(folder / "repodata/repomd.xml")))
        assert {record.type for record in records} == {"primary", "filelists", "other"}  # no sqlite, no modules
        for record in records:
            again = cr.RepomdRecord(record.type, str(folder / record.location_href))
            again.fill(cr.SHA256)
            for field in ("checksum", "checksum_type", "checksum_open", "checksum_open_type", "size", "size_open"):
                assert getattr(record, field) == getattr(again, field)
            assert record.checksum in record.location_href

    def test_createrepo_c_updates_it_without_looking_into_packages(self, tmp_path: Path) -> None:
        """What it takes from our metadata is what it would have found out itself. Debian 12's reads no zstd."""
        need("createrepo_c")
        tree = tree_at(tmp_path)
        folder = publish(tree, rpm_snapshot(tree, tmp_path, 1))
        mirror = tmp_path / "mirror"
        shutil.copytree(folder / "repodata", mirror / "repodata")
        shutil.copytree(folder / "pool", mirror / "pool")
        # It compares file times, and ours are those of the builds.
        read = cr.Metadata()
        read.locate_and_load_xml(str(folder))
        for key in read.keys():  # noqa: SIM118
            package = read.get(key)
            path = mirror / package.location_href
            subprocess.run(["touch", f"--date=@{package.time_file}", str(path)], check=True)
        argv = ["createrepo_c", "--verbose", "--update", "--excludes=*.src.rpm", "--changelog-limit=10"]
        said = run([*argv, "--compatibility", str(mirror)], tmp_path)
        assert len(re.findall(r"CACHE HIT", said)) == 2
        shutil.rmtree(mirror / "repodata")
        run([*argv, "--compatibility", str(mirror)], tmp_path)
        fresh = cr.Metadata()
        fresh.locate_and_load_xml(str(mirror))
        assert set(fresh.keys()) == set(read.keys())
        for key in read.keys():  # noqa: SIM118
            for dump in (cr.xml_dump_primary, cr.xml_dump_filelists, cr.xml_dump_other):
                assert dump(fresh.get(key)) == dump(read.get(key))

    def test_source_packages_beside(self, tmp_path: Path, dnf: Dnf) -> None:
        tree, folder = rpm_tree(tmp_path, BESIDE)
        assert dnf(*from_folder(folder), *QUERY, "--available").splitlines() == BINARIES
        assert dnf(*from_folder(folder / "source"), *QUERY, "--available").splitlines() == SOURCES
        for text in ((folder / "conveyor.repo").read_text(), tree.client_file(RPM_TARGET, "current")[1]):
            (dnf.folder / "repos.d/conveyor.repo").write_text(text)
            assert dnf(*QUERY, "--available").splitlines() == BINARIES
            shutil.rmtree(dnf.folder / "fetched", ignore_errors=True)
            dnf("--repo=conveyor-source", "--refresh", *QUERY, "--available")
            found = dnf("--enablerepo=conveyor-source", *QUERY, "--available").splitlines()
            assert sorted(found) == sorted(BINARIES + SOURCES)
        assert {entry.path for entry in RpmIndexWriter(tmp_path / "cache").to_sign(folder)} == {
            "repodata/repomd.xml",
            "source/repodata/repomd.xml",
        }
        for path in RpmIndexWriter(tmp_path / "cache").checksummed(folder):
            assert (folder / path).is_file()
        assert len(RpmIndexWriter(tmp_path / "cache").checksummed(folder)) == 6

    def test_source_packages_inside(self, tmp_path: Path, dnf: Dnf) -> None:
        _, folder = rpm_tree(tmp_path, INSIDE)
        found = dnf(*from_folder(folder), *QUERY, "--available").splitlines()
        assert sorted(found) == sorted(BINARIES + SOURCES)
        assert not (folder / "source").exists()

    def test_other_options_leave_what_is_published(self, tmp_path: Path) -> None:
        """A client that is led from an old snapshot to a new one still finds what the old one's repomd.xml names."""
        _, old = rpm_tree(tmp_path, BESIDE)
        before = RpmIndexWriter(tmp_path / "cache").checksummed(old)
        later = tree_at(tmp_path, f"file://{tmp_path}/repos", options=ZSTD)
        publish(later, rpm_snapshot(later, tmp_path, 2))
        current = tmp_path / "repos" / RPM_TARGET / "current"
        assert [path for path in before if not path.startswith("source/") and not (current / path).is_file()] == []


def debs_of(tree: PublishedTree, scratch: Path) -> Snapshot:
    """Packages of two components and, beside those for all, two architectures."""
    scratch.mkdir(parents=True, exist_ok=True)
    entries = []
    for package, component, architecture in (("hello", "common", "all"), ("nova", "compute", "arm64")):
        control = published.CONTROL.replace("Architecture: all", f"Architecture: {architecture}")
        path, _ = make_deb(scratch, package, "1-1", control=control)
        binary = artifact_of(path, kind=ArtifactKind.BINARY, name=package, version="1-1", architecture=architecture)
        entry = entry_of(package, 1, added(tree, DEB_TARGET, [(path, binary), *make_dsc(scratch, package, "1-1")]))
        entries.append(replace(entry, component=component))
    return snapshot_of(DEB_TARGET, "amd64", 1, *entries)


class TestDeb:
    def test_components_and_architectures(self, tmp_path: Path, apt: Apt) -> None:
        tree = tree_at(tmp_path, f"file://{tmp_path}/repos")
        folder = publish(tree, debs_of(tree, tmp_path / "scratch"))
        with (folder / "dists/trunk/Release").open() as file:
            release = Release(file)
        assert (release["Components"], release["Architectures"]) == ("common compute", "amd64 arm64")
        indexes = {path.relative_to(folder / "dists/trunk"): path.read_text() for path in folder.rglob("Packages")}
        listed = {str(path): re.findall(r"^Package: (.*)$", text, re.MULTILINE) for path, text in indexes.items()}
        assert listed == {
            "common/binary-amd64/Packages": ["hello"],
            "common/binary-arm64/Packages": ["hello"],
            "compute/binary-amd64/Packages": [],
            "compute/binary-arm64/Packages": ["nova"],
        }
        apt.source(tree.client_file(DEB_TARGET, "current")[1].replace("Types: deb", "Types: deb deb-src"))
        output = apt("update", "-o", "APT::Architectures=amd64,arm64")
        assert "W:" not in output
        assert "N:" not in output
        lists = [path.name for path in (apt.folder / "state/lists").iterdir()]
        assert sum("_compute_binary-arm64_" in name for name in lists) == 1
        assert sum("source_Sources" in name for name in lists) == 2

    def test_the_trunk_of_a_buildroot_has_all_components(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path)
        publish(tree, debs_of(tree, tmp_path / "scratch"))
        trunk = tree.trunk(DEB_TARGET, ())
        assert trunk is not None
        assert trunk.components == ("common", "compute")
        files = AptManager(lambda: "http://mirror.invalid").settings(trunk)
        assert Deb822(files["sources.list.d/trunk.sources"])["Components"] == "common compute"

    def test_an_architecture_that_is_a_path_is_refused(self, tmp_path: Path) -> None:
        path, _ = make_deb(tmp_path, "hello", "1-1")
        lie = artifact_of(path, kind=ArtifactKind.BINARY, name="hello", version="1-1", architecture="../../x")
        with pytest.raises(SourceInvalid, match="architecture"):
            tree_at(tmp_path).check(DEB_TARGET, [(path, lie)])

    @pytest.mark.parametrize("suffix", ["gz", "xz"])
    def test_apt_reads_each_compression(self, tmp_path: Path, apt: Apt, suffix: str) -> None:
        tree = tree_at(tmp_path, f"file://{tmp_path}/repos")
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        # Only one of them is there, so it is the one that is read.
        for path in folder.rglob("Packages*"):
            if path.name != f"Packages.{suffix}":
                for twin in path.parent.glob("by-hash/SHA256/*"):
                    if twin.samefile(path):
                        twin.unlink()
                path.unlink()
        apt.source((folder / "conveyor.sources").read_text())
        apt("update")
        assert apt.known() == {"hello 1.1~rc1+git2-1~deb13", "other 7-1"}

    def test_the_same_stanzas_as_apt_ftparchive(self, tmp_path: Path) -> None:
        need("apt-ftparchive")
        tree = tree_at(tmp_path)
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        ours = stanzas((folder / "dists/trunk/common/binary-amd64/Packages").read_text())
        options = [word for name in ("MD5", "SHA1", "SHA512") for word in ("-o", f"APT::FTPArchive::{name}=false")]
        theirs = stanzas(run(["apt-ftparchive", *options, "packages", "pool"], folder))
        assert theirs == ours
        ours = stanzas((folder / "dists/trunk/common/source/Sources").read_text())
        options = [word for name in ("SHA1", "SHA512") for word in ("-o", f"APT::FTPArchive::{name}=false")]
        theirs = stanzas(run(["apt-ftparchive", *options, "sources", "pool"], folder))
        assert [without(each, "Files", "Checksums-Sha256") for each in theirs] == [
            without(each, "Files", "Checksums-Sha256") for each in ours
        ]
        for one, other in zip(theirs, ours, strict=True):
            assert sorted(one["Checksums-Sha256"].split("\n")) == sorted(other["Checksums-Sha256"].split("\n"))
            assert sorted(one["Files"].split("\n")) == sorted(other["Files"].split("\n"))

    def test_the_same_stanzas_as_dpkg_scanpackages(self, tmp_path: Path) -> None:
        need("dpkg-scanpackages")
        tree = tree_at(tmp_path)
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        ours = stanzas((folder / "dists/trunk/common/binary-amd64/Packages").read_text())
        found = subprocess.run(
            ["dpkg-scanpackages", "--multiversion", "--hash", "sha256", "pool/"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
        assert stanzas(found.stdout) == ours

    def test_contents(self, tmp_path: Path) -> None:
        need("apt-ftparchive")
        tree = tree_at(tmp_path, options=IndexOptions(contents=True))
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        path = folder / "dists/trunk/common/Contents-amd64.gz"
        ours = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
        assert ours == [["usr/share/hello/greeting", "misc/hello"], ["usr/share/other/greeting", "misc/other"]]
        # It knows sections from its own configuration only.
        theirs = [line.split() for line in run(["apt-ftparchive", "contents", "pool"], folder).splitlines()]
        assert theirs == [[path, package.removeprefix("misc/")] for path, package in ours]
        with (folder / "dists/trunk/Release").open() as file:
            assert "common/Contents-amd64.gz" in {each["name"] for each in Release(file)["SHA256"]}

    def test_contents_name_every_package_that_has_a_file(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path, options=IndexOptions(contents=True))
        (tmp_path / "x").mkdir()
        built = [make_deb(tmp_path / "x", "hello", "1-1"), make_deb(tmp_path / "x", "hello", "2-1")]
        tree.check(DEB_TARGET, built)
        artifacts: tuple[Artifact, ...] = added(tree, DEB_TARGET, built)
        folder = publish(tree, snapshot_of(DEB_TARGET, "amd64", 1, entry_of("hello", 1, artifacts)))
        content = gzip.decompress((folder / "dists/trunk/common/Contents-amd64.gz").read_bytes())
        assert content == b"usr/share/hello/greeting\tmisc/hello\n"

    def test_what_stands_in_for_a_snapshot_is_valid_for_as_long(self, tmp_path: Path) -> None:
        tree = tree_at(tmp_path, options=IndexOptions(valid_until=7 * 86400))
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        # The target's options may be others since.
        changed = DebIndexWriter(tmp_path / "cache").redated(folder, datetime(2030, 5, 1, tzinfo=UTC))
        release = Release(changed["dists/trunk/Release"].decode())
        assert (release["Date"], release["Valid-Until"]) == (
            "Wed, 01 May 2030 00:00:00 GMT",
            "Wed, 08 May 2030 00:00:00 GMT",
        )

    def test_nothing_is_kept_of_packages_that_are_removed(self, tmp_path: Path) -> None:
        options = IndexOptions(contents=True)
        tree = tree_at(tmp_path, options=options)
        built = [make_deb(tmp_path, "hello", "1-1")]
        tree.check(DEB_TARGET, built)
        assert len([path for path in (tmp_path / "cache").rglob("*") if path.is_file()]) == 2
        DebIndexWriter(tmp_path / "cache", options).forget([artifact.pool_path for _, artifact in built])
        assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []

    def test_an_expired_pointer_is_refused_and_a_snapshot_is_not(self, tmp_path: Path, apt: Apt) -> None:
        tree = tree_at(tmp_path, f"file://{tmp_path}/repos", options=IndexOptions(valid_until=7 * 86400))
        folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
        with (folder / "dists/trunk/Release").open() as file:
            assert Release(file)["Valid-Until"] == "Mon, 08 Jan 2024 12:01:00 GMT"
        assert datetime.now(UTC) > datetime(2024, 1, 8, tzinfo=UTC) + timedelta(days=1)
        apt.source((folder / "conveyor.sources").read_text())
        apt("update")
        apt.source(tree.client_file(DEB_TARGET, "current")[1])
        with pytest.raises(AssertionError, match="is expired"):
            apt("update")


def stanzas(text: str) -> list[dict[str, str]]:
    """Each stanza's fields, however their names are written, sorted by package."""
    found = [
        {str(name).title(): str(value) for name, value in each.items()}
        for each in Deb822.iter_paragraphs(text, use_apt_pkg=False)
    ]
    return sorted(found, key=lambda each: each["Package"])


def without(fields: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in names}


def test_lzma_reads_what_is_written(tmp_path: Path) -> None:
    tree = tree_at(tmp_path)
    folder = publish(tree, deb_snapshot(tree, tmp_path, 1))
    for path in folder.rglob("*.xz"):
        if "by-hash" not in path.parts:
            assert lzma.decompress(path.read_bytes()) == path.with_suffix("").read_bytes()
            assert gzip.decompress(path.with_suffix(".gz").read_bytes()) == path.with_suffix("").read_bytes()
