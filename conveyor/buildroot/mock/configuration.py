"""What mock is told: the configuration of a target's root, and command lines. Pure: nothing is run or written here.

A configuration says nothing of a commit, so the roots that mock keeps stay right from build to build. See
https://rpm-software-management.github.io/mock/configuration and mock(1).
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor.buildroot.tools.keeper import Layout
from conveyor.model.target import RpmDistribution, Target

PLUGINS = Path(__file__).with_name("plugins")
INSTALLER = PLUGINS / "install.py"
TRUNK = "trunk"
CONFIGURATION = "root.cfg"
# What the format's own scripts tell rpmbuild: the same package is to come out whatever builds it.
MACROS = {
    "%_buildhost": "conveyor",
    "%source_date_epoch_from_changelog": "0",
    "%use_source_date_epoch_as_buildtime": "1",
    "%clamp_mtime_to_source_date_epoch": "1",
    "%build_mtime_policy": "clamp_to_source_date_epoch",
}
DAY = 24 * 3600
LAYOUT = Layout(bases="roots/*", downloads=("*-build-*", "*-base-*"))
# What our script ends with when another process makes the root.
BUSY = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Folders as mock sees them.

    Attributes:
        scratch: empty when mock starts, the same path each time.
        cache: lasts; shared by all roots of the target.
    """

    scratch: Path
    cache: Path

    @property
    def configuration(self) -> Path:
        """The configuration's file."""
        return self.scratch / "input" / CONFIGURATION

    @property
    def base(self) -> Path:
        """Where roots are made."""
        return self.scratch / "base"

    @property
    def trunk(self) -> Path:
        """The repository of earlier builds: the path is the same whatever snapshot it is."""
        return self.scratch / "input/trunk"

    def root_cache(self, name: str) -> Path:
        """Folder of what is kept of the root of that name."""
        return self.cache / "roots" / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root as mock is to make it.

    Attributes:
        name: differs from that of any other configuration.
        text: the configuration.
    """

    name: str
    text: str


def buildroot(target: Target, repositories: str, trunk: str, places: Places, max_age: float) -> Root:
    """What every build of the target starts from.

    Args:
        target: the target.
        repositories: the target's repositories, in dnf's notation.
        trunk: the repository of earlier builds, in the same.
        places: where mock finds and keeps things.
        max_age: seconds after which the root is made anew.
    """
    packages = None if target.mock.config else (*target.base_packages, *target.build_packages)
    return _root("build", target, packages, repositories, trunk, places, max_age)


def base_root(target: Target, repositories: str, trunk: str, places: Places, max_age: float) -> Root:
    """The smallest root, that packages are installed in to see whether they can be."""
    return _root("base", target, target.base_packages, repositories, trunk, places, max_age)


def _root(
    kind: str,
    target: Target,
    packages: Sequence[str] | None,
    repositories: str,
    trunk: str,
    places: Places,
    max_age: float,
) -> Root:
    body = "".join(
        (
            _origin(target, repositories),
            _options({"chroot_setup_cmd": ("install", *packages)} if packages else {}),
            _trunk(trunk, places),
            _common(target, places, max_age),
        )
    )
    name = f"{target.name}-{kind}-{hashlib.sha256(body.encode()).hexdigest()[:16]}"
    kept = f"config_opts['plugin_conf']['root_cache_opts']['dir'] = {str(places.scratch / 'root_cache')!r}\n"
    return Root(name=name, text=f"{body}{kept}{_options({'root': name})}")


def _origin(target: Target, repositories: str) -> str:
    """Where packages come from: a configuration of the host, or the target's repositories."""
    config = target.mock.config
    if config:
        return f"include({(config if config.startswith('/') else f'{config}.cfg')!r})\n"
    main = {
        "reposdir": "/dev/null",
        "keepcache": "1",
        "install_weak_deps": "0",
        "plugins": "1",
        "best": "1",
        "assumeyes": "1",
        "skip_if_unavailable": "0",
        "module_platform_id": f"platform:{target.dist}",
        # dnf 4.19 and newer would not see that a package provides a file, unless it is named on the command line.
        "optional_metadata_types": "comps,filelists",
    }
    lines = "".join(f"{key}={value}\n" for key, value in main.items())
    return _options(
        {
            "target_arch": target.architecture,
            "legal_host_arches": (target.architecture,),
            "releasever": _distribution(target).release,
            "use_bootstrap_image": False,
            "dnf.conf": f"\n[main]\n{lines}\n{repositories}\n",
        }
    )


def _trunk(trunk: str, places: Places) -> str:
    """Add the repository of earlier builds, which the command line switches on when there is one.

    The pool is mounted in it. A package manager in a root of its own sees only what mock knows as a repository.
    """
    pool = f"[{TRUNK}-pool]\nname={TRUNK}-pool\nbaseurl={places.trunk.as_uri()}/pool\nenabled=0\n"
    text = f"\n{trunk}enabled=0\n{pool}"
    return (
        "conf = 'dnf.conf' if 'dnf.conf' in config_opts else 'yum.conf'\n"
        f"config_opts[conf] = config_opts[conf] + {text!r}\n"
    )


