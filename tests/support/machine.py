"""A machine of its own that systemd has booted: a container that sees this one's programs, and keeps nothing."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.disks import mount_memory
from tests.support.published import need

PATIENCE = 60.0
SIZE = "512m"
HALT = signal.SIGRTMIN + 4  # systemd(1): poweroff.target
BOOTED_BY_SYSTEMD = Path("/run/systemd/system")
GROUPS = Path("/sys/fs/cgroup")


class Machine:
    """The machine.

    Args:
        process: of systemd-nspawn.
        log: what it and its systemd say.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def boot(self) -> None:
        """Wait until it is there; the test is skipped where that cannot be."""
        deadline = time.monotonic() + PATIENCE
        while self.say("systemctl", "is-active", "basic.target").stdout.strip() != "active":
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"systemd cannot be booted here: {self._log.read_text()[-500:]}")
            time.sleep(0.1)

    def say(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        leader = self._leader()
        enter = ["nsenter", "--target", str(leader), "--all", "--"]
        if leader is None:
            return subprocess.CompletedProcess(argv, 1, "", "it does not run")
        return subprocess.run([*enter, *argv], capture_output=True, text=True, check=False)

    def shown(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit."""
        said = self.say("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in said.stdout.splitlines())

    def journal(self, unit: str) -> str:
        """What a unit has said."""
        return self.say("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def halt(self) -> None:
        """Shut it down."""
        leader = self._leader()
        if leader is not None:
            with suppress(ProcessLookupError):
                subprocess.run(["kill", "-s", str(int(HALT)), str(leader)], check=False)
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()

    def _leader(self) -> int | None:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            found = children.read_text().split()
        except OSError:
            return None
        return int(found[0]) if found else None


@contextmanager
def machine(folder: Path, files: Mapping[str, str], binds: Sequence[tuple[Path, str]]) -> Iterator[Machine]:
    """A machine that runs until the end of the block.

    Args:
        folder: an empty folder for it.
        files: files that it has beside this machine's, by path; those in a folder "bin" are programs.
        binds: folders of this machine, and where they are seen there.
    """
    need("systemd-nspawn", "nsenter", "mount", "umount")
    memory, root = folder / "memory", folder / "root"
    for each in (memory, root):
        each.mkdir()
    if not mount_memory(memory, SIZE):
        pytest.skip("this machine does not allow to mount a small disk")
    try:
        for name in ("upper", "work"):
            (memory / name).mkdir()
        for path, text in files.items():
            file = memory / "upper" / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if file.parent.name == "bin" else 0o644)
        for _, place in binds:
            (memory / "upper" / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        with _overlay(memory, root), _booted(folder, root, binds) as booted:
            yield booted
    finally:
        subprocess.run(["umount", memory], check=True)


@contextmanager
def _overlay(memory: Path, root: Path) -> Iterator[None]:
    options = f"lowerdir=/,upperdir={memory}/upper,workdir={memory}/work"
    made = subprocess.run(["mount", "-t", "overlay", "-o", options, "conveyor-test", root], check=False)
    if made.returncode:
        pytest.skip("this machine's own root cannot be a layer of another")
    try:
        yield
    finally:
        subprocess.run(["umount", root], check=True)


@contextmanager
def _booted(folder: Path, root: Path, binds: Sequence[tuple[Path, str]]) -> Iterator[Machine]:
    argv = [
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no"),
        *("--private-network", "--console=pipe", f"--directory={root}", f"--machine={folder.name}"),
        *(f"--bind={source}:{place}" for source, place in binds),
        *("--", "--unit=basic.target", "--log-target=console", "--show-status=false"),
    ]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    made = Machine(process, log)
    try:
        made.boot()
        yield made
    finally:
        made.halt()
        _remove_groups()


def _remove_groups() -> None:
    """Remove the control groups that systemd-nspawn leaves where there is no unit that they were in."""
    if BOOTED_BY_SYSTEMD.exists():
        return
    for group in (*GROUPS.glob("*/payload"), *GROUPS.glob("*/supervisor")):
        for path in sorted((group, *group.rglob("*/")), reverse=True):
            with suppress(OSError):
                path.rmdir()
