"""The shipped packaging, rendered for each kind of target, against tests/data/golden/<target>/<package>/.

After a change that is meant: python -m pytest tests/unit/test_golden_packaging.py --update-goldens, then read the diff.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.formats.templates.renderer import JinjaRenderer
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.package import Package, PackagingFolder, VersionScheme
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.target import BuilderKind, DebianSuite, Format, Limits, RpmDistribution, Target
from conveyor.model.version import PackageVersion

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"
GOLDEN = ROOT / "tests" / "data" / "golden"
ARCHETYPE = SPECS / "_archetypes" / "python"
AT = datetime(2026, 3, 7, 9, 5, 2, tzinfo=UTC)
UPSTREAM_FILES = ("LICENSE", "README.rst", "pyproject.toml", "setup.cfg", "setup.py")

PACKAGES = ("oslo.i18n", "oslo.utils", "oslo.config", "python-novaclient")
# name: format, architecture, dist, naming
TARGETS = {
    "debian-13-amd64": (Format.DEB, "amd64", "deb13", "debian"),
    "fedora-43-x86_64": (Format.RPM, "x86_64", "fc43", "fedora"),
    "centos-10-x86_64": (Format.RPM, "x86_64", "el10", "centos"),
    "rdo-10-x86_64": (Format.RPM, "x86_64", "el10", "rdo"),
}


def target(name: str) -> Target:
    form, architecture, dist, naming = TARGETS[name]
    return Target(
        name=name,
        format=form,
        architecture=architecture,
        builder=BuilderKind.OVERLAY,
        origin=DebianSuite(suite="trixie", mirror=None, components=("main",))
        if form is Format.DEB
        else RpmDistribution(repositories=(), release="10", database="/usr/lib/sysimage/rpm"),
        base_packages=(),
        build_packages=(),
        dist=dist,
        naming=naming,
        limits=Limits(seconds=1, memory=1, disk=1, processes=1),
        install_check=True,
    )


def package(name: str) -> Package:
    return Package(
        name=name,
        distribution=name,
        upstream=f"https://opendev.org/openstack/{name}",
        branch="master",
        packaging=PackagingFolder(path=SPECS / name),
        archetype=ARCHETYPE,
        targets=tuple(TARGETS),
        version_scheme=VersionScheme.PBR,
        maintainers=("Jane Doe <jane@example.org>",),
        component="common",
    )


def folder(path: Path) -> tuple[PackagingFile, ...]:
    return tuple(
        PackagingFile(
            path=file.relative_to(path).as_posix(), content=file.read_bytes(), executable=os.access(file, os.X_OK)
        )
        for file in sorted(path.rglob("*"))
        if file.is_file()
    )


def render(package_name: str, target_name: str) -> tuple[PackagingFile, ...]:
    sha = hashlib.sha1(package_name.encode()).hexdigest()
    form, _, dist, _ = TARGETS[target_name]
    return JinjaRenderer().render(
        RenderInput(
            package=package(package_name),
            target=target(target_name),
            commit=Commit(
                package=package_name,
                upstream=CommitInfo(sha=sha, committed_at=AT, author="A", subject="S"),
                packaging_sha="f" * 40,
            ),
            version=PackageVersion(
                upstream="10.2.1.dev3",
                epoch=0,
                version="10.2.1~dev3",
                release="1" if form is Format.RPM else f"1~{dist}",
            ),
            packaging=Packaging(sha="f" * 40, release=1, files=folder(SPECS / package_name), shared=folder(ARCHETYPE)),
            source_files=UPSTREAM_FILES,
            changelog_at=AT,
        )
    )


def write(files: Iterable[PackagingFile], into: Path) -> None:
    shutil.rmtree(into, ignore_errors=True)
    for file in files:
        path = into / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(0o755 if file.executable else 0o644)


@pytest.mark.parametrize("target_name", TARGETS)
@pytest.mark.parametrize("package_name", PACKAGES)
def test_shipped_packaging_renders_as_it_did(
    package_name: str, target_name: str, request: pytest.FixtureRequest
) -> None:
    golden = GOLDEN / target_name / package_name
    outputs = render(package_name, target_name)
    if request.config.getoption("--update-goldens"):
        write(outputs, golden)
    assert {file.path: (file.content.decode(), file.executable) for file in outputs} == {
        file.path: (file.content.decode(), file.executable) for file in folder(golden)
    }


def test_no_golden_file_is_left_over() -> None:
    known = {GOLDEN / target_name / package_name for target_name in TARGETS for package_name in PACKAGES}
    present = {path for path in GOLDEN.glob("*/*") if path.is_dir()}
    assert present == known


@pytest.mark.parametrize("target_name", TARGETS)
@pytest.mark.parametrize("package_name", PACKAGES)
def test_no_rendered_line_shows_how_it_was_made(package_name: str, target_name: str) -> None:
    for file in render(package_name, target_name):
        text = file.content.decode()
        assert "\n\n\n" not in text, file.path
        assert not [line for line in text.splitlines() if line != line.rstrip()], file.path
        assert "{{" not in text.replace("%{", ""), file.path
        assert text.endswith("\n"), file.path
