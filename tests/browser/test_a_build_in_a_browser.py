"""What somebody sees who has a page open while a daemon builds, and what the copied lines do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import SIZES, pages_of
from tests.support.clients import Apt, Place
from tests.support.daemons import QuickSite
from tests.support.server import served
from tests.support.site import DEB

pytestmark = pytest.mark.integration
PATIENCE = 90_000  # milliseconds: the machine may be busy
SOURCES = re.compile(r"<<'END'\n(.*)\nEND\n", re.DOTALL)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=SIZES["desk"])
    yield context.new_page()
    context.close()


def test_a_cell_turns_while_a_daemon_builds(browser: Browser, page: Page, tmp_path: Path) -> None:
    site = QuickSite(tmp_path)
    with served(site.folder) as url:
        page.goto(f"{url}/")
        cell = page.locator(f'td[data-target="{DEB}"]')
        expect(cell).to_contain_text("not built")
        expect(page.locator("#verdict")).to_contain_text("Nothing has been built yet")
        site.push("sleep 5")
        daemon = site.daemon()
        (number,) = site.queue()
        page.evaluate("window.stayed = true")
        expect(cell).to_contain_text("running", timeout=PATIENCE)
        expect(page.locator("#running")).to_contain_text("hello")
        other = browser.new_page()
        other.goto(f"{url}/builds/{number}")
        expect(other.locator("h1")).to_contain_text(re.compile("running|succeeded"))
        expect(cell).to_contain_text("succeeded", timeout=PATIENCE)
        expect(page.locator("#verdict")).to_contain_text("Everything is fine", timeout=PATIENCE)
        expect(other.locator("h1")).to_contain_text("succeeded", timeout=PATIENCE)
        expect(other.locator("#stages")).to_contain_text("publish", timeout=PATIENCE)
        assert page.evaluate("window.stayed") is True
        other.close()
        assert daemon.stop() == 0
    assert site.close() == []


def test_an_open_page_follows_a_build_that_is_tried_again(page: Page, tmp_path: Path) -> None:
    site = QuickSite(tmp_path)
    with served(site.folder) as url:
        site.push("sleep 2", "error-once later", "until go-on")
        (number,) = site.queue()
        page.goto(f"{url}/builds/{number}")
        page.evaluate("window.stayed = true")
        expect(page.locator("#log")).to_contain_text("There is no log yet")
        daemon = site.daemon()
        page.wait_for_selector("[data-ready=yes]", timeout=PATIENCE)
        # The daemon tries it again by itself.
        expect(page.locator(".log-news")).to_contain_text("Attempt 2 has begun", timeout=PATIENCE)
        expect(page.locator(".log")).to_have_attribute("data-log", re.compile("attempts/2/log"))
        expect(page.locator("#attempts tbody tr").nth(1)).to_contain_text("errored", timeout=PATIENCE)
        expect(page.locator("h1")).to_contain_text("running", timeout=PATIENCE)
        (site.data / "go-on").touch()
        expect(page.locator("h1")).to_contain_text("succeeded", timeout=PATIENCE)
        expect(page.locator(".log-status")).to_contain_text("the attempt has ended: succeeded", timeout=PATIENCE)
        expect(page.locator("#artifacts")).to_contain_text(".deb", timeout=PATIENCE)
        expect(page.locator("#stages")).to_contain_text("publish")
        assert page.evaluate("window.stayed") is True
        assert daemon.stop() == 0
    assert site.close() == []


def test_the_lines_that_are_copied_are_taken_by_apt(browser: Browser, url: str, folder: Path, tmp_path: Path) -> None:
    context = browser.new_context(viewport=SIZES["phone"], permissions=["clipboard-read", "clipboard-write"])
    try:
        page = context.new_page()
        page.goto(f"{url}{pages_of(folder)['snapshot']}")
        for number in (0, 1):
            button = page.locator("button.copy").nth(number)
            button.click()
            expect(button).to_have_text("Copied")
            copied = page.evaluate("navigator.clipboard.readText()")
            assert copied == page.locator(".copyable pre").nth(number).text_content()
            named = re.search(r"apt-get update\napt-get install --yes (\w+)\n$", copied)
            assert named is not None
            apt = Apt(Place(tmp_path / str(number)))
            found = SOURCES.search(copied)
            assert found is not None
            apt.source(f"{found[1]}\n")
            apt.update().good()
            assert apt.candidate(named[1])
    finally:
        context.close()
