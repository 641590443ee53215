"""The library createrepo_c, without the host's RPM configuration.

As a wheel it brings a librpm of its own, which reads the host's macros when it is imported and says on standard error
what it does not understand of a newer rpm's. It needs none of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "RPM_CONFIGDIR"


@contextmanager
def _no_configuration() -> Iterator[None]:
    """An empty configuration; librpm is told of it by a variable alone, and asks for it once."""
    before = os.environ.get(VARIABLE)
    with tempfile.TemporaryDirectory(prefix="conveyor-rpm-") as folder:
        for name in ("rpmrc", "macros"):
            (Path(folder) / name).touch()
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            if before is not None:
                os.environ[VARIABLE] = before


with _no_configuration():
    import createrepo_c as library

__all__ = ["library"]
