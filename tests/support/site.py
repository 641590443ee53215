"""A site of its own for each end-to-end test: repos.yaml, packaging, upstreams, a data folder, and the command line."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.support.upstream import GitUpstream, git

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
DISTRIBUTION = ROOT / ".cache/rpm-distribution"
DEB = "debian-13-amd64"
RPM = "local-1-x86_64"
PATIENCE = 120.0  # seconds; a first run makes the buildroots, but not within these
POLL = 0.005
LOG = "builds/*/*/log"
CONTROL_GROUPS = ("conveyor", "memory/conveyor", "pids/conveyor")

TARGETS = {
    DEB: "{format: deb, suite: trixie}",
    RPM: f"""
    format: rpm
    release: "1"
    dist: local1
    naming: rdo
    database: /usr/lib/sysimage/rpm
    base_packages: [conveyor-root]
    build_packages: [rpm-build, redhat-rpm-config]
    repositories: [{{name: local, url: "{DISTRIBUTION}", key: none}}]""",
}

CONTROL = """\
Source: {{ name }}
Section: misc
Priority: optional
Maintainer: {{ maintainer }}
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: {{ name }}
Architecture: all
Description: A greeting
 Says hello.
"""
RULES = """\
#!/usr/bin/make -f
STAGE = debian/{{ name }}
build build-arch build-indep clean binary-arch:
binary: binary-indep
binary-indep:
	mkdir -p $(STAGE)/DEBIAN $(STAGE)/usr/share/{{ name }}
	cp hello.sh $(STAGE)/usr/share/{{ name }}/
	if [ -f debian/postinst ]; then install -m 0755 debian/postinst $(STAGE)/DEBIAN/; fi
	dpkg-gencontrol -p{{ name }} -P$(STAGE)
	find $(STAGE) -newermt @$(SOURCE_DATE_EPOCH) -exec touch --no-dereference --date=@$(SOURCE_DATE_EPOCH) {} +
	dpkg-deb --root-owner-group -Znone --build $(STAGE) ..
"""
SPEC = """\
Name: {{ name }}
Version: {{ version }}
Release: {{ release }}%{?dist}
Summary: A greeting
License: MIT
URL: https://example.org/{{ name }}
Source0: {{ source_archive }}
BuildArch: noarch

%description
Says hello.

%prep
%autosetup -n {{ source_prefix }}

%build

%install
install -D -p -m 0644 hello.sh %{buildroot}%{_datadir}/{{ name }}/hello.sh

%files
%{_datadir}/{{ name }}

