"""createrepo_c is loaded without the host's RPM configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from conveyor.command import run

TOP = Path(__file__).parents[2]
LOADING = "import os; from conveyor.formats.rpm import createrepo; print(os.environ.get(createrepo.VARIABLE))"


def test_macros_that_its_librpm_does_not_understand_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "rpmrc").touch()
    (tmp_path / "macros").write_text("%unterminated() %{lua:\n")
    host = {"RPM_CONFIGDIR": str(tmp_path)}
    bare = run([sys.executable, "-c", "import createrepo_c"], env=host, timeout=60, cwd=TOP)
    assert "unterminated" in bare.output
    loaded = run([sys.executable, "-c", LOADING], env=host, timeout=60, cwd=TOP)
    assert loaded.output == f"{tmp_path}\n"


def test_a_variable_that_was_not_set_is_not_set_afterwards() -> None:
    assert "RPM_CONFIGDIR" not in os.environ
    loaded = run([sys.executable, "-c", LOADING], timeout=60, cwd=TOP)
    assert loaded.output == "None\n"
