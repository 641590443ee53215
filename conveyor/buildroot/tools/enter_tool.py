"""Runs a builder's own tool, as a small program of its own in new namespaces; `hosttool` starts it.

It is the first process of its PID namespace: when it ends, or is killed, the kernel ends all that the tool started and
takes away what was mounted. It needs the standard library only, as the system's own Python runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from conveyor.buildroot.isolation.enter import EXIT_SETUP_FAILED, is_full, mount_scratch
from conveyor.buildroot.isolation.kernel import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount

MS_RDONLY = 1
MS_REMOUNT = 32
SIGNALLED = 128


def main() -> int:
    """Join the control groups, mount what the tool sees, run it, tell how it ended."""
    spec = json.loads(sys.argv[1])
    try:
        for group in spec["cgroups"]:
            (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
        os.umask(0o022)
        scratch = Path(spec["scratch"])
        _mount(spec, scratch)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"conveyor: the tool's surroundings could not be set up: {error}\n")
        return EXIT_SETUP_FAILED
    code = _run(spec)
    status = {"exit": code, "scratch_full": is_full(scratch)}
    Path(spec["status"]).write_text(json.dumps(status))
    return 0


def _mount(spec: dict[str, Any], scratch: Path) -> None:
    mount("proc", Path("/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "")
    image = Path(spec["image"]) if spec["image"] else None
    # The roots that tools make have device nodes; setuid programs in them are nobody's need.
    mount_scratch(scratch, spec["scratch_bytes"], image, MS_NOSUID)
    for path in map(Path, spec["reads"]):
        mount(str(path), path, "none", MS_BIND, "")
        mount("none", path, "none", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, "")


def _run(spec: dict[str, Any]) -> int | None:
    """Run the tool to its end, taking leave of orphans meanwhile; its exit code, None when there is no such program."""
    try:
        process = subprocess.Popen(
            spec["argv"], env=spec["environment"], cwd=spec["scratch"], start_new_session=spec["new_session"]
        )
    except FileNotFoundError:
        return None
    while True:
        pid, status = os.wait()
        if pid == process.pid:
            code = process.returncode = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else SIGNALLED - code
