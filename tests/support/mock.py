"""mock, where this machine has it, and a target for it."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.model.target import BuilderKind, Format, RpmDistribution, RpmRepository
from tests.support.published import need
from tests.support.workshop import TARGET

# Made by hand: no package of any distribution brings it. See docs/operating.md.
MOCK_USER = "conveyor-mock"
INSTALLED = Path("/usr/libexec/mock/mock")
MOCK = replace(
    TARGET,
    name="centos-10-x86_64",
    format=Format.RPM,
    architecture="x86_64",
    builder=BuilderKind.MOCK,
    origin=RpmDistribution(
        repositories=(
            RpmRepository(name="baseos", url="https://mirror.example.org/os/", key="/keys/os"),
            RpmRepository(name="crb", url="https://mirror.example.org/metalink?repo=crb", key=None),
        ),
        release="10",
        database="/usr/lib/sysimage/rpm",
    ),
    base_packages=("bash", "rpm"),
    build_packages=("rpm-build",),
    dist="el10",
    naming="centos",
)


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
