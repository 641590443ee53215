"""Containers on the test machine, and an image that costs nothing: one static busybox."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from conveyor.buildroot.isolation.sandbox import Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.overlay.layers import LayerStore
from conveyor.buildroot.overlay.roots import Roots
from conveyor.buildroot.tools.containerruntime import Runtimes
from conveyor.buildroot.tools.containers import PREFIX
from conveyor.errors import ConveyorError
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.deb.mirror import host_mirror
from conveyor.model.target import Format
from conveyor.ports import PackageManager
from conveyor.repository.files import exclusive
from tests.support.published import need
from tests.support.real_roots import DEB_TARGET
from tests.support.roots import BUSYBOX, UID, fill_root, need_sandbox

CACHE = Path(__file__).parents[2] / ".cache/test-buildroots"
# Of this process alone, but for caches that take long to fill: all tests of this machine share these.
SITE = f"tests-{os.getpid()}"
SHARED_SITE = "tests"
CONTAINERS = Path(__file__).parents[2] / "containers"
FEDORA = "registry.fedoraproject.org/fedora:latest"
# What a machine that cannot have Fedora's image names instead: one with mock inside, or a base to build one on.
MOCK_IMAGE = "CONVEYOR_TEST_MOCK_IMAGE"
MOCK_BASE = "CONVEYOR_TEST_MOCK_BASE"


@cache
def shared_runtimes(site: str = SITE) -> Runtimes:
    """What runs containers in all tests of this process, so that it is found out once."""
    return Runtimes(jobs=Jobs(CACHE / "jobs"), site=site)


def need_containers() -> str:
    """The name of the image with busybox; skip the test where podman is missing or runs no containers."""
    need_sandbox()
    need("podman", "tar")
    image = busybox_image()
    try:
        shared_runtimes().find(image)
    except ConveyorError as error:
        pytest.skip(f"podman does not work here: {error.summary}")
    return image


@cache
def busybox_image() -> str:
    """Make the image unless podman has it."""
    digest = hashlib.sha256(BUSYBOX.read_bytes()).hexdigest()[:12]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill_root(root)
        (root / "usr/bin").symlink_to("../bin")
        return imported("conveyor-test-busybox", digest, "-C", folder, ".")


def imported(name: str, tag: str, *words: str) -> str:
    """The name of an image with what tar is told to take by `words`, made unless podman has it."""
    image = f"localhost/{name}:{tag}"
    with _in_turn():
        if not has_image(image):
            with subprocess.Popen(["tar", "-c", *words], stdout=subprocess.PIPE) as tar:
                subprocess.run(["podman", "import", "--quiet", "-", image], stdin=tar.stdout, check=True)
            assert tar.returncode == 0
    return image


@contextmanager
def _in_turn() -> Iterator[None]:
    """Tests that run beside each other make an image once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with exclusive(CACHE / "images.lock"):
        yield


@cache
def debian_root() -> Path:
    """The smallest root of Debian 13, which other tests use too; bootstrapped when it is missing."""
    need("mmdebstrap", "apt-get", "dpkg")
    jobs, store = Jobs(CACHE / "jobs"), LayerStore(CACHE / "buildroots")
    sandbox = Sandbox(jobs=jobs, layers=store.layers, uid=UID, scratch=ScratchKind.AUTO)
    managers: dict[Format, PackageManager] = {Format.DEB: AptManager(host_mirror)}
    roots = Roots(store=store, sandbox=sandbox, jobs=jobs, managers=managers, base_max_age=30 * 24 * 3600)
    base = roots.base(DEB_TARGET, CACHE / "log")
    return store.layers / base.layers[0] / "root"


@cache
def pbuilder_image() -> str:
    """The name of the image with pbuilder; made of the smallest root unless podman has it."""
    root = debian_root()
    base = imported("conveyor-test-debian", root.parent.name, "-C", str(root), ".")
    return _built(CONTAINERS / "pbuilder", root.parent.name, base)


@cache
def mock_image() -> str:
    """The name of the image with mock; skip the test where podman has neither it nor a base to build it on."""
    ready = os.environ.get(MOCK_IMAGE)
    if ready:
        if not has_image(ready):
            pytest.skip(f"podman has no image {ready}, which {MOCK_IMAGE} names")
        return ready
    base = os.environ.get(MOCK_BASE) or FEDORA
    if not has_image(base):
        pytest.skip(
            f"podman has no image {base}: 'podman pull' it, or name an image with mock inside in {MOCK_IMAGE}, "
            f"or a base whose dnf finds mock in {MOCK_BASE}"
        )
    return _built(CONTAINERS / "mock", hashlib.sha256(base.encode()).hexdigest()[:12], base)


def _built(folder: Path, tag: str, base: str) -> str:
    """An image of a Containerfile and a base, made unless podman has it."""
    digest = hashlib.sha256((folder / "Containerfile").read_bytes()).hexdigest()[:12]
    image = f"localhost/conveyor-test-{folder.name}:{tag}-{digest}"
    with _in_turn():
        if has_image(image):
            return image
        options = ("--isolation", "chroot", "--network", "host", "--build-arg", f"BASE={base}", "--tag", image)
        subprocess.run(["podman", "build", "--quiet", *options, folder], check=True)
    return image


def has_image(image: str) -> bool:
    """Whether podman has an image of this name."""
    return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


def remove_volumes() -> None:
    """Remove the caches of this process's tests."""
    argv = ["podman", "volume", "ls", "--quiet", "--filter", f"name={PREFIX}{SITE}-"]
    names = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    if names:
        subprocess.run(["podman", "volume", "rm", "--force", *names], check=True, capture_output=True)
