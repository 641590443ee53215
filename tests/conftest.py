"""Options of the whole test suite."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew instead of comparing")


def pytest_configure() -> None:
    """What tests make is read by builds, as other users."""
    os.umask(0o022)
