"""Writes pictures of each page, at both sizes and in both themes, of a site full of life: `make screenshots`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.support.browser import ADMINISTRATION, CHROMIUM, SIZES, THEMES, pages_of, sign_in
from tests.support.lively import Lively
from tests.support.server import served


def main() -> None:
    """Make the site, serve it, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--site", type=Path, help="folder of a site that was made before, or is kept now")
    parser.add_argument("--only", nargs="*", default=(), help="names of pages")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.site or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "repos.yaml").exists():
            Lively(folder).fill()
        with served(folder) as url:
            _take(folder, url, given.output, given.only)


def _take(folder: Path, url: str, output: Path, only: tuple[str, ...]) -> None:
    pages = pages_of(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for size, viewport in SIZES.items():
            for theme in THEMES:
                context = browser.new_context(viewport=viewport, color_scheme=theme, timezone_id="Europe/Berlin")
                page = context.new_page()
                for name, path in {**pages, **ADMINISTRATION}.items():
                    if path == ADMINISTRATION["access"]:
                        sign_in(context, folder, url)
                    if only and name not in only:
                        continue
                    page.goto(f"{url}{path}")
                    _wait_for_log(page)
                    page.screenshot(path=output / f"{name}-{size}-{theme}.png", full_page=True)
                context.close()
        browser.close()


def _wait_for_log(page: Page) -> None:
    """Its lines are there a moment after the page."""
    if page.locator("[data-log]").count():
        page.wait_for_selector("[data-ready=yes]")
        expect(page.locator(".log-line code").last).not_to_have_text("")


if __name__ == "__main__":
    main()
