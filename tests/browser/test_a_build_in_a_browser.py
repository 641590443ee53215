"""What somebody sees who has a page open while a daemon builds, and what the copied lines do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import publisher
from tests.support.browser import SIZES, pages_of
from tests.support.clients import Apt, Dnf, Place
from tests.support.daemons import QuickSite
from tests.support.keys import Keys
from tests.support.published import make_rpms
from tests.support.publisher import RPM, Release, make_site, run, signed
from tests.support.server import free_port, served
from tests.support.site import DEB
from tests.support.webprocess import running

pytestmark = pytest.mark.integration
PATIENCE = 90_000  # milliseconds: the machine may be busy


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
        file = other.locator("#artifacts a", has_text="_all.deb")
        assert other.request.get(f"{url}{file.get_attribute('href')}").body().startswith(b"!<arch>")
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


@pytest.fixture
def clipboard(browser: Browser) -> Iterator[Page]:
    """A page on the phone, which may copy."""
    context = browser.new_context(viewport=SIZES["phone"], permissions=["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


def copied(page: Page) -> Iterator[str]:
    """What each button copies: how to use this snapshot, and how to follow its pointer."""
    for number in (0, 1):
        button = page.locator("button.copy").nth(number)
        button.click()
        expect(button).to_have_text("Copied")
        text: str = page.evaluate("navigator.clipboard.readText()")
        assert text == page.locator(".copyable pre").nth(number).text_content()
        yield text


def source_in(lines: str, file: str) -> str:
    """What the lines write into a file."""
    found = re.match(f"cat > {re.escape(file)} <<'END'\n(.*\n)END\n", lines, re.DOTALL)
    assert found is not None, lines
    return found[1]


def test_the_lines_that_are_copied_are_taken_by_apt(clipboard: Page, url: str, folder: Path, tmp_path: Path) -> None:
    clipboard.goto(f"{url}{pages_of(folder)['snapshot']}")
    for number, lines in enumerate(copied(clipboard)):
        named = re.search(r"apt-get update\napt-get install --yes (\w+)\n$", lines)
        assert named is not None
        apt = Apt(Place(tmp_path / str(number)))
        apt.source(source_in(lines, "/etc/apt/sources.list.d/conveyor.sources"))
        apt.update().good()
        assert apt.candidate(named[1])
        apt("install", "--yes", "--download-only", named[1]).good()


def test_the_lines_that_are_copied_are_taken_by_dnf(clipboard: Page, tmp_path: Path) -> None:
    dnf = [Dnf(Place(tmp_path / name)) for name in ("stays", "follows")]
    port = free_port()
    site = make_site(
        tmp_path / "site", base_url=f"http://127.0.0.1:{port}/repos", settings=signed(Keys(tmp_path / "keys"))
    )
    rpms = tuple(make_rpms(tmp_path / "made", "hello", "1.1"))
    release = Release(target=RPM, package="hello", number=1, files=rpms)
    assert run(publisher.publish, site, (release,)).good
    with running(site, port) as web:
        clipboard.goto(f"{web.url}/targets/{RPM}/snapshots/current")
        for client, lines in zip(dnf, copied(clipboard), strict=True):
            client.source(source_in(lines, "/etc/yum.repos.d/conveyor.repo"))
            assert lines.endswith("\nEND\ndnf install --assumeyes hello\n")
            client("install", "--assumeyes", "hello").good()
            assert client.greeting("hello") == "1.1"
