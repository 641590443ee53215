"""Many small packages at once, real ones, of the kind that a trunk has: an RPM or a deb each, and its sources."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor.command import run
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.target import Format

FILES = 30  # of a package, in its main folder
SECONDS = 1800
# Fixed, so that a package is the same wherever it is made.
MADE_AT = 1704110400
CHANGES = tuple(f"Tell what changed in number {number}" for number in (3, 2, 1))
DEPENDENCIES = (1, 7, 31)
SPEC_HEAD = """\
Name: many
Version: {version}
Release: 1
Summary: Many
License: ASL 2.0
BuildArch: noarch
AutoReqProv: no
%description
Many.
"""
SPEC_PACKAGE = """\
%package -n python3-{name}
Summary: Library {name} of a trunk
URL: https://example.org/{name}
Requires: python3 >= 3.9
{requires}
Provides: python3dist({name}) = {version}
%description -n python3-{name}
{text}
%files -n python3-{name}
/usr/lib/python3/site-packages/{name}
"""
SPEC_TAIL = """\
%install
cp -a {tree}/. %{{buildroot}}
%changelog
{changes}
"""
TEXT = """\
The library {name}, with a few lines that say what it is good for and what
one has to know of it before using it for the first time."""
CONTROL = """\
Package: python3-{name}
Source: {name}
Version: {version}-1
Architecture: all
Maintainer: A Packager <packager@example.org>
Installed-Size: 120
Depends: python3 (>= 3.9), {depends}
Section: python
Priority: optional
Homepage: https://example.org/{name}
Description: library {name} of a trunk
 The library {name}, with a few lines that say what it is good for and what
 one has to know of it before using it for the first time.
"""
DSC = """\
Format: 3.0 (quilt)
Source: {name}
Binary: python3-{name}
Architecture: all
Version: {version}-1
Maintainer: A Packager <packager@example.org>
Standards-Version: 4.6.2
Build-Depends: debhelper-compat (= 13), dh-python, python3-all, python3-setuptools
Package-List:
 python3-{name} deb python optional arch=all
Checksums-Sha256:
 {sha256} {size} {file}
Files:
 {md5} {size} {file}
"""
RPMBUILD = {
    "_binary_payload": "w1.gzdio",
    "__os_install_post": "%{nil}",
    "_build_id_links": "none",
    "use_source_date_epoch_as_buildtime": "1",
    "_buildhost": "localhost",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package and what its build left.

    Attributes:
        name: the package's name in repos.yaml.
        version: EVR string of its source package.
        files: where each artifact lies.
    """

    name: str
    version: str
    files: tuple[tuple[Path, Artifact], ...]


def names(count: int) -> list[str]:
    """Names of so many packages."""
    return [f"library{number:05}" for number in range(count)]


def make(package_format: Format, folder: Path, chosen: Sequence[str], version: str) -> list[Package]:
    """Make packages of a version in a folder, which must not be there yet."""
    folder.mkdir(parents=True)
    return list((_rpms if package_format is Format.RPM else _debs)(folder, chosen, version))


def _rpms(folder: Path, chosen: Sequence[str], version: str) -> Iterator[Package]:
    """All of one spec, as their build is not what is measured."""
    _write_tree(folder / "tree", chosen)
    (folder / "many.spec").write_text(_spec(folder / "tree", chosen, version), encoding="utf-8")
    defined = {"_topdir": str(folder / "top"), "_rpmdir": str(folder / "rpms"), **RPMBUILD}
    options = [word for name, value in defined.items() for word in ("--define", f"{name} {value}")]
    run(
        ["rpmbuild", "-bb", "--quiet", *options, str(folder / "many.spec")],
        timeout=SECONDS,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "SOURCE_DATE_EPOCH": str(MADE_AT)},
    )
    for part in ("tree", "top"):
        shutil.rmtree(folder / part)
    for name in chosen:
        evr = f"{version}-1"
        path = folder / f"rpms/noarch/python3-{name}-{evr}.noarch.rpm"
        source = folder / f"{name}-{evr}.src.rpm"
        source.write_bytes(f"source of {name} {version}\n".encode())  # no one reads it: it is only listed
        yield Package(
            name=name,
            version=evr,
            files=(
                _file(path, ArtifactKind.BINARY, f"python3-{name}", evr, "noarch"),
                _file(source, ArtifactKind.SOURCE, name, evr, "src"),
            ),
        )


