"""What pbuilder is told: configuration text and command lines. Pure: nothing is run or written here.

See pbuilder(8) and pbuilderrc(5).
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conveyor.buildroot.tools.keeper import Layout
from conveyor.model.target import DebianSuite, Target

USER = "build"
# The same folder as in the overlay builder's roots: it shows in what some builds make.
BUILD_FOLDER = "/build/tree"
SOURCE_FOLDER = "source"
# The same options as in the format's own script, so that the same package comes out.
BUILD_OPTIONS = "--build=binary --no-pre-clean --unsigned-changes --unsigned-buildinfo"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATES_IN_ROOT = "/run/host-certificates.crt"
# What root in the root does without: the ways out of it, and devices. Package managers need none of them.
WITHHELD = ("sys_admin", "sys_chroot", "sys_ptrace", "mknod", "net_admin")
# What pbuilder splits paths at.
SEPARATORS = re.compile(r"[\s:]")
DIGITS = 16
ARCHIVES = "archives"
LAYOUT = Layout(bases="base-*", downloads=(ARCHIVES,))
# What our scripts end with when the base that they were given is gone, and when another process makes it.
GONE = 66
BUSY = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Paths as pbuilder sees them.

    Attributes:
        order: folder of what a run is given.
        out: folder of what comes out of it.
        root: the root that it works in.
        scratch: empty at the start of each run.
        cache: lasts.
    """

    order: Path
    out: Path
    root: Path
    scratch: Path
    cache: Path

    @property
    def configuration(self) -> Path:
        """The configuration's file."""
        return self.order / "pbuilderrc"

    def script(self, name: str) -> str:
        """One of the scripts."""
        return str(self.order / "bin" / name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What differs between runs.

    Attributes:
        places: where things are.
        uid: the user that builds run as.
        binds: what the root sees of the tool's file system: path inside by path outside.
        variables: what the build finds in its environment.
        settings: further settings of pbuilder, by name; a text that is no list is one word.
    """

    places: Places
    uid: int
    binds: Mapping[Path, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


def configuration(told: Configuration) -> str:
    """The configuration file: it leaves nothing to those of the machine."""
    places = told.places
    binds = " ".join(f"{outside}:{inside}" for outside, inside in told.binds.items())
    settings: dict[str, str | Sequence[str]] = {
        "LOGLEVEL": "I",
        "USECOLORS": "no",
        "BUILDPLACE": str(places.root),
        "BUILDDIR": BUILD_FOLDER,
        "BUILDSUBDIR": SOURCE_FOLDER,
        "BUILD_HOME": "/build/home",
        "BUILDRESULT": str(places.scratch / "unused"),
        "BUILDRESULTUID": "0",
        "BUILDRESULTGID": "0",
        "BUILDUSERID": str(told.uid),
        "BUILDUSERNAME": USER,
        "USENETWORK": "no",
        "USECGROUP": "no",
        "USESYSFS": "no",
        # Our own scripts mount it, without what could change the machine.
        "USEPROC": "no",
        # The mounts end with the namespace; a process that keeps one busy would keep pbuilder waiting.
        "IGNORE_UMOUNT": "yes",
        "APTCACHE": "",
        "CCACHEDIR": "",
        "EATMYDATA": "no",
        "HOOKDIR": str(places.order / "hooks"),
        "CONFDIR": str(places.order / "conf"),
        "BINDMOUNTS": binds,
        "CHROOTEXEC": " ".join(chroot_exec(places.root)),
        "SOURCE_ONLY_CHANGES": "no",
        "PKGNAME_LOGFILE": "",
        "DEBBUILDOPTS": BUILD_OPTIONS,
        "ADDITIONAL_BUILDRESULTS": [],
        "OTHERMIRROR": "",
        "APTCONFDIR": "",
        "EXTRAPACKAGES": "",
        "REMOVEPACKAGES": "",
        **told.settings,
    }
    lines = [f"{name}={_quoted(value)}" for name, value in settings.items()]
    lines.append('PBUILDERSATISFYDEPENDSCMD="$PBUILDER_PKGLIBDIR/pbuilder-satisfydepends-apt"')
    bind = f'BINDMOUNTS="$BINDMOUNTS {CERTIFICATES}:{CERTIFICATES_IN_ROOT}"'
    lines.append(f"if [ -e {CERTIFICATES} ]; then {bind}; fi")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in told.variables.items()]
    return "".join(f"{line}\n" for line in lines)


def chroot_exec(root: Path) -> tuple[str, ...]:
    """The command before each command that runs in the root."""
    withheld = ",".join(f"-{name}" for name in WITHHELD)
    return ("chroot", str(root), "setpriv", "--no-new-privs", "--bounding-set", withheld, "--")


def creation(
    suite: DebianSuite, mirror: str, options: Sequence[str], packages: Iterable[str], places: Places
) -> dict[str, str | Sequence[str]]:
    """The settings of `pbuilder create`.

    Args:
        suite: what is installed.
        mirror: from where.
        options: of what bootstraps the root.
        packages: what every build of the target starts with.
        places: where things are.
    """
    return {
        "DISTRIBUTION": suite.suite,
        "MIRRORSITE": mirror,
        "COMPONENTS": " ".join(suite.components),
        "DEBOOTSTRAP": places.script("bootstrap.sh"),
        "DEBOOTSTRAPOPTS": list(options),
        "EXTRAPACKAGES": " ".join(packages),
        "HOOKDIR": "",
        # There is no root yet for a script to mount anything in.
        "USEPROC": "yes",
    }


def build_variables(epoch: str, processors: int) -> dict[str, str]:
    """What the format's own script sets, too."""
    return {"SOURCE_DATE_EPOCH": epoch, "DEB_BUILD_OPTIONS": f"parallel={processors}"}


def base_argv(places: Places, name: str, *, oldest: float, unused: float, wait: bool) -> tuple[str, ...]:
    """Make the base unless there is one that is new enough.

    Args:
        places: where things are.
        name: the base's.
        oldest: what was made before is too old, in seconds since the epoch.
        unused: what was not used since is removed, in the same.
        wait: whether to wait for another process that makes one; if not, the command ends with BUSY.
    """
    times = (str(int(oldest)), str(int(unused)))
    folders = (str(places.order), str(places.root))
    return ("/bin/sh", places.script("base.sh"), str(places.cache), name, *times, "wait" if wait else "leave", *folders)


def build_argv(places: Places, base: str, dsc: str) -> tuple[str, ...]:
    """Build a source package of the order."""
    source = str(places.order / "input" / dsc)
    return (*_unpacking("run.sh", places, f"{base}/base.tar.zst"), "build", *_options(places), source)


def source_argv(places: Places, base: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """Run the order's script, which makes a source package."""
    run = _unpacking("run.sh", places, f"{base}/base.tar.zst")
    return (*run, "execute", *_options(places), "--", places.script("source.sh"), *arguments)


def install_argv(places: Places, base: str, requirements: Sequence[str]) -> tuple[str, ...]:
    """Install the order's packages, and what they need, on the smallest root."""
    return (*_unpacking("install.sh", places, f"{base}/smallest.tar.zst"), *requirements)


def visit_argv(places: Places, base: str, argv: Sequence[str], *, as_root: bool) -> tuple[str, ...]:
    """Run a command in a new root."""
    run = _unpacking("run.sh", places, f"{base}/base.tar.zst")
    return (*run, "execute", *_options(places), "--", places.script("visit.sh"), "root" if as_root else "build", *argv)


def shell_argv(places: Places, argv: Sequence[str]) -> tuple[str, ...]:
    """Run a command in a root that is there."""
    run = ("/bin/sh", places.script("enter.sh"), str(places.order), str(places.root))
    return (*run, "execute", *_options(places), "--", places.script("shell.sh"), *argv)


def environment(places: Places) -> dict[str, str]:
    """The variables of every run: no configuration of the machine or its user is read."""
    return {"HOME": str(places.scratch), "PBUILDER_SYSCONFDIR": str(places.order / "etc")}


def base_name(target: Target) -> str:
    """The name of a target's base: another where anything that it is made of is another."""
    key = repr((target.origin, target.architecture, target.base_packages, target.build_packages))
    return f"base-{hashlib.sha256(key.encode()).hexdigest()[:DIGITS]}"


def listed_files(dsc: bytes) -> tuple[str, ...]:
    """The files that pbuilder would copy for a .dsc: wherever a field of that name begins, by its own reckoning."""
    found, inside = [], False
    for line in dsc.decode("utf-8", "surrogateescape").split("\n"):
        if not line.startswith((" ", "\t")) or not line.strip(" \t"):
            inside = line.startswith("Files:")
        elif inside:
            fields = re.split(r"[ \t]+", line.strip(" \t"))
            found.append(fields[2] if len(fields) > 2 else "")  # noqa: PLR2004
    return tuple(found)


def _unpacking(script: str, places: Places, tarball: str) -> tuple[str, ...]:
    arguments = (str(places.order), str(places.out), str(places.cache / tarball), str(places.root))
    return ("/bin/sh", places.script(script), *arguments)


def _options(places: Places) -> tuple[str, ...]:
    # The root is there, and is left as it is. The configuration says first how much is said.
    return ("--configfile", str(places.configuration), "--no-targz")


def _quoted(value: str | Sequence[str]) -> str:
    return shlex.quote(value) if isinstance(value, str) else f"({' '.join(map(shlex.quote, value))})"
