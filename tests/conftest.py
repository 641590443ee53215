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

# A Python with all of Conveyor, and a build, a browser or a client's root.
MEMORY_OF_A_WORKER = 2 * 2**30


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors, because tests wait for disks and daemons; in little memory fewer."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)) + 2, memory // MEMORY_OF_A_WORKER))


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
