"""A lively site that is served, and Debian's Chromium that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import CHROMIUM
from tests.support.daemons import QuickSite
from tests.support.lively import Lively
from tests.support.server import served


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed: containers/host/packages.txt")
    return CHROMIUM


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium, without a window; a module's, for asyncio can run nothing else in this thread while Playwright does."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def lively(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> QuickSite:
    """A site full of life; nobody changes it."""
    del chromium  # without one, nothing needs the site
    return Lively(tmp_path_factory.mktemp("lively")).fill()


@pytest.fixture(scope="session")
def url(lively: QuickSite) -> Iterator[str]:
    """Where it is served."""
    with served(lively.folder) as address:
        yield address


@pytest.fixture
def folder(lively: QuickSite) -> Path:
    """Its folder."""
    return lively.folder
