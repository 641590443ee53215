"""The whole pipeline in this process, on a real builder, store and tree; upstreams and packaging are data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from conveyor.formats.deb.describe import DebDescriber
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.rpm.describe import RpmDescriber
from conveyor.formats.rpm.metadata import RpmIndexWriter
from conveyor.model.build import Build
from conveyor.model.commit import History
from conveyor.model.package import Package, VersionScheme
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.target import Format, Target
from conveyor.model.version import SchemeVersion
from conveyor.pipeline.claims import Claims
from conveyor.pipeline.happenings import Happenings
from conveyor.pipeline.orders import Orders
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.poll import Poll, Wanted
from conveyor.pipeline.publish import Publisher
from conveyor.pipeline.run import Runner
from conveyor.ports import Builder, IndexWriter, Toolchain
from conveyor.repository.tree import PublishedTree
from conveyor.store import open_books
from tests.fakes.events import MemoryEvents
from tests.fakes.git import FakeGit, FakeUpstream
from tests.fakes.progress import FakeProgress
from tests.support.workshop import package_of

CONTROL = """\
Source: NAME
Maintainer: A Packager <packager@example.org>
Section: misc
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: NAME
Architecture: all
Description: A package
 With a script of the upstream's for every occasion.
"""
RULES = """\
#!/usr/bin/make -f
export OUT := $(abspath ..)
export STAGE := $(CURDIR)/debian/NAME
export FORMAT := deb
build-arch build-indep build:
	sh ./build.sh
binary-arch:
binary binary-indep: build
	mkdir -p $(STAGE)/DEBIAN $(STAGE)/usr/share/NAME
	echo hello > $(STAGE)/usr/share/NAME/hello
	if [ -s postinst ]; then install -m 0755 postinst $(STAGE)/DEBIAN/; fi
	sh ./package.sh
	dpkg-gencontrol -pNAME -P$(STAGE)
	find $(STAGE) -newermt @$(SOURCE_DATE_EPOCH) -exec touch --no-dereference --date=@$(SOURCE_DATE_EPOCH) {} +
	dpkg-deb --root-owner-group --build $(STAGE) ..
	sh ./after.sh
clean:
	true
"""
CHANGELOG = """\
NAME (VERSION-RELEASE) trunk; urgency=medium

  * A change.

 -- A Packager <packager@example.org>  Mon, 01 Jan 2024 12:00:00 +0000
