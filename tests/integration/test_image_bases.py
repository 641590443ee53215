"""Bases out of images: made by podman, in its storage or in an archive."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conveyor.buildroot.isolation.sandbox import Call, Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.overlay.images import Images
from conveyor.buildroot.overlay.layers import LayerStore, Stack
from conveyor.buildroot.overlay.roots import Roots
from conveyor.buildroot.tools.containerhealth import look_at_base
from conveyor.errors import BuildDependencyMissing, UserError
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.model.target import DebianSuite, Format, RpmDistribution, Target
from conveyor.ports import PackageManager
from tests.support.containers import debian_root, imported
from tests.support.published import make_deb, make_rpms, need
from tests.support.real_roots import MONTH, RPM_TARGET
from tests.support.roots import LIMITS, UID, need_sandbox
from tests.support.workshop import TARGET

pytestmark = pytest.mark.integration

DEB = replace(TARGET, origin=DebianSuite(suite="trixie", mirror="http://mirror.invalid/debian", components=("main",)))
RPM = replace(RPM_TARGET, origin=RpmDistribution(repositories=(), release="1", database="/usr/lib/sysimage/rpm"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Roots with a data folder of their own."""

    roots: Roots
    store: LayerStore
    sandbox: Sandbox
    data: Path

    @property
    def log(self) -> Path:
        return self.data / "log"

    def base(self, target: Target) -> tuple[Stack, Path]:
        """The target's base, and its folder."""
        base = self.roots.base(target, self.log)
        return base, self.store.layers / base.layers[0] / "root"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    need_sandbox()
    need("podman", "skopeo", "umoci")
    data = tmp_path / "data"
    jobs, store = Jobs(data / "jobs"), LayerStore(data / "buildroots")
    sandbox = Sandbox(jobs=jobs, layers=store.layers, uid=UID, scratch=ScratchKind.AUTO)
    managers: dict[Format, PackageManager] = {
        Format.DEB: AptManager(lambda: "http://mirror.invalid"),
        Format.RPM: DnfManager(),
    }
    roots = Roots(
        store=store,
        sandbox=sandbox,
        jobs=jobs,
        managers=managers,
        base_max_age=MONTH,
        base_images=Images(clock=_Ticks(100.0)),
    )
    return Place(roots=roots, store=store, sandbox=sandbox, data=data)


class _Ticks:
    """A clock that is far ahead each time, so that no image is taken for known."""

    def __init__(self, step: float) -> None:
        self._now, self._step = 0.0, step

    def __call__(self) -> float:
        self._now += self._step
        return self._now


def remove_image(image: str) -> None:
    subprocess.run(["podman", "rmi", "--force", image], check=True, capture_output=True)


def names(stack: Stack) -> set[str]:
    return {package.name for package in stack.packages}


class TestDebian:
    """An image of Debian whose one repository lies in it: no mirror is reached."""

    @pytest.fixture
    def target(self, place: Place, tmp_path: Path) -> Target:
        del place
        repository, sources = tmp_path / "extra/srv/repository", tmp_path / "extra/etc/apt/sources.list.d"
        for folder in (repository, sources):
            folder.mkdir(parents=True)
        deb, _ = make_deb(tmp_path, "greeting", "1.0")
        shutil.copy(deb, repository)
        packages = subprocess.run(["dpkg-scanpackages", "."], cwd=repository, capture_output=True, check=True)
        (repository / "Packages").write_bytes(packages.stdout)
        text = "Types: deb\nURIs: copy:/srv/repository\nSuites: ./\nTrusted: yes\n"
        (sources / "image.sources").write_text(text)
        added = ("-C", str(tmp_path / "extra"), "./srv/repository", "./etc/apt/sources.list.d/image.sources")
        words = ("--exclude=./etc/apt/sources.list", "-C", str(debian_root()), ".", *added)
        # It takes a while to make, and is kept.
        image = imported("conveyor-test-base", f"debian-{debian_root().parent.name}", *words)
        return replace(DEB, base_image=f"containers-storage:{image}")

    def test_what_it_holds_and_its_own_repositories_satisfy_requirements(self, place: Place, target: Target) -> None:
        base, root = place.base(target)
        assert {"dpkg", "apt"} <= names(base)
        assert place.roots.satisfy(target, base, ["dpkg (>= 1)"], None, place.log).packages == base.packages
        stack = place.roots.satisfy(target, base, ["greeting"], None, place.log)
        assert names(stack) - names(base) == {"greeting"}
        with pytest.raises(BuildDependencyMissing, match="cannot be satisfied") as caught:
            place.roots.satisfy(target, base, ["libdoesnotexist"], None, place.log)
        assert "libdoesnotexist" in caught.value.cause
        assert not any(stat.S_ISCHR(path.lstat().st_mode) for path in (root / "dev").iterdir())
        assert (root / "usr/bin/passwd").stat().st_mode & 0o7777 == (
            debian_root() / "usr/bin/passwd"
        ).stat().st_mode & 0o7777
        call = Call(argv=("/usr/bin/dpkg", "--version"), layers=stack.layers, limits=LIMITS)
        assert place.sandbox.run(call).exit_code == 0