def _common(target: Target, places: Places, max_age: float) -> str:
    options: dict[str, object] = {
        "basedir": str(places.base),
        "rootdir": "{{basedir}}/{{root}}/root",
        "resultdir": str(places.scratch / "results"),
        "cache_topdir": str(places.cache),
        # What runs goes to the log as it comes.
        "print_main_output": True,
        "rpmbuild_networking": False,
        # They are the host's, and everybody in the root could read and write what is in them.
        "dev_loop_count": 0,
        "use_host_resolv": False,
        # The age of the kept root says when it is renewed.
        "update_before_build": False,
    }
    if target.mock.package_manager:
        options["package_manager"] = target.mock.package_manager
    macros = {"%dist": f".{target.dist}", **MACROS}
    plugins: dict[str, object] = {
        "hw_info_enable": False,
        "package_state_enable": False,
        "conveyor_network_enable": True,
    }
    root_cache: dict[str, object] = {"max_age_days": max_age / DAY, "compress_program": "", "extension": ""}
    return (
        _options(options)
        + _options(macros, "config_opts['macros']")
        + _options(plugins, "config_opts['plugin_conf']")
        + _options(root_cache, "config_opts['plugin_conf']['root_cache_opts']")
        + "config_opts['plugin_conf']['conveyor_network_opts'] = "
        "{'others': config_opts['plugins'], 'others_folder': config_opts['plugin_dir']}\n"
        + _options({"plugins": ["conveyor_network"], "plugin_dir": str(PLUGINS)})
    )


def _options(options: Mapping[str, object], into: str = "config_opts") -> str:
    return "".join(f"{into}[{key!r}] = {value!r}\n" for key, value in options.items())


def _distribution(target: Target) -> RpmDistribution:
    if not isinstance(target.origin, RpmDistribution):
        raise TypeError(f"{target.name} is no RPM target")
    return target.origin


def init_arguments(target: Target, places: Places, unique: str) -> tuple[str, ...]:
    """Make a root, and keep it for those to come."""
    return (*_arguments(target, places, unique), "--init")


def source_arguments(
    target: Target, places: Places, unique: str, *, spec: Path, sources: Path, epoch: int
) -> tuple[str, ...]:
    """Make a source package of a spec and the folder of its sources."""
    mode = ("--buildsrpm", f"--spec={spec}", f"--sources={sources}")
    return (*_arguments(target, places, unique), _rpmbuild(epoch), *mode)


def build_arguments(
    target: Target, places: Places, unique: str, *, source: Path, epoch: int, trunk: bool, keep: bool
) -> tuple[str, ...]:
    """Install the build dependencies of a source package, and build it."""
    kept = ("--no-cleanup-after",) if keep else ()
    return (
        *_arguments(target, places, unique),
        *_trunk_option(trunk),
        _rpmbuild(epoch),
        *kept,
        "--rebuild",
        str(source),
    )


def install_arguments(
    target: Target, places: Places, unique: str, *, requirements: Sequence[str], trunk: bool
) -> tuple[str, ...]:
    """Make a root that satisfies requirements."""
    mode = ("--install", *requirements) if requirements else ("--init",)
    return (*_arguments(target, places, unique), *_trunk_option(trunk), *mode)


def shell_arguments(target: Target, places: Places, unique: str, argv: Sequence[str]) -> tuple[str, ...]:
    """Run a command as the builds' user in a root that was kept."""
    return (*_arguments(target, places, unique), "--quiet", "--unpriv", "--shell", "--", shlex.join(argv))


def visit_arguments(target: Target, places: Places, unique: str, argv: Sequence[str]) -> tuple[str, ...]:
    """Make a root from the kept one; the command that is then run in it as root comes first."""
    return (shlex.join(argv), *_arguments(target, places, unique), "--quiet", "--init")


def _arguments(target: Target, places: Places, unique: str) -> tuple[str, ...]:
    bootstrap = "--bootstrap-chroot" if target.mock.bootstrap else "--no-bootstrap-chroot"
    isolation = f"--isolation={target.mock.isolation}"
    return (f"--root={places.configuration}", f"--uniqueext={unique}", isolation, bootstrap)


def _rpmbuild(epoch: int) -> str:
    """The only thing that a commit changes: not part of the configuration, whose roots are kept."""
    return f"--config-opts=rpmbuild_command=env SOURCE_DATE_EPOCH={epoch} /usr/bin/rpmbuild"


def _trunk_option(trunk: bool) -> tuple[str, ...]:
    return (f"--enablerepo={TRUNK}",) if trunk else ()
