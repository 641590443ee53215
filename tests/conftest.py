"""Options of the whole test suite."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.keys import Keys


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew instead of comparing")


def pytest_configure() -> None:
    """What tests make is read by builds, as other users; and Ctrl-C is never ignored.

    A shell ignores it in what it runs in the background, and so does who runs tests in several processes.
    """
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys of every kind that a publisher may meet."""
    return Keys(tmp_path_factory.mktemp("keys") / "home")
