"""mock on the same SRPM, on the repositories that the target has."""

from __future__ import annotations

import grp
import pwd
import shutil
import tempfile
import time
from pathlib import Path

from conveyor.command import run
from conveyor.model.target import RpmDistribution, RpmRepository, Target

SECONDS = 1800
GROUP = "mock"
CONFIG = """\
config_opts['root'] = '{name}'
config_opts['target_arch'] = '{architecture}'
config_opts['legal_host_arches'] = ('{architecture}',)
config_opts['chroot_setup_cmd'] = 'install {packages}'
config_opts['dist'] = '{dist}'
config_opts['macros']['%dist'] = '.{dist}'
config_opts['releasever'] = '{release}'
config_opts['package_manager'] = 'dnf'
config_opts['use_bootstrap'] = False
config_opts['isolation'] = 'simple'
config_opts['basedir'] = '{folder}/roots'
config_opts['cache_topdir'] = '{folder}/cache'
config_opts['dnf.conf'] = \"\"\"
[main]
keepcache=1
reposdir=/dev/null
install_weak_deps=0
gpgcheck=0
assumeyes=1

{repositories}
\"\"\"
"""


def missing() -> str:
    """Why mock cannot be measured against; empty where it can."""
    if not shutil.which("mock"):
        return "mock is not on this machine"
    return "" if caller() else "the group mock has no member that mock could be called by"


def caller() -> str | None:
    """An unprivileged member of the group mock: root may call mock in its name; None without one."""
    try:
        group = grp.getgrnam(GROUP)
    except KeyError:
        return None
    members = [name for name in group.gr_mem if pwd.getpwnam(name).pw_uid != 0]
    return members[0] if members else None


def environment() -> dict[str, str]:
    """The variables with which root calls mock in that member's name, as sudo sets them."""
    name = caller()
    if name is None:
        return {}
    account = pwd.getpwnam(name)
    return {
        "SUDO_UID": str(account.pw_uid),
        "SUDO_GID": str(account.pw_gid),
        "SUDO_USER": name,
    }


def configuration(target: Target, folder: Path, more: tuple[str, ...] = ()) -> str:
    """Mock's configuration file for a target.

    Args:
        target: an RPM target.
        folder: where mock is to keep its roots and caches.
        more: packages that every root is to hold beside the target's.
    """
    if not isinstance(target.origin, RpmDistribution):
        raise TypeError(f"{target.name} is no RPM target")
    return CONFIG.format(
        name=_root(target),
        architecture=target.architecture,
        packages=" ".join((*target.base_packages, *target.build_packages, *more)),
        dist=target.dist,
        release=target.origin.release,
        folder=folder,
        repositories="\n\n".join(_section(repository) for repository in target.origin.repositories),
    )


class Mock:
    """mock for one target.

    Args:
        target: an RPM target.
        folder: keeps its roots and caches.
    """

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._config = folder / f"{_root(target)}.cfg"

    def warm(self, source: tuple[Path, ...]) -> float:
        """Seconds of a build whose root and packages are in mock's caches."""
        if not self._config.exists():
            self.create()
        filled = self._folder / f"filled-{_name(source)}"
        if not filled.exists():
            self.build(source)
            filled.touch()
        return self.build(source)

    def create(self) -> float:
        """Seconds of making the root."""
        self._folder.mkdir(parents=True, exist_ok=True)
        text = configuration(self._target, self._folder)
        unfinished = self._config.with_suffix(".new.cfg")
        unfinished.write_text(text, encoding="utf-8")
        seconds = self._run(unfinished, "--init")
        unfinished.rename(self._config)
        return seconds

    def build(self, source: tuple[Path, ...]) -> float:
        """Seconds of a build, with the caches that are there."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            Path(folder).chmod(0o755)
            results = Path(folder, "results")
            results.mkdir()
            results.chmod(0o777)
            srpm = Path(shutil.copy(_srpm(source), folder))
            return self._run(self._config, "--resultdir", str(results), "--rebuild", str(srpm))

    def _run(self, config: Path, *arguments: str) -> float:
        started = time.monotonic()
        run(["mock", "--root", str(config), *arguments], timeout=SECONDS, env=environment())
        return time.monotonic() - started


def _root(target: Target) -> str:
    """The name of mock's root: one for all targets of a distribution, whatever their builder."""
    return f"{target.dist}-{target.architecture}"


def _section(repository: RpmRepository) -> str:
    return f"[{repository.name}]\nname={repository.name}\nbaseurl={repository.url}"


def _srpm(source: tuple[Path, ...]) -> Path:
    return next(path for path in source if path.name.endswith(".src.rpm"))


def _name(source: tuple[Path, ...]) -> str:
    return _srpm(source).name.rsplit("-", 2)[0]
