"""Small real packages and the snapshots made of them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot, SnapshotEntry

DAY_ONE = datetime(2024, 1, 1, 12, 0, tzinfo=UTC)
PACKAGING_SHA = "c" * 40


def need(*programs: str) -> None:
    """Skip the test where a program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def sha_of(number: int) -> str:
    """A made-up upstream sha; numbers differ in their first digits too."""
    return hashlib.sha1(str(number).encode()).hexdigest()


def commit_id_of(number: int) -> str:
    return f"{sha_of(number)}_{PACKAGING_SHA[:8]}"


def artifact_of(path: Path, *, kind: ArtifactKind, name: str, version: str, architecture: str) -> Artifact:
    content = path.read_bytes()
    return Artifact(
        filename=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        kind=kind,
        name=name,
        version=version,
        architecture=architecture,
    )


def entry_of(package: str, number: int, artifacts: tuple[Artifact, ...], *, succeeded: bool = True) -> SnapshotEntry:
    return SnapshotEntry(
        package=package,
        upstream_url=f"https://opendev.org/openstack/{package}",
        upstream_sha=sha_of(number),
        packaging_url="",
        packaging_sha=PACKAGING_SHA,
        extended="",
        component="common",
        version=artifacts[0].version if artifacts else "0-1",
        succeeded_at=DAY_ONE + timedelta(minutes=number),
        latest_succeeded=succeeded,
        artifacts=artifacts,
    )


def snapshot_of(target: str, architecture: str, number: int, *entries: SnapshotEntry) -> Snapshot:
    """A snapshot caused by the first of the entries."""
    return Snapshot(
        target=target,
        architecture=architecture,
        commit_id=commit_id_of(number),
        package=entries[0].package,
        created_at=DAY_ONE - timedelta(days=number),
        entries=tuple(sorted(entries, key=lambda entry: entry.package)),
    )


def plain_artifact(folder: Path, filename: str, content: bytes) -> tuple[Path, Artifact]:
    """A file that is no package, for what looks at names and content only."""
    path = folder / filename
    path.write_bytes(content)
    return path, artifact_of(path, kind=ArtifactKind.SUPPORT, name=filename, version="", architecture="")


SPEC = """\
Name: {name}
Version: {version}
Release: {release}
Summary: A greeting
License: MIT
URL: https://example.org/{name}
BuildArch: noarch
%description
Says <hello> & more.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {version} > %{{buildroot}}/usr/share/{name}/greeting
%files
/usr/share/{name}
%changelog
* Mon Jan 01 2024 A Packager <packager@example.org> - {version}-{release}
- A change
"""


def make_rpms(folder: Path, name: str, version: str, release: str = "1") -> list[tuple[Path, Artifact]]:
    """A real noarch RPM and its SRPM."""
    need("rpmbuild")
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / f"{name}.spec"
    spec.write_text(SPEC.format(name=name, version=version, release=release))
    subprocess.run(
        ["rpmbuild", "-ba", "--quiet", "--define", f"_topdir {folder}/top", str(spec)],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(folder), "SOURCE_DATE_EPOCH": "1704110400"},
    )
    evr = f"{version}-{release}"
    binary = folder / f"top/RPMS/noarch/{name}-{evr}.noarch.rpm"
    source = folder / f"top/SRPMS/{name}-{evr}.src.rpm"
    return [
        (binary, artifact_of(binary, kind=ArtifactKind.BINARY, name=name, version=evr, architecture="noarch")),
        (source, artifact_of(source, kind=ArtifactKind.SOURCE, name=name, version=evr, architecture="src")),
    ]


CONTROL = """\
Package: {name}
Version: {version}
Architecture: all
Maintainer: A Packager <packager@example.org>
Priority: optional
Section: misc
Description: A greeting
 Says hello.
 .
 And more.
"""


def make_deb(folder: Path, name: str, version: str, *, control: str = CONTROL) -> tuple[Path, Artifact]:
    """A real .deb of architecture "all"."""
    need("dpkg-deb")
    tree = folder / f"{name}_{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(control.format(name=name, version=version))
    (tree / "usr/share" / name).mkdir(parents=True)
    (tree / "usr/share" / name / "greeting").write_text(version)
    deb = folder / f"{name}_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(deb)], check=True, capture_output=True
    )
    return deb, artifact_of(deb, kind=ArtifactKind.BINARY, name=name, version=version, architecture="all")


SOURCE_CONTROL = """\
Source: {name}
Maintainer: A Packager <packager@example.org>
Standards-Version: 4.6.2

Package: {name}
Architecture: all
Description: A greeting
 Says hello.
"""


def make_dsc(folder: Path, name: str, version: str) -> list[tuple[Path, Artifact]]:
    """A real source package in the format "3.0 (quilt)": .dsc first, then its tarballs."""
    need("dpkg-source", "tar")
    upstream = version.rpartition("-")[0]
    tree = folder / f"{name}-{upstream}"
    (tree / "debian/source").mkdir(parents=True)
    (tree / "hello.py").write_text("print('hello')\n")
    subprocess.run(
        ["tar", "-C", str(folder), "--exclude", "debian", "-czf", f"{folder}/{name}_{upstream}.orig.tar.gz", tree.name],
        check=True,
    )
    (tree / "debian/control").write_text(SOURCE_CONTROL.format(name=name))
    (tree / "debian/rules").write_text("#!/usr/bin/make -f\n%:\n\ttrue\n")
    (tree / "debian/source/format").write_text("3.0 (quilt)\n")
    (tree / "debian/changelog").write_text(
        f"{name} ({version}) trunk; urgency=medium\n\n  * A change.\n\n"
        " -- A Packager <packager@example.org>  Mon, 01 Jan 2024 12:00:00 +0000\n"
    )
    subprocess.run(["dpkg-source", "--build", tree.name], cwd=folder, check=True, capture_output=True)
    dsc = folder / f"{name}_{version}.dsc"
    tarballs = [folder / f"{name}_{upstream}.orig.tar.gz", folder / f"{name}_{version}.debian.tar.xz"]
    support = [
        (path, artifact_of(path, kind=ArtifactKind.SUPPORT, name=path.name, version="", architecture=""))
        for path in tarballs
    ]
    return [
        (dsc, artifact_of(dsc, kind=ArtifactKind.SOURCE, name=name, version=version, architecture="source")),
        *support,
    ]