%changelog
{{ changelog_entry }}
"""
PACKAGING = {
    "hello.spec.j2": SPEC,
    "debian/changelog.j2": "{{ changelog_entry }}",
    "debian/control.j2": CONTROL,
    "debian/rules.j2": RULES,
    "debian/source/format": "3.0 (quilt)\n",
}
HELLO: Mapping[str, bytes] = {"hello.sh": b"#!/bin/sh\necho hello\n", "README": b"A greeting.\n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str
    pid: int

    @property
    def json(self) -> dict[str, Any]:
        """Standard output as JSON."""
        document: dict[str, Any] = json.loads(self.out)
        return document


class Site:
    """One site.

    Args:
        folder: empty folder for all of it but the upstreams' names.
        buildroots: shared folder of layers.
        data: the data folder; by default below `folder`.

    Attributes:
        program: the module that is run as `conveyor`.
    """

    program = "conveyor.cli.main"

    def __init__(self, folder: Path, buildroots: Path, data: Path | None = None) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "buildroots").symlink_to(buildroots)
        self.upstream = GitUpstream(folder / "upstream/hello.git")
        self.packages = {"hello": f'{{upstream: "{self.upstream.url}"}}'}
        self.targets = dict(TARGETS)
        self.started: set[int] = set()
        git(folder, "init", "--quiet", "--template=", "--initial-branch=master")
        for path, text in PACKAGING.items():
            self.packaging(path, text)
        self.configure()
        (folder / "conveyor.toml").write_text("[signing]\nunsigned = true\n")
        self.commit_packaging()
        self.upstream.commit("Say hello", files=HELLO)

    def configure(self) -> None:
        """Write repos.yaml out of `targets` and `packages`."""
        lines = [f"defaults: {{targets: [{', '.join(self.targets)}], version_scheme: tag}}", "targets:"]
        lines += [f"  {name}: {entry}" for name, entry in self.targets.items()]
        lines += ["packages:", *(f"  {name}: {entry}" for name, entry in self.packages.items())]
        (self.folder / "repos.yaml").write_text("\n".join(lines) + "\n")

    def packaging(self, path: str, text: str, package: str = "hello") -> None:
        """Write a template."""
        file = self.folder / "specs" / package / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def replace(self, path: str, old: str, new: str) -> None:
        """Change a template of hello."""
        assert old in PACKAGING[path]
        self.packaging(path, PACKAGING[path].replace(old, new))

    def limit(self, target: str, limits: str) -> None:
        """Set a target's limits."""
        entry = TARGETS[target]
        added = f"{entry[:-1]}, limits: {limits}}}" if entry.endswith("}") else f"{entry}\n    limits: {limits}"
        self.targets[target] = added
        self.configure()

    def commit_packaging(self) -> None:
        """Commit what the packaging holds now."""
        git(self.folder, "add", "specs")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message=Change the packaging")

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a command: that of this process, without settings of its own site."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONVEYOR_", "COVERAGE_"))}
        return {**kept, "PYTHONPATH": str(ROOT), "CONVEYOR_DATA_DIR": str(self.data), **(extra or {})}

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        patience: float = PATIENCE,
    ) -> Said:
        """Run `conveyor` to its end, off a terminal."""
        return self.end(self.start(*arguments, env=env, prefix=prefix), patience)

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        log: IO[str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start `conveyor` as the leader of a process group of its own, as a shell does.

        What it says is for `end`, or goes to a log.
        """
        process = subprocess.Popen(
            # A shell that runs the tests in the background has SIGINT ignored in all its children.
            ["/usr/bin/env", "--default-signal=INT", *prefix, sys.executable, "-m", self.program, *arguments],
            cwd=self.folder,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if log is None else log,
            stderr=subprocess.PIPE if log is None else log,
            text=True,
            start_new_session=True,
        )
        self.started.add(process.pid)
        return process

    def end(self, process: subprocess.Popen[str], patience: float = PATIENCE) -> Said:
        """Wait for a command."""
        try:
            out, err = process.communicate(timeout=patience)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said = Said(code=process.returncode, out=out, err=err, pid=process.pid)
        assert "Traceback" not in said.err, said.err
        return said

    def interrupted(self, process: subprocess.Popen[str]) -> Said:
        """Press Ctrl-C: the terminal sends SIGINT to the foreground process group."""
        os.killpg(process.pid, signal.SIGINT)
        return self.end(process)

    def killed(self, process: subprocess.Popen[str]) -> None:
        """End a command as the kernel does for want of memory."""
        process.kill()
        process.communicate()

    def reach(self, process: subprocess.Popen[str], stage: str) -> None:
        """Wait until the build is in a stage."""
        wait_for(lambda: self.stage() == stage or process.poll() is not None, f"stage {stage}")
        assert process.poll() is None, process.communicate()

    def stage(self) -> str | None:
        """The stage that the newest log is in."""
        logs = sorted(self.data.glob(LOG), key=lambda path: tuple(map(int, path.parts[-3:-1])))
        stages = re.findall(r"^== (\w+) ==$", logs[-1].read_text(errors="replace"), re.MULTILINE) if logs else []
        return stages[-1] if stages else None

    def stall(self, stage: str, seconds: float) -> None:
        """Make hello's builds stay in a stage for about so long, as far as the stage allows."""
        match stage:
            case "render":
                # As long as rendering may take: its steps are counted.
                turns = '{% for a in range(90000) %}{% if ("x" * 4000) | upper | length < 0 %}{% endif %}{% endfor %}'
                self.packaging("slow.j2", turns * 3)
            case "base":
                pass  # making it takes long enough
            case "source":
                self.replace("hello.spec.j2", "Name:", f"%global slow %(sleep {seconds})\nName:")
            case "buildroot":
                # Requirements that nobody had before: their answer is not known yet.
                self.replace(
                    "debian/control.j2", "Standards", f"Build-Depends: bash (>> 1.{time.time_ns()})\nStandards"
                )
            case "build":
                self.replace("debian/rules.j2", "binary-indep:\n", f"binary-indep:\n\tsleep {seconds}\n")
                self.replace("hello.spec.j2", "%build\n", f"%build\nsleep {seconds}\n")
            case "check":
                large = "truncate --size=300M $RESULTS/large"
                self.replace("debian/rules.j2", "binary-indep:\n", f"binary-indep:\n\t{large.replace('$', '$$')}\n")
                self.replace("hello.spec.j2", "%build\n", f"%build\n{large}\n")
            case "install":
                self.packaging("debian/postinst", f"#!/bin/sh\nsleep {seconds}\n")
                self.replace("hello.spec.j2", "%files\n", f"%post\nsleep {seconds}\n\n%files\n")
            case _:
                raise AssertionError(stage)

    def build(self, number: int = 1) -> dict[str, Any]:
        """The latest build of a package and target, as `conveyor status` tells it."""
        builds = self.run("status", "--json").json["builds"]
        found: dict[str, Any] = next(build for build in builds if build["id"] == number)
        return found

    @property
    def published(self) -> tuple[str, ...]:
        """All that is in the published tree, but for its folders of targets and their locks."""
        repos = self.data / "repos"
        paths = (path for path in sorted(repos.rglob("*")) if path.name != ".lock" and path.parent != repos)
        return tuple(f"{path.relative_to(repos)} {path.readlink() if path.is_symlink() else ''}" for path in paths)

    def artifacts(self, suffix: str) -> list[Path]:
        """Published files whose names end so."""
        return sorted((self.data / "repos").glob(f"*/pool/*/*/*{suffix}"))

    @property
    def left_behind(self) -> list[str]:
        """Mounts, processes, temporary folders and control groups that no command here should have left."""
        return [*self._processes_and_mounts(), *self._temporary(), *self._groups()]

    def _processes_and_mounts(self) -> Iterator[str]:
        data = str(self.data)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                mounts = (process / "mountinfo").read_text()
            except OSError:
                continue
            below = [line for line in mounts.splitlines() if f"{data}/" in line]
            if int(process.name) != os.getpid() and (f"{data}/" in command or below):
                yield f"process {process.name}: {command}"
            elif below:
                yield f"mounts: {below}"

    def _temporary(self) -> Iterator[str]:
        for pattern in ("jobs/*", "repos/**/.tmp*", "mirrors/*.new", "builds/*/*/archive", "builds/*/*/.archive*"):
            yield from map(str, self.data.glob(pattern))

    def _groups(self) -> Iterator[str]:
        """Control groups of sandboxes, named after the process that made them: `<pid>-<start>-<number>`."""
        for parent in CONTROL_GROUPS:
            for group in Path("/sys/fs/cgroup", parent).glob("*-*-*"):
                if int(group.name.split("-")[0]) in self.started:
                    yield str(group)


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(POLL)


@contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Hold a lock file as another process would."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
