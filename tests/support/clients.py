"""Real package managers, each with folders or a root of its own: nothing of the host's own packages is touched."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from conveyor.errors import ConveyorError
from conveyor.formats.deb.mirror import host_mirror
from tests.support.published import need

ROOTS = Path(__file__).parents[2] / ".cache/test-buildroots-clients"
PATIENCE = 120
BOOTSTRAP = 600
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "TERM": "dumb"}
# In namespaces of their own: no mount and no process is left, whatever happens. Package managers write to the upper
# folder alone.
ENTER = """\
set -e
mount -t overlay overlay -o lowerdir="$1",upperdir="$2/upper",workdir="$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
root="$2/root"
shift 2
exec chroot "$root" "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a client said.

    Attributes:
        code: its exit code.
        text: all that it said.
    """

    code: int
    text: str

    def good(self) -> str:
        """What it said; a failure of the test where it did not succeed."""
        assert self.code == 0, self.text
        return self.text

    def bad(self) -> str:
        """What it said; a failure of the test where it did succeed."""
        assert self.code != 0, self.text
        return self.text


def call(argv: Sequence[str | Path], cwd: Path, **environment: str) -> Said:
    """Run a tool with a small environment."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        env={**ENVIRONMENT, "HOME": str(cwd), **environment},
    )
    return Said(code=done.returncode, text=done.stdout)


class Place:
    """Where clients run: this machine's programs.

    Args:
        folder: empty folder for what they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def path(self, inside: str) -> Path:
        """A file or folder of the place, as this machine sees it."""
        return self.folder / inside.lstrip("/")

    def name(self, inside: str) -> str:
        """The same, as the client sees it."""
        return str(self.path(inside))

    def write(self, inside: str, content: str | bytes) -> str:
        """Write a file; returns what the client calls it."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.name(inside)

    def need(self, program: str) -> None:
        """Skip the test where a program is missing."""
        need(program)

    def __call__(self, *argv: str, **environment: str) -> Said:
        """Run a program."""
        return call(argv, self.folder, **environment)


class Root(Place):
    """A root of another distribution, with a throw-away layer above it.

    Args:
        folder: empty folder for what they write.
        lower: the root.
    """

    def __init__(self, folder: Path, lower: Path) -> None:
        super().__init__(folder)
        self._lower = lower
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()

    def path(self, inside: str) -> Path:
        """A file of the layer; what only the root below has is not seen."""
        return self.folder / "upper" / inside.lstrip("/")

    def name(self, inside: str) -> str:
        """Its path in the root."""
        return f"/{inside.lstrip('/')}"

    def need(self, program: str) -> None:
        """Skip the test where the root lacks it."""
        if not any((self._lower / folder / program).exists() for folder in ("usr/bin", "usr/sbin")):
            pytest.skip(f"not in {self._lower.name}: {program}")

    def __call__(self, *argv: str, **environment: str) -> Said:
        """Run a program in it."""
        namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
        arguments = (ENTER, "sh", str(self._lower), str(self.folder), *argv)
        return call([*namespaces, "sh", "-c", *arguments], self.folder, HOME="/root", **environment)


def bootstrapped(suite: str, packages: Sequence[str]) -> Path:
    """A root of a Debian suite with some packages, made once; skips the test where it cannot be."""
    if os.geteuid() != 0:
        pytest.skip("only root can make and mount roots")
    need("mmdebstrap", "unshare")
    ROOTS.mkdir(parents=True, exist_ok=True)
    root = ROOTS / suite
    with (ROOTS / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = root / "etc/conveyor-test"
        if wanted.exists() and wanted.read_text() == " ".join(packages):
            return root
        shutil.rmtree(root, ignore_errors=True)
        aside = ROOTS / f"{suite}.new"
        shutil.rmtree(aside, ignore_errors=True)
        _bootstrap(suite, packages, aside)
        (aside / "etc/conveyor-test").write_text(" ".join(packages))
        aside.rename(root)
    return root


def _bootstrap(suite: str, packages: Sequence[str], root: Path) -> None:
    try:
        mirror = host_mirror()
    except ConveyorError as error:
        pytest.skip(f"no root of {suite}: {error.summary}")
    # A suite that is still changed has an end date, and mirrors that keep a day for good have it behind them.
    options = ('--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Check-Valid-Until "false"')
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory", *options]
    argv += [f"--include={','.join(packages)}", suite, str(root), mirror]
    made = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=BOOTSTRAP)
    if made.returncode != 0:
        shutil.rmtree(root, ignore_errors=True)
        pytest.skip(f"no root of {suite}: {made.stderr.strip()[-300:]}")


