"""Roots of real targets, with a store of layers of their own: its base is shared with other tests by hard links."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conveyor.buildroot.isolation.sandbox import Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.overlay.layers import LayerStore, Stack
from conveyor.buildroot.overlay.roots import Roots, base_key
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.deb.mirror import host_mirror
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.model.target import DebianSuite, Format, RpmDistribution, RpmRepository, Target
from conveyor.ports import Changes, PackageManager, Trunk
from tests.support.published import need
from tests.support.roots import UID, need_sandbox
from tests.support.workshop import TARGET

CACHE = Path(__file__).parents[2] / ".cache"
ROOTS = CACHE / "test-buildroots"
RPM_DISTRIBUTION = CACHE / "rpm-distribution"
MONTH = 30 * 24 * 3600

DEB_TARGET = replace(TARGET, origin=DebianSuite(suite="trixie", mirror=None, components=("main",)))
RPM_TARGET = replace(
    TARGET,
    name="local-1-x86_64",
    format=Format.RPM,
    architecture="x86_64",
    origin=RpmDistribution(
        repositories=(RpmRepository(name="local", url=f"file://{RPM_DISTRIBUTION.resolve()}", key=None),),
        release="1",
        database="/usr/lib/sysimage/rpm",
    ),
    base_packages=("conveyor-root",),
    dist="local1",
    naming="rdo",
)


class SilentApt(AptManager):
    """An apt that does not tell what it would do, so that all layers are made from scratch."""

    def parse_changes(self, output: str) -> Changes | None:
        del output
        return None


class SilentDnf(DnfManager):
    """A dnf of the same kind."""

    def parse_changes(self, output: str) -> Changes | None:
        del output
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RealRoots:
    """Roots of one target in a data folder of their own.

    Attributes:
        target: the target.
        store: its layers: nothing but the base.
        roots: makes more.
        base: the base.
        data: the data folder.
    """

    target: Target
    store: LayerStore
    roots: Roots
    base: Stack
    data: Path

    def satisfy(self, *requirements: str, trunk: Trunk | None = None) -> tuple[Stack, str]:
        """A stack on the base, and what was logged."""
        log = self.data / "log"
        log.write_text("")
        return self.roots.satisfy(self.target, self.base, requirements, trunk, log), log.read_text()


@contextmanager
def real_roots(target: Target, *, silent: bool = False) -> Iterator[RealRoots]:
    """Roots whose store holds the target's base; all of it is removed at the end."""
    need_sandbox()
    if target.format is Format.DEB:
        need("mmdebstrap", "apt-get", "dpkg")
    else:
        need("dnf", "rpm")
        if not (RPM_DISTRIBUTION / "repodata").is_dir():
            pytest.skip(f"{RPM_DISTRIBUTION} is missing: containers/rpm-distribution/make.py makes it")
    shared = _roots(target, ROOTS, silent=False)
    base = shared.roots.base(target, ROOTS / "log")
    folder = Path(tempfile.mkdtemp(prefix="layers-", dir=CACHE))
    try:
        _link(shared.store.layers / base.layers[0], folder / "buildroots/layers" / base.layers[0])
        made = _roots(target, folder, silent=silent)
        made.store.set_base(base_key(target), base.layers[0], 0.0)
        # Locks and lists are each one's own.
        for package in shared.store.cache(target.name).glob("*.deb"):
            (made.store.cache(target.name) / package.name).hardlink_to(package)
        yield replace(made, base=made.roots.base(target, folder / "log"))
    finally:
        shutil.rmtree(folder)


def _roots(target: Target, data: Path, *, silent: bool) -> RealRoots:
    jobs, store = Jobs(data / "jobs"), LayerStore(data / "buildroots")
    sandbox = Sandbox(jobs=jobs, layers=store.layers, uid=UID, scratch=ScratchKind.AUTO)
    apt, dnf = (SilentApt, SilentDnf) if silent else (AptManager, DnfManager)
    managers: dict[Format, PackageManager] = {Format.DEB: apt(host_mirror), Format.RPM: dnf()}
    roots = Roots(
        store=store, sandbox=sandbox, jobs=jobs, managers=managers, base_max_age=MONTH, now=lambda: float(MONTH)
    )
    return RealRoots(target=target, store=store, roots=roots, base=Stack(layers=(), packages=()), data=data)


def _link(layer: Path, copy: Path) -> None:
    """A layer whose files are hard links; its records are its own."""
    copy.mkdir(parents=True)
    shutil.copytree(layer / "root", copy / "root", symlinks=True, copy_function=os.link)
    (copy / "layer.json").write_text(json.dumps(json.loads((layer / "layer.json").read_text())))
