"""DLRN with mock, on the same upstream and the packaging as it was rendered."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bench import mock
from conveyor.command import run
from conveyor.errors import ConveyorError
from conveyor.model.target import Target

RELEASE = "DLRN==0.26.1"
# It uses pkg_resources, which later ones do not have.
SETUPTOOLS = "setuptools<80"
SYSTEM_PYTHON = "/usr/bin/python3"
CHILD = Path(__file__).with_name("child.py")
SECONDS = 1800
PACKAGE = "python-package"
WHERE_IT_EXPECTS_MOCK = "/usr/bin/mock"
CALLERS_OF_MOCK = (
    "share/dlrn/scripts/*.sh",
    "share/dlrn/scripts/common-functions",
    "lib/*/*-packages/dlrn/drivers/mockdriver.py",
)
# DLRN fills these in.
VERSION_LINES = re.compile(r"^((?:Version|Release): *).*$", re.MULTILINE)
IDENTITY = {
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
}
INFO = """\
releases:
- name: bench
  branch: master
  repos: [{{name: bench}}]
package-default:
  maintainers: [bench@example.org]
packages:
- name: {package}
  project: {package}
  upstream: {upstream}
  master-distgit: {distgit}
"""
# Files of the packages are not installed after the build: ours does not count that, either.
SETTINGS = """\
[DEFAULT]
datadir={data}
scriptsdir={scripts}
configdir={folder}
baseurl=file://{data}/repos
distro=master
source=master
target={target}
smtpserver=
reponame=delorean
database_connection=sqlite:///{folder}/commits.sqlite
pkginfo_driver=dlrn.drivers.rdoinfo.RdoInfoDriver
build_driver=dlrn.drivers.mockdriver.MockBuildDriver
workers=1

[rdoinfo_driver]
info_files=rdo.yml

[mockbuild_driver]
install_after_build=0
"""
# Programs that it calls, as it needs them here.
PROGRAMS = {
    # rpmdevtools has it. All sources are there already, so there is nothing to fetch.
    "spectool": "#!/bin/sh\nexit 0\n",
    # mock writes into its temporary folder, and runs as another user than DLRN does.
    "mktemp": '#!/bin/sh\nmade=$(/usr/bin/mktemp "$@") && chmod a+rwx "$made" && echo "$made"\n',
}


def distgit_spec(spec: str, sdist: str) -> str:
    """A spec as DLRN takes it: the version in one macro that it sets itself.

    Args:
        spec: as our build rendered it.
        sdist: how setuptools names the source distribution, without the version.
    """
    head = spec.partition("%changelog")[0] + "%changelog\n"
    macros = dict(line.split()[1:3] for line in head.splitlines() if line.startswith("%global "))
    kept = [line for line in head.splitlines(keepends=True) if not line.startswith("%global ")]
    text = VERSION_LINES.sub(r"\1XXX", "".join(kept)).replace(macros["dlrn_nvr"], f"{sdist}-%{{upstream_version}}")
    return text.replace(macros["upstream_version"], "%{upstream_version}")


def installed(folder: Path) -> Path:
    """The Python of a virtual environment with DLRN, made in a folder if it is not there; it calls the host's mock."""
    venv, marker = folder / "venv", folder / "installed"
    if not marker.exists():
        run([SYSTEM_PYTHON, "-m", "venv", "--system-site-packages", str(venv)], timeout=SECONDS)
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        argv = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", RELEASE, SETUPTOOLS]
        run(argv, timeout=SECONDS, env=pip)
        for pattern in CALLERS_OF_MOCK:
            for path in venv.glob(pattern):
                text = path.read_text(encoding="utf-8")
                path.write_text(text.replace(WHERE_IT_EXPECTS_MOCK, str(shutil.which("mock"))), encoding="utf-8")
        marker.touch()
    return venv / "bin/python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run of DLRN took.

    Attributes:
        seconds: wall time.
        peak: MiB that its own process had resident at most.
    """

    seconds: float
    peak: float


class Dlrn:
    """DLRN for one package and target, in a virtual environment of its own.

    Args:
        target: an RPM target.
        folder: keeps it, its data, and mock's roots and caches.
        upstream: the package's upstream repository.
        sdist: how setuptools names its source distribution, without the version.
    """

    def __init__(self, target: Target, folder: Path, upstream: Path, sdist: str) -> None:
        self._target = target
        self._folder = folder
        self._upstream = upstream
        self._sdist = sdist
        self._venv = folder / "venv"
        self._data = folder / "data"
        self._distgit = folder / "distgit"

    @property
    def is_warm(self) -> bool:
        """Whether it has built before."""
        return (self._data / "repos/current").exists()

    def build(self, spec: str) -> Figures:
        """Build and publish the newest commit.

        Args:
            spec: the packaging, as our build rendered it.
        """
        installed(self._folder)
        self._configure()
        self._write_distgit(distgit_spec(spec, self._sdist))
        current = self._data / "repos/current"
        before = current.readlink() if current.is_symlink() else None
        figures = self._run()
        if not current.is_symlink() or current.readlink() == before:
            raise ConveyorError("DLRN ended without a build", hint=f"see its data in {self._data}")
        return figures

    def _run(self) -> Figures:
        peak = self._folder / "peak"
        python = str(self._venv / "bin/python")
        options = ("--config-file", str(self._folder / "projects.ini"), "--info-repo", str(self._folder / "info"))
        argv = [python, str(CHILD), str(peak), "dlrn.shell:main", *options, "--head-only", "--package-name", PACKAGE]
        path = os.pathsep.join([str(self._folder / "bin"), str(self._venv / "bin"), os.environ["PATH"]])
        started = time.monotonic()
        # mock writes into DLRN's folders as another user.
        run(
            ["sh", "-c", 'umask 0 && exec "$@"', "dlrn", *argv],
            timeout=SECONDS,
            cwd=self._folder,
            env={**mock.environment(), "PATH": path},
        )
        return Figures(seconds=time.monotonic() - started, peak=int(peak.read_text()) / 1024)

    def _configure(self) -> None:
        for name in ("info", "data", "bin"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        settings = SETTINGS.format(
            data=self._data,
            scripts=self._venv / "share/dlrn/scripts",
            folder=self._folder,
            target=self._target.name,
        )
        info = INFO.format(package=PACKAGE, upstream=self._upstream.as_uri(), distgit=self._distgit.as_uri())
        (self._folder / "projects.ini").write_text(settings, encoding="utf-8")
        (self._folder / "info/rdo.yml").write_text(info, encoding="utf-8")
        config = mock.configuration(self._target, self._folder)
        (self._folder / f"{self._target.name}.cfg").write_text(config, encoding="utf-8")
        for name, script in PROGRAMS.items():
            program = self._folder / "bin" / name
            program.write_text(script, encoding="utf-8")
            program.chmod(0o755)

    def _write_distgit(self, spec: str) -> None:
        """Commit the packaging, where it has changed."""
        file = self._distgit / "package.spec"
        if file.exists() and file.read_text(encoding="utf-8") == spec:
            return
        if not self._distgit.exists():
            run(["git", "init", "--quiet", "--initial-branch", "master", str(self._distgit)], timeout=SECONDS)
        file.write_text(spec, encoding="utf-8")
        git = ["git", "-C", str(self._distgit)]
        run([*git, "add", file.name], timeout=SECONDS)
        run([*git, "commit", "--quiet", "--message", "Update"], timeout=SECONDS, env=IDENTITY)
