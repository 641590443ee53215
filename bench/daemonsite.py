"""A site of small packages with a real daemon: commits are pushed to it, and come out in `current`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.upstream import IDENTITY
from conveyor.command import run
from tests.support.site import DEB, PACKAGING, RPM, TARGETS

PROJECT = Path(__file__).resolve().parent.parent
SECONDS = 120
LOOKED = 0.02  # seconds between two looks into `current`
# The install check is not what is measured here.
UNCHECKED = {
    DEB: TARGETS[DEB].replace("}", ", install_check: false}"),
    RPM: f"{TARGETS[RPM]}\n    install_check: false",
}


@dataclass(slots=True, kw_only=True)
class DaemonSite:
    """One site.

    Attributes:
        folder: all of it; empty at the start.
        names: of the packages.
        targets: what they are built for.
        interval: seconds between two polls.
        pushed: the newest commit of each package, by name.
        pushes: how many there were.
    """

    folder: Path
    names: tuple[str, ...]
    targets: tuple[str, ...] = (RPM,)
    interval: int = 10
    pushed: dict[str, str] = field(default_factory=dict)
    pushes: int = 0

    @property
    def log(self) -> Path:
        """What the daemon said."""
        return self.folder / "log"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVEYOR_")}
        return {**kept, "PYTHONPATH": str(PROJECT), "CONVEYOR_DATA_DIR": str(self.folder / "data")}

    def prepare(self) -> None:
        """Write the site, and give each package its first commit."""
        lines = [f"defaults: {{targets: [{', '.join(self.targets)}], version_scheme: tag}}", "targets:"]
        lines += [f"  {target}: {UNCHECKED[target]}" for target in self.targets]
        lines.append("packages:")
        for name in self.names:
            upstream = self.folder / "upstreams" / name
            upstream.mkdir(parents=True)
            _git(upstream, "init", "--quiet", "--initial-branch=master")
            lines.append(f"  {name}: {{upstream: '{upstream.as_uri()}'}}")
            for path, text in PACKAGING.items():
                file = self.folder / "specs" / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            self.push(name)
        (self.folder / "repos.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        settings = f'[signing]\nunsigned = true\n[polling]\ninterval = "{self.interval}s"\n'
        (self.folder / "conveyor.toml").write_text(settings, encoding="utf-8")

    def push(self, name: str) -> str:
        """A new commit of a package; returns its sha."""
        upstream = self.folder / "upstreams" / name
        self.pushes += 1
        (upstream / "hello.sh").write_text(f"echo hello at {time.time_ns()}\n", encoding="utf-8")
        _git(upstream, "add", "hello.sh")
        _git(upstream, "commit", "--quiet", "--message", f"Say hello for the {self.pushes}th time")
        self.pushed[name] = _git(upstream, "rev-parse", "HEAD").strip()
        return self.pushed[name]

    def missing(self, target: str) -> list[str]:
        """Packages whose newest commit is not in `current` of a target yet."""
        listing = self.folder / "data/repos" / target / "current/versions.csv"
        text = listing.read_text(encoding="utf-8") if listing.exists() else ""
        return [name for name, sha in self.pushed.items() if sha not in text]

    def wait(self, target: str, patience: float) -> bool:
        """Wait until all is there; False where it took too long, in seconds."""
        deadline = time.monotonic() + patience
        while self.missing(target):
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOKED)
        return True

    def command(self, *arguments: str) -> Sequence[str]:
        """The argv of a command of its Conveyor."""
        return [sys.executable, "-m", "conveyor.cli.main", *arguments]

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """A daemon that runs in this block."""
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                self.command("daemon"),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _git(folder: Path, *arguments: str) -> str:
    return run(["git", "-C", str(folder), *arguments], timeout=SECONDS, env=IDENTITY).output
