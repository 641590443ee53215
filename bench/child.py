"""A Python program in a process of its own, which tells how much memory it had: FILE MODULE:MAIN ARGUMENT..."""

import atexit
import importlib
import sys
from pathlib import Path


def tell(file: Path) -> None:
    """Write the most resident memory that this process had, in KiB.

    From /proc, because what getrusage tells begins with the memory of the process that started this one.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    file.write_text(fields["VmHWM"].split()[0], encoding="utf-8")


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    atexit.register(tell, Path(sys.argv[1]))
    module, _, function = sys.argv[2].partition(":")
    del sys.argv[1:3]
    sys.exit(getattr(importlib.import_module(module), function)())