class Apt:
    """apt-get, with lists, caches and sources of its own.

    Args:
        place: where it runs.
        own: whether it has folders of its own; otherwise it is the place's own apt, which knows no other source.
    """

    def __init__(self, place: Place, *, own: bool = True) -> None:
        place.need("apt-get")
        self.place = place
        self._etc = "apt/etc" if own else "etc/apt"
        self.environment = {"DEBIAN_FRONTEND": "noninteractive"}
        if own:
            self._make_own()
        else:
            place.write("etc/apt/sources.list", "")
            place.write("etc/apt/apt.conf.d/99tests", 'Acquire::Retries "0";\nAPT::Sandbox::User "";\n')

    def _make_own(self) -> None:
        place = self.place
        for folder in ("etc/sources.list.d", "etc/preferences.d", "etc/apt.conf.d", "state/lists/partial"):
            place.path(f"apt/{folder}").mkdir(parents=True)
        place.path("apt/cache/archives/partial").mkdir(parents=True)
        place.path("apt/tmp").mkdir()
        place.write("apt/state/status", "")
        options = {
            "Dir::Etc": place.name("apt/etc"),
            "Dir::State": place.name("apt/state"),
            "Dir::State::status": place.name("apt/state/status"),
            "Dir::Cache": place.name("apt/cache"),
            "Acquire::Languages": "none",
            "Acquire::Retries": "0",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "",
        }
        lines = (f'{name} "{value}";\n' for name, value in options.items())
        self.environment["APT_CONFIG"] = place.write("apt/apt.conf", "".join(lines))
        # It leaves the keys of a .sources file behind when it does not accept a signature.
        self.environment["TMPDIR"] = place.name("apt/tmp")

    @property
    def version(self) -> str:
        """Its version."""
        return " ".join(self("--version").good().split()[:2])

    def source(self, text: str) -> None:
        """Use a repository: the text of its .sources file."""
        self.place.write(f"{self._etc}/sources.list.d/conveyor.sources", text)

    def update(self) -> Said:
        """Fetch the lists; a warning is a failure, too."""
        return self("update", "--error-on=any")

    def forget(self) -> None:
        """Throw the lists away."""
        shutil.rmtree(self.place.path("apt/state/lists"))
        self.place.path("apt/state/lists/partial").mkdir(parents=True)

    def candidate(self, package: str) -> str:
        """The version of a package that would be installed."""
        shown = self.place("apt-cache", "policy", package, **self.environment).good()
        found = re.search(r"Candidate: (\S+)", shown)
        return found.group(1) if found else ""

    def greeting(self, package: str) -> str:
        """What the installed package's file says."""
        return self.place.path(f"usr/share/{package}/greeting").read_text().strip()

    def __call__(self, *arguments: str) -> Said:
        """Run it."""
        return self.place("apt-get", "-q", *arguments, **self.environment)


class _RpmClient:
    """What installs RPMs into a root of its own.

    Args:
        place: where it runs.
        name: the program.
    """

    root = "system"

    def __init__(self, place: Place, name: str) -> None:
        place.need(name)
        self.place = place
        self.name = name
        place.path(self.root).mkdir(parents=True)

    def greeting(self, package: str) -> str:
        """What the installed package's file says."""
        return self.place.path(f"{self.root}/usr/share/{package}/greeting").read_text().strip()

    @property
    def installed(self) -> set[str]:
        """The packages that are installed."""
        return {path.name for path in self.place.path(f"{self.root}/usr/share").glob("*")}


class Dnf(_RpmClient):
    """dnf 4, or 5 where the place has it, with a root, repositories and caches of its own."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, "dnf5" if isinstance(place, Root) else "dnf")
        self.program = self.name
        for folder in ("repos.d", "log", "vars"):
            place.path(f"dnf/{folder}").mkdir(parents=True)
        self._configuration = place.write("dnf/dnf.conf", "[main]\ngpgcheck=1\nretries=1\ninstall_weak_deps=0\n")

    @property
    def version(self) -> str:
        """Its version."""
        first = self.place(self.program, "--version").good().splitlines()[0]
        return f"{self.program} {first.rpartition(' ')[2]}"

    def source(self, text: str) -> None:
        """Use a repository: the text of its .repo file."""
        self.place.write("dnf/repos.d/conveyor.repo", text)

    def makecache(self) -> Said:
        """Fetch the metadata, whatever is there."""
        return self("makecache", "--refresh")

    def install(self, *packages: str) -> None:
        """Install packages."""
        self.try_to_install(*packages).good()

    def try_to_install(self, *packages: str) -> Said:
        """Install packages, if they can be."""
        return self("install", *packages)

    def upgrade(self) -> None:
        """Upgrade all that is installed."""
        self("upgrade", "--refresh").good()

    def __call__(self, *arguments: str, plugins: bool = False) -> Said:
        """Run it."""
        options = {
            "installroot": self.root,
            "setopt=cachedir": "dnf/cache",
            "setopt=logdir": "dnf/log",
            "setopt=persistdir": "dnf/state",
            "setopt=reposdir": "dnf/repos.d",
            "setopt=varsdir": "dnf/vars",
        }
        if self.program == "dnf5":
            options["setopt=system_cachedir"] = "dnf/cache"
        paths = [f"--{name}={self.place.name(path)}" for name, path in options.items()]
        quiet = ["--quiet", "--assumeyes", f"--config={self._configuration}", "--releasever=10"]
        only = [] if plugins or self.program == "dnf5" else ["--noplugins"]
        return self.place(self.program, *quiet, *only, *paths, *arguments)


class Zypper(_RpmClient):
    """zypper, with a root, repositories and caches of its own."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, "zypper")

    @property
    def version(self) -> str:
        """Its version."""
        return self.place("zypper", "--version").good().strip()

    def source(self, text: str) -> None:
        """Use a repository: the text of its .repo file."""
        self.place.write(f"{self.root}/etc/zypp/repos.d/conveyor.repo", text)

    def install(self, *packages: str) -> None:
        """Install packages."""
        self.try_to_install(*packages).good()

    def try_to_install(self, *packages: str) -> Said:
        """Install packages, if they can be."""
        refreshed = self("refresh", "--force")
        return refreshed if refreshed.code != 0 else self("install", *packages)

    def upgrade(self) -> None:
        """Upgrade all that is installed, without what it remembers of mirror lists for ten minutes."""
        self("clean", "--raw-metadata").good()
        self("refresh", "--force").good()
        self("update").good()

    def __call__(self, *arguments: str) -> Said:
        """Run it."""
        general = ("--non-interactive", "--gpg-auto-import-keys", "--root", self.place.name(self.root))
        return self.place("zypper", *general, *arguments, ZYPP_LOCK_TIMEOUT="0")
