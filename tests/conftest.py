"""Options of the whole test suite."""

from __future__ import annotations

import os

import pytest

from tests.support.keys import Keys


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew instead of comparing")


def pytest_configure() -> None:
    """What tests make is read by builds, as other users."""
    os.umask(0o022)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys of every kind that a publisher may meet."""
    return Keys(tmp_path_factory.mktemp("keys") / "home")
