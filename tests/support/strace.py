"""System calls of a process: counted, refused, or the last thing that it does (strace(1))."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.publisher import REPORT, Ended, Worker

# What changes a file system, and what makes that last. openat counts where it makes a file.
WRITING = (
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir",
    "mkdirat", "rmdir", "fsync", "fdatasync", "openat", "write", "pwrite64", "ftruncate",
)  # fmt: skip
ATTACHING = 60.0
_CALL_ON_FILE = re.compile(r"(pwrite64|write|ftruncate|fsync|fdatasync)\((\d+)<([^>]*)>(.*)")
_LINE = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCall:
    """One system call of an undisturbed run.

    Attributes:
        name: its name.
        index: the how manieth of its name it is, from 1.
        text: its arguments and what came of it, as strace writes them.
    """

    name: str
    index: int
    text: str

    def __str__(self) -> str:
        return f"{self.name} {self.index}: {self.text[:120]}"


def need_strace() -> None:
    """Skip the test where no process can be looked at."""
    if shutil.which("strace") is None:
        pytest.skip("not installed: strace")
    tried = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no process can be traced here: {tried.stderr.strip()}")


def counted(worker: Worker, folder: Path) -> tuple[tuple[SystemCall, ...], Ended]:
    """Let a worker work undisturbed; its writing system calls up to its report, and how it ended."""
    output = folder / f"strace-{worker.pid}"
    ended = _traced(worker, [f"--trace={','.join(WRITING)}", "--string-limit=200", f"--output={output}"])
    calls = tuple(_parsed(output.read_text(errors="replace").splitlines()))
    output.unlink()
    return calls, ended


def _parsed(lines: Sequence[str]) -> list[SystemCall]:
    seen: Counter[str] = Counter()
    found = []
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        if REPORT.decode() in line:
            break
        name, text = match.group("name", "arguments")
        seen[name] += 1
        if name != "openat" or "O_CREAT" in text:
            found.append(SystemCall(name=name, index=seen[name], text=text))
    return found


def injected(worker: Worker, call: SystemCall, fault: str, *, lasting: bool = False) -> Ended:
    """Let a worker work, with something injected at one system call.

    Args:
        worker: it.
        call: where.
        fault: "signal=KILL" to kill it before it does that, or "error=ENOSPC" and the like to refuse it.
        lasting: whether all further calls of that name meet the same.
    """
    when = f"{call.index}{'+' if lasting else ''}"
    return _traced(worker, [f"--trace={call.name}", f"--inject={call.name}:{fault}:when={when}", "--output=/dev/null"])


def _traced(worker: Worker, options: Sequence[str]) -> Ended:
    tracer = subprocess.Popen(
        ["strace", *options, f"--attach={worker.pid}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_until_attached(tracer)
        worker.go()
        return worker.end()
    finally:
        with suppress(subprocess.TimeoutExpired):
            tracer.wait(ATTACHING)
        if tracer.poll() is None:
            tracer.kill()
        tracer.communicate()


def _wait_until_attached(tracer: subprocess.Popen[str]) -> None:
    assert tracer.stderr is not None
    deadline = time.monotonic() + ATTACHING
    while time.monotonic() < deadline:
        line = tracer.stderr.readline()
        if "attached" in line:
            return
        if not line:
            break
    raise AssertionError("strace did not attach")


def unsynced(trace: str, database: Path, acknowledged: Sequence[str]) -> list[str]:
    """What was acknowledged, by a line on standard output, while something of an SQLite database was not synced.

    Args:
        trace: what `strace -y` told.
        database: its file; what is beside it counts, too, but for what is shared by processes alone.
        acknowledged: what was said.
    """
    dirty: Counter[str] = Counter()
    synced, found = 0, []
    left = list(acknowledged)
    for line in trace.splitlines():
        match = _CALL_ON_FILE.search(line)
        if match is None:
            continue
        name, descriptor, path, arguments = match.groups()
        if path.startswith(str(database)) and not path.endswith("-shm"):
            if name in {"fsync", "fdatasync"}:
                synced += 1
                dirty.pop(path, None)
            else:
                dirty[path] += 1
        elif descriptor == "1" and name == "write" and left and f'"{left[0]}\\n"' in arguments:
            if dirty or not synced:
                found.append(f"{left[0]}: {dict(dirty)} not synced, {synced} syncs")
            synced = 0
            del left[0]
    return [*found, *(f"{name} was not seen" for name in left)]


def sampled(calls: Sequence[SystemCall], most: int) -> tuple[SystemCall, ...]:
    """At most so many of the calls, evenly, with the first and the last."""
    if len(calls) <= most:
        return tuple(calls)
    return tuple(calls[round(number * (len(calls) - 1) / (most - 1))] for number in range(most))
