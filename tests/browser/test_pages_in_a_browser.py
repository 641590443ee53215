"""Each page as people see it: at both sizes, in both themes, with a keyboard, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from conveyor.model.queue import Pause, Scope, ScopeKind
from conveyor.store import open_books
from tests.support.browser import ADMINISTRATION, SIZES, THEMES, Theme, pages_of, sign_in

pytestmark = pytest.mark.integration
# What the browser says where a test asks for what is not there, or types a mistake.
REFUSALS = ("404 (Not Found)", "422 (Unprocessable Entity)")
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]},
    # What is fine is not told one by one: that takes most of the time.
    "resultTypes": ["violations"],
}


@contextmanager
def opened(browser: Browser, size: str = "desk", theme: Theme = "light", **options: Any) -> Iterator[Page]:  # noqa: ANN401
    """A page whose console and errors the test hears of at its end."""
    context = browser.new_context(viewport=SIZES[size], color_scheme=theme, **options)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield page
        assert not [each for each in said if not each.endswith(REFUSALS)]
    finally:
        context.close()


def test_each_page_is_accessible_and_fits(browser: Browser, url: str, folder: Path) -> None:
    wrong: dict[str, object] = {}
    with opened(browser) as page:
        for name, path in {**pages_of(folder), **ADMINISTRATION}.items():
            if path == ADMINISTRATION["access"]:
                sign_in(page.context, folder, url)
            page.goto(f"{url}{path}")
            assert page.title().endswith(" · Conveyor")
            page.evaluate(Axe().axe_script)
            for size, theme in product(SIZES, THEMES):
                page.set_viewport_size(SIZES[size])
                page.emulate_media(color_scheme=theme)
                found = page.evaluate("rules => axe.run(document, rules).then(told => told.violations)", RULES)
                if found:
                    wrong[f"{name} {size} {theme}"] = [
                        (each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found
                    ]
                if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                    wrong[f"{name} {size} scrolls"] = path
    assert not wrong


def test_no_table_scrolls_sideways_on_the_phone(browser: Browser, url: str, folder: Path) -> None:
    wide = "all => all.filter(each => each.scrollWidth > each.clientWidth).map(each => each.innerText)"
    with opened(browser, "phone") as page:
        sign_in(page.context, folder, url)
        for name, path in {**pages_of(folder), **ADMINISTRATION}.items():
            page.goto(f"{url}{path}")
            assert (name, page.locator(".scroll").evaluate_all(wide)) == (name, [])


def test_each_page_shows_the_same_without_javascript(browser: Browser, url: str, folder: Path) -> None:
    with opened(browser, java_script_enabled=False) as page:
        for path in pages_of(folder).values():
            page.goto(f"{url}{path}")
            assert page.locator("h1").count() == 1
            assert page.locator("#theme, .copy").locator("visible=true").count() == 0
        page.goto(f"{url}/")
        assert "failed" in page.locator("#verdict").inner_text()
        assert page.locator("#verdict ~ section time").first.get_attribute("title").endswith(" UTC")  # type: ignore[union-attr]
        page.get_by_label("Name").fill("heat")
        page.get_by_role("button", name="Filter").click()
        assert page.locator(".grid").get_by_role("rowheader").all_inner_texts() == ["heat"]


def test_tokens_and_users_are_looked_after_without_javascript(browser: Browser, url: str, folder: Path) -> None:
    with opened(browser, java_script_enabled=False) as page:
        sign_in(page.context, folder, url)
        page.goto(f"{url}/")
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Access").click()
        making = page.get_by_role("region", name="Make a token")
        making.get_by_label("Name").fill("tempest ci")
        making.get_by_label("vote").check()
        making.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_contain_text("'tempest ci' is no name")
        expect(making.get_by_label("Name")).to_have_value("tempest ci")
        expect(making.get_by_label("vote")).to_be_checked()
        making.get_by_label("Name").fill("nightly")
        making.get_by_role("button").click()
        secret = page.get_by_label("The token's secret").inner_text()
        assert httpx.get(f"{url}/account", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="nightly"))
        row.get_by_text("Revoke", exact=True).click()
        row.get_by_role("button", name="Revoke nightly for good").click()
        expect(page.get_by_role("status")).to_contain_text("nightly works no more")
        expect(row).to_contain_text("revoked")
        assert httpx.get(f"{url}/account", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
        made = page.get_by_role("region", name="Make a user")
        made.get_by_label("Name").fill("judy")
        made.get_by_label("Password").fill("correct horse battery")
        made.get_by_role("button").click()
        page.get_by_role("link", name="Change judy").click()
        may = page.get_by_role("region", name="What it may do")
        expect(may.get_by_label("read")).to_be_checked()
        may.get_by_label("read").uncheck()
        may.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_contain_text("it would be allowed nothing")
        may.get_by_label("promote").check()
        may.get_by_role("button").click()
        expect(page.get_by_role("definition").first).to_have_text("promote")
        page.get_by_text("Delete", exact=True).click()
        page.get_by_role("button", name="Delete judy for good").click()
        expect(page.get_by_role("status")).to_contain_text("judy is kept no more")
        expect(page.get_by_role("link", name="judy")).to_have_count(0)
        page.get_by_role("link", name="Audit log").click()
        page.get_by_label("What").fill("token")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("tbody tr").first).to_contain_text("token revoke")


def test_everything_can_be_reached_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser) as page:
        page.goto(f"{url}/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert page.locator(".skip").bounding_box()["width"] > 50  # type: ignore[index]
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        seen: list[str] = []
        for _ in range(300):
            assert page.evaluate(outline) != "none"
            seen.append(page.evaluate("document.activeElement.textContent.trim()"))
            page.keyboard.press("Tab")
            if not page.evaluate("document.querySelector('main').contains(document.activeElement)"):
                break
        for name in ("heat", "zaqar", "Filter"):
            assert name in seen
        page.goto(f"{url}/packages/heat")
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("details").first.get_attribute("open") is not None


def test_the_theme_is_switched_and_remembered(browser: Browser, url: str) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, theme="light") as page:
        page.goto(f"{url}/")
        light = page.evaluate(background)
        page.get_by_role("button", name="Dark").click()
        dark = page.evaluate(background)
        assert dark != light
        page.goto(f"{url}/queue")
        assert page.evaluate(background) == dark
        page.get_by_role("button", name="Light").click()
        assert page.evaluate(background) == light


def test_times_are_local_with_the_absolute_one_at_hand(browser: Browser, url: str) -> None:
    with opened(browser, timezone_id="Asia/Kathmandu", locale="en-GB") as page:
        page.goto(f"{url}/promotions")
        time = page.locator("time[data-at]").first
        moment = time.get_attribute("datetime")
        local = page.evaluate(
            "moment => new Date(moment).toLocaleString('en-GB', {dateStyle: 'medium', timeStyle: 'medium'})", moment
        )
        assert time.inner_text() == local
        title = time.get_attribute("title")
        assert title is not None
        assert title.endswith(" UTC")


def test_hostile_text_stays_text(browser: Browser, url: str, folder: Path) -> None:
    named = pages_of(folder)
    with opened(browser) as page:
        page.on("dialog", lambda _: pytest.fail("a script of upstream's ran"))
        for name in ("build-failed", "package", "commit", "snapshot", "search"):
            page.goto(f"{url}{named[name]}")
            assert page.title() != "owned"
            text = page.locator("main").inner_text()
            assert name == "search" or "<script>document.title='owned'</script>" in text
            assert "\u202e" not in text
            assert page.locator("img[src=x], main script:not([src])").count() == 0


def test_a_part_that_changes_is_put_in_place_and_nothing_else(browser: Browser, url: str, folder: Path) -> None:
    with opened(browser) as page:
        page.goto(f"{url}/events")
        page.locator("h1").evaluate("each => { each.dataset.kept = 'yes' }")
        page.get_by_label("Package", exact=True).fill("half-typed")
        events = page.locator("tbody tr")
        before = events.count()
        _pause(folder)
        expect(events).to_have_count(before + 1, timeout=60_000)
        assert page.get_by_label("Package", exact=True).input_value() == "half-typed"
        assert page.locator("h1").get_attribute("data-kept") == "yes"


def _pause(folder: Path) -> None:
    books = open_books(f"sqlite:///{folder}/data/conveyor.db")
    try:
        scope = Scope(kind=ScopeKind.PACKAGE, name="zaqar")
        assert books.queue.pause(Pause(scope=scope, actor="ada", note="", at=datetime.now(UTC)))
    finally:
        books.store.close()