class TestRpm:
    """An image with an RPM database that holds one package, for a target without repositories."""

    @pytest.fixture
    def target(self, place: Place, tmp_path: Path) -> Iterator[Target]:
        del place
        need("dnf", "rpm")
        (rpm, _), _ = make_rpms(tmp_path, "greeting", "1.0")
        root = tmp_path / "root"
        root.mkdir()
        words = ("--define", "_dbpath /usr/lib/sysimage/rpm", "--define", "__transaction_unshare %{nil}")
        subprocess.run(["rpm", "--root", root, *words, "--nodeps", "--install", rpm], check=True, capture_output=True)
        image = imported("conveyor-test-base", f"rpm-{os.getpid()}", "-C", str(root), ".")
        yield replace(RPM, base_image=f"containers-storage:{image}", base_packages=())
        remove_image(image)

    def test_what_it_holds_satisfies_requirements(self, place: Place, target: Target) -> None:
        assert look_at_base(Images(), "x", target.base_image or "").good
        base, root = place.base(target)
        assert names(base) == {"greeting"}
        assert (root / "usr/share/greeting/greeting").read_text() == "1.0\n"
        assert place.roots.satisfy(target, base, ["greeting"], None, place.log).packages == base.packages
        with pytest.raises(BuildDependencyMissing) as caught:
            place.roots.satisfy(target, base, ["libdoesnotexist"], None, place.log)
        assert "libdoesnotexist" in caught.value.cause

    def test_an_image_without_packages_is_told(self, place: Place, target: Target) -> None:
        elsewhere = RpmDistribution(repositories=(), release="1", database="/var/lib/rpm")
        with pytest.raises(UserError, match="holds no rpm packages") as caught:
            place.base(replace(target, origin=elsewhere))
        assert "'database'" in caught.value.hint

    def test_an_archive_of_it_is_the_same_base(self, place: Place, target: Target, tmp_path: Path) -> None:
        assert target.base_image is not None
        base, _ = place.base(target)
        for transport, name in (
            ("oci-archive", "a.tar:tag"),
            ("docker-archive", "b.tar:x/y:1"),
            ("oci", "c"),
            ("dir", "d"),
        ):
            copy = f"{transport}:{tmp_path / name}"
            subprocess.run(["skopeo", "copy", "--quiet", target.base_image, copy], check=True, capture_output=True)
            assert place.base(replace(target, base_image=copy))[0] == base

    def test_a_new_image_of_that_name_makes_a_new_base(self, place: Place, target: Target, tmp_path: Path) -> None:
        assert target.base_image is not None
        first, _ = place.base(target)
        image = target.base_image.removeprefix("containers-storage:")
        remove_image(image)
        (tmp_path / "root/new").write_text("new\n")
        imported(*image.removeprefix("localhost/").split(":"), "-C", str(tmp_path / "root"), ".")
        second, root = place.base(target)
        assert second.layers != first.layers
        assert second.packages == first.packages
        assert (root / "new").exists()


class TestMissing:
    @pytest.mark.parametrize(
        "image", ["containers-storage:localhost/no-such-image:1", "oci-archive:/no/such.tar", "dir:/no"]
    )
    def test_an_image_that_is_not_there_is_the_users_to_make(self, place: Place, image: str) -> None:
        assert not look_at_base(Images(), "debian", image).good
        with pytest.raises(UserError, match="cannot be read") as caught:
            place.base(replace(DEB, base_image=image))
        assert "base_image" in caught.value.hint
        assert "level=" not in caught.value.cause
        assert list((place.data / "jobs").glob("*")) == []
