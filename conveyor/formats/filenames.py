"""Names of files that a build made: hostile text until it has passed here."""

from __future__ import annotations

import re
from pathlib import Path

from conveyor.errors import SourceInvalid

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~^_:-]{0,250}")


def safe_name(path: Path) -> str:
    """The name of a file, if it is one that a package file can have.

    Raises:
        SourceInvalid: it holds other characters.
    """
    if not SAFE.fullmatch(path.name):
        raise SourceInvalid(f"the build made a file named {path.name!r}", cause="that is no name for a package file")
    return path.name
