"""Targets of repos.yaml: from an entry to the model's value, with what each format and distribution brings along."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from conveyor.config.checker import check, given
from conveyor.config.document import Document
from conveyor.config.mistakes import show
from conveyor.config.schema import DebTarget, LimitsEntry, OtherTarget, RpmTarget
from conveyor.config.values import Context
from conveyor.model.target import (
    AptRepository,
    BuilderKind,
    Compression,
    DebianSuite,
    Format,
    IndexOptions,
    Limits,
    MockOptions,
    RpmDistribution,
    RpmRepository,
    SourcePackages,
    Target,
)

TARGET_NAME = re.compile(r"[a-z0-9][a-z0-9.+_-]*")
MODELS: Mapping[str, type[DebTarget] | type[RpmTarget]] = {Format.DEB: DebTarget, Format.RPM: RpmTarget}
DEFAULT_LIMITS = Limits(seconds=30 * 60, memory=4 * 2**30, disk=8 * 2**30, processes=1000)
# Beyond the essential packages: what Debian Policy 4.2 lets a source package rely on without naming it, and fakeroot
# for those that need it (Rules-Requires-Root).
DEB_BUILD_PACKAGES = ("build-essential", "fakeroot")
RPM_BASE_PACKAGES = ("bash", "coreutils", "glibc-minimal-langpack", "rpm", "shadow-utils")
# What a spec may rely on without naming it (Fedora Packaging Guidelines, "Build-Time Dependencies").
RPM_BUILD_PACKAGES = (
    *("bzip2", "cpio", "diffutils", "findutils", "gawk", "grep", "gzip", "info", "patch", "redhat-rpm-config"),
    *("rpm-build", "sed", "tar", "unzip", "util-linux", "which", "xz"),
)
BUILD_PACKAGES = {Format.DEB: DEB_BUILD_PACKAGES, Format.RPM: RPM_BUILD_PACKAGES}
RELEASE_PACKAGES = {"fedora": ("fedora-release-common",), "centos": ("centos-stream-release",)}
# What the first part of a target's name says: the mark in releases, before the number, and the naming.
DISTRIBUTIONS = {"debian": ("deb", "debian"), "centos": ("el", "centos"), "fedora": ("fc", "fedora")}


def read_target(document: Document, name: str, raw: object, context: Context, limits: Limits) -> Target | None:
    """One target; None where it has mistakes, which are in the document then."""
    loc = ("targets", name)
    if not TARGET_NAME.fullmatch(name):
        document.mistake(loc, f"{show(name)} is no target name; would be right: debian-13-amd64")
    word = str(raw.get("format")) if isinstance(raw, dict) else ""
    mark, naming = _told(document, name, raw, word)
    entry = check(document, MODELS.get(word, OtherTarget), raw, loc, context)
    if not isinstance(entry, (DebTarget, RpmTarget)):
        return None
    naming = entry.naming or naming
    return Target(
        name=name,
        format=Format(entry.format),
        architecture=entry.architecture,
        builder=BuilderKind(entry.builder),
        origin=_origin(entry),
        base_packages=tuple(_base_packages(entry, naming) if entry.base_packages is None else entry.base_packages),
        build_packages=tuple(BUILD_PACKAGES[Format(word)] if entry.build_packages is None else entry.build_packages),
        dist=entry.dist or mark,
        naming=naming,
        limits=overridden(limits, entry.limits),
        install_check=entry.install_check,
        base_image=entry.base_image,
        ccache=entry.ccache,
        mock=_mock(entry),
        container=entry.container,
        indexes=_indexes(entry),
        builds_at_once=entry.builds_at_once,
    )


def _indexes(entry: DebTarget | RpmTarget) -> IndexOptions:
    match entry:
        case DebTarget():
            return IndexOptions(
                contents=entry.contents, valid_until=entry.valid_until, by_component=entry.component_repositories
            )
        case RpmTarget():
            return IndexOptions(
                compression=Compression(entry.compression),
                source_packages=SourcePackages(entry.source_packages),
                by_component=entry.component_repositories,
            )
        case _:
            assert_never(entry)


def _mock(entry: DebTarget | RpmTarget) -> MockOptions:
    if not isinstance(entry, RpmTarget):
        return MockOptions()
    given_options = entry.mock
    return MockOptions(
        config=given_options.config,
        bootstrap=given_options.bootstrap,
        package_manager=given_options.package_manager,
        isolation=given_options.isolation,
    )


def _told(document: Document, name: str, raw: object, word: str) -> tuple[str, str]:
    """Mark and naming that the target's name tells; a mistake where it tells nothing and the entry is silent too."""
    mark, naming = derived(name)
    if word == Format.DEB:
        naming = "debian"
    if word in MODELS and not mark and not given(raw, "dist"):
        document.mistake(
            ("targets", name, "dist"), "is missing, and the name does not tell; would be right: dist: el10"
        )
    if word in MODELS and not naming and not given(raw, "naming"):
        text = "is missing, and the name does not tell; would be right: naming: fedora"
        document.mistake(("targets", name, "naming"), text)
    return mark, naming


def _origin(entry: DebTarget | RpmTarget) -> DebianSuite | RpmDistribution:
    match entry:
        case DebTarget():
            more = [
                AptRepository(
                    name=item.name, url=item.url, suite=item.suite, components=tuple(item.components), key=item.key
                )
                for item in entry.repositories
            ]
            return DebianSuite(
                suite=entry.suite,
                mirror=entry.mirror,
                components=tuple(entry.components),
                repositories=tuple(more),
            )
        case RpmTarget():
            repositories = [RpmRepository(name=item.name, url=item.url, key=item.key) for item in entry.repositories]
            return RpmDistribution(repositories=tuple(repositories), release=entry.release, database=entry.database)
        case _:
            assert_never(entry)


def _base_packages(entry: DebTarget | RpmTarget, naming: str) -> tuple[str, ...]:
    if entry.base_image is not None:
        return ()
    return (*RPM_BASE_PACKAGES, *RELEASE_PACKAGES.get(naming, ())) if isinstance(entry, RpmTarget) else ()


def derived(name: str) -> tuple[str, str]:
    """Mark and naming that a target's name tells: ("el10", "centos") for "centos-10-x86_64"; else empty."""
    match = re.match(r"([a-z]+)-([0-9]+(?:\.[0-9]+)*)(?:-|$)", name)
    mark, naming = DISTRIBUTIONS.get(match[1], ("", "")) if match else ("", "")
    return (f"{mark}{match[2]}", naming) if match and mark else ("", "")


def overridden(limits: Limits, entry: LimitsEntry) -> Limits:
    """Limits, with those replaced that an entry gives."""
    given_limits = {"seconds": entry.time, "memory": entry.memory, "disk": entry.disk, "processes": entry.processes}
    return replace(limits, **{key: value for key, value in given_limits.items() if value is not None})
