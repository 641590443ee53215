"""Options of the whole test suite."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.keys import Keys


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew instead of comparing")


def pytest_configure() -> None:
    """What tests make is read by builds, as other users; and Ctrl-C is never ignored.

    A shell ignores it in what it runs in the background, and so does who runs tests in several processes.
    """
    os.umask(0o022)
    # A busy machine is no defect: no test is timed.
    settings.register_profile("conveyor", deadline=None)
    settings.load_profile("conveyor")
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys of every kind that a publisher may meet."""
    return Keys(tmp_path_factory.mktemp("keys") / "home")


@pytest.fixture(scope="session", autouse=True)
def _no_agents_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """End the gpg-agents of clients: each stays as long as its folder, which pytest keeps for three runs."""
    yield
    below = os.fsencode(tmp_path_factory.getbasetemp())
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"gpg-agent") and any(word.startswith(below) for word in words):
                os.kill(int(folder.name), signal.SIGTERM)
