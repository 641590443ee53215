"""Real processes that run a function of a test, and can be killed in it."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path


def spawn(work: Callable[[], None]) -> int:
    """Run the function in a process of its own; returns the process's id. Its exit code is 1 if the function raises."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)  # nothing of the parent's may run or close here


def ended(pid: int) -> int:
    """Wait for the process; its exit code, negative for the signal that ended it."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def wait_for(path: Path) -> None:
    """Wait until the file exists: what starts several processes at one moment."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.0005)
