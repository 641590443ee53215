"""Print path, name and RPM version of each Python distribution whose metadata a path on standard input leads to.

Runs inside the Debian root, with its rpm's own rules for the version (pythondistdeps.py). Columns end in tabs.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

GENERATOR = "/usr/lib/rpm/pythondistdeps.py"


def main() -> None:
    """Print a line for each path."""
    spec = importlib.util.spec_from_file_location("pythondistdeps", GENERATOR)
    if spec is None or spec.loader is None:
        sys.exit(f"{GENERATOR} cannot be loaded")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    for path in sys.stdin.read().splitlines():
        distribution = PathDistribution(Path(path))
        print(path, distribution.metadata["Name"], generator.RpmVersion(distribution.version), sep="\t")


if __name__ == "__main__":
    main()