def _write_tree(tree: Path, chosen: Sequence[str]) -> None:
    for name in chosen:
        package = tree / f"usr/lib/python3/site-packages/{name}"
        package.mkdir(parents=True)
        for number in range(FILES):
            (package / f"module_of_the_library_{number}.py").touch()


def _spec(tree: Path, chosen: Sequence[str], version: str) -> str:
    parts = [
        SPEC_PACKAGE.format(
            name=name,
            version=version,
            requires="\n".join(f"Requires: python3-{other}" for other in _needed(chosen, place)),
            text=TEXT.format(name=name),
        )
        for place, name in enumerate(chosen)
    ]
    changes = "\n".join(
        f"* Mon Jan 01 2024 A Packager <packager@example.org> - {version}-1\n- {change}\n" for change in CHANGES
    )
    return "".join([SPEC_HEAD.format(version=version), *parts, SPEC_TAIL.format(tree=tree, changes=changes)])


def _needed(chosen: Sequence[str], place: int) -> list[str]:
    return sorted({chosen[(place + step) % len(chosen)] for step in DEPENDENCIES})


def _debs(folder: Path, chosen: Sequence[str], version: str) -> Iterator[Package]:
    for place, name in enumerate(chosen):
        deb = folder / f"python3-{name}_{version}-1_all.deb"
        depends = ", ".join(f"python3-{other}" for other in _needed(chosen, place))
        control = CONTROL.format(name=name, version=version, depends=depends).encode()
        contents = [f"./usr/lib/python3/dist-packages/{name}/module_of_the_library_{i}.py" for i in range(FILES)]
        deb.write_bytes(_ar(control, contents))
        tarball = folder / f"{name}_{version}-1.tar.gz"
        tarball.write_bytes(f"source of {name} {version}\n".encode())
        dsc = folder / f"{name}_{version}-1.dsc"
        dsc.write_text(_dsc(name, version, tarball), encoding="utf-8")
        evr = f"{version}-1"
        yield Package(
            name=name,
            version=evr,
            files=(
                _file(deb, ArtifactKind.BINARY, f"python3-{name}", evr, "all"),
                _file(dsc, ArtifactKind.SOURCE, name, evr, "source"),
                _file(tarball, ArtifactKind.SUPPORT, tarball.name, "", ""),
            ),
        )


def _dsc(name: str, version: str, tarball: Path) -> str:
    content = tarball.read_bytes()
    return DSC.format(
        name=name,
        version=version,
        sha256=hashlib.sha256(content).hexdigest(),
        md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        size=len(content),
        file=tarball.name,
    )


def _ar(control: bytes, contents: Sequence[str]) -> bytes:
    """A .deb (deb(5))."""
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": control}),
        "data.tar.gz": _tar(dict.fromkeys(contents, b"")),
    }
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        parts += [f"{name:<16}{MADE_AT:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode(), content]
        parts.append(b"\n" * (len(content) % 2))
    return b"".join(parts)


def _tar(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), MADE_AT
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(written.getvalue(), compresslevel=1, mtime=0)


def _file(path: Path, kind: ArtifactKind, name: str, version: str, architecture: str) -> tuple[Path, Artifact]:
    content = path.read_bytes()
    return path, Artifact(
        filename=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        kind=kind,
        name=name if kind is not ArtifactKind.SUPPORT else path.name,
        version=version,
        architecture=architecture,
    )