"""
SPEC = """\
MACROS
Name: NAME
Version: VERSION
Release: RELEASE%{?dist}
Summary: A package
License: MIT
URL: https://example.org/NAME
Source0: NAME-VERSION.tar.gz
BuildArch: noarch
%description
With a script of the upstream's for every occasion.
%prep
%autosetup -n NAME-VERSION
%build
export OUT=%{_rpmdir} FORMAT=rpm
sh ./build.sh
%install
export OUT=%{_rpmdir} FORMAT=rpm STAGE=%{buildroot}
mkdir -p %{buildroot}/usr/share/NAME
echo hello > %{buildroot}/usr/share/NAME/hello
echo /usr/share/NAME > files.list
sh ./package.sh
%clean
cd %{_builddir}/NAME-VERSION || cd %{_builddir}/NAME-VERSION-build/NAME-VERSION
export OUT=%{_rpmdir} FORMAT=rpm
sh ./after.sh
%post -f postinst
%files -f files.list
"""
SCRIPTS = ("build.sh", "package.sh", "after.sh", "postinst")


def packaging_of(name: str, build_format: Format, macros: str = "") -> dict[str, str]:
    """The packaging of a package whose upstream brings the scripts; `macros` are added to its spec."""
    if build_format is Format.RPM:
        return {f"{name}.spec": SPEC.replace("MACROS", macros).replace("NAME", name)}
    files = {"debian/control": CONTROL, "debian/rules": RULES, "debian/changelog": CHANGELOG}
    return {
        "debian/source/format": "3.0 (quilt)\n",
        **{path: text.replace("NAME", name) for path, text in files.items()},
    }


class Sources:
    """The ports PackagingSource and Renderer: files by package, with the version filled in."""

    def __init__(self) -> None:
        self.files: dict[str, Mapping[str, str]] = {}

    def load(self, package: Package) -> Packaging:
        """See the port."""
        files = tuple(
            PackagingFile(path=path, content=text.encode(), executable=path.endswith("rules"))
            for path, text in sorted(self.files[package.name].items())
        )
        return Packaging(sha=hashlib.sha1(repr(files).encode()).hexdigest(), release=1, files=files, shared=())

    def sha(self, package: Package, commit: str) -> str | None:
        """See the port."""
        return commit or self.load(package).sha

    def at(self, package: Package, sha: str) -> Packaging | None:
        """See the port."""
        now = self.load(package)
        return now if now.sha == sha else None

    def render(self, render_input: RenderInput) -> tuple[PackagingFile, ...]:
        """See the port."""
        version = render_input.version
        return tuple(
            replace(
                file,
                content=file.content.replace(b"VERSION", version.version.encode()).replace(
                    b"RELEASE", version.release.encode()
                ),
            )
            for file in render_input.packaging.files
        )


class SystemClock:
    """The port Clock."""

    def now(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)


class Factory:
    """Packages and a pipeline for one target.

    Args:
        data: the data folder.
        builder: runs the builds.
        toolchain: the target's.
        target: what is built for.
    """

    def __init__(self, data: Path, builder: Builder, toolchain: Toolchain, target: Target) -> None:
        self.data = data
        self.target = target
        self._upstreams: dict[str, FakeUpstream] = {}
        self._sources = Sources()
        writers: dict[Format, IndexWriter] = {
            Format.DEB: DebIndexWriter(data / "metadata"),
            Format.RPM: RpmIndexWriter(data / "metadata"),
        }
        self.tree = PublishedTree(
            data / "repos", writers={target.name: writers[target.format]}, base_url="https://trunk.example.org"
        )
        books = open_books(f"sqlite:///{data}/conveyor.db")
        self.store = books.store
        self._pointers = Pointers(books.ledger, self.tree, SystemClock())
        self._builder, self._toolchain = builder, toolchain

    def package(
        self, name: str, scripts: Mapping[str, str], *, macros: str = "", extra: Mapping[str, str] | None = None
    ) -> None:
        """Have a package, or the next commit of one.

        Args:
            name: its name.
            scripts: the upstream's, by name.
            macros: what its spec begins with.
            extra: further files of its packaging.
        """
        # Each is left out of nothing: a script that is not given does nothing.
        files = {script: scripts.get(script, "").encode() + b"\n" * (script != "postinst") for script in SCRIPTS}
        files["postinst"] = (scripts.get("postinst") or "true").encode() + b"\n"
        if self.target.format is Format.DEB:
            files["postinst"] = b"#!/bin/sh\n" + files["postinst"]
        upstream = self._upstreams.setdefault(package_of(name).upstream, FakeUpstream())
        upstream.commit("A change", files=files)
        self._sources.files[name] = {**packaging_of(name, self.target.format, macros), **(extra or {})}

    def build(self, name: str, *, target: Target | None = None, local: bool = False) -> Build:
        """Build the newest commit of a package, as `conveyor build` does."""
        git = FakeGit(self._upstreams)
        target = target or self.target
        parts = Parts(
            git=git,
            packaging=self._sources,
            upstream_version=_version,
            renderer=self._sources,
            toolchains={target.format: self._toolchain},
            describers={Format.DEB: DebDescriber(), Format.RPM: RpmDescriber()},
            builders={target.builder: self._builder},
            repository=self.tree,
            store=self.store,
            clock=SystemClock(),
            progress=FakeProgress(),
            configured={target.name: frozenset(self._sources.files)},
            builds=self.data / "builds",
        )
        publisher = Publisher(self.store, self.tree, self._pointers, self.data, {})
        events = MemoryEvents()
        happenings = Happenings(events, self.store)
        claims = Claims(self.store, happenings=happenings, clock=parts.clock, builds=parts.builds)
        orders = Orders(parts, claims, Runner(parts, publisher, happenings, self.data))
        package = package_of(name)
        commit = Poll(git, self._sources).find(package, Wanted())
        return orders.build(package, target, commit, keep_root=local).build

    def log(self, build: Build) -> str:
        """The log of a build's last attempt."""
        assert build.log is not None
        return (self.data / build.log).read_text(errors="replace")


def _version(history: History, scheme: VersionScheme) -> SchemeVersion:
    del scheme
    return SchemeVersion(upstream=f"1.{history.commits_since}.0")
