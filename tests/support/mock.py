"""mock, where this machine has it."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import pytest

from tests.support.published import need

# Made by hand: no package of any distribution brings it. See docs/operating.md.
MOCK_USER = "conveyor-mock"
INSTALLED = Path("/usr/libexec/mock/mock")


def need_mock() -> None:
    """Skip the test where mock cannot be called."""
    if os.geteuid() != 0:
        pytest.skip("only root can hand mock over to its unprivileged user")
    if not INSTALLED.exists() and shutil.which("mock") is None:
        pytest.skip("not installed: mock, which Debian 12 has no package of; put one on PATH to run these")
    try:
        pwd.getpwnam(MOCK_USER)
    except KeyError:
        pytest.skip(f"no user {MOCK_USER}: useradd --system --groups mock {MOCK_USER}")
    need("dnf", "rpm")
