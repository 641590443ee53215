"""The viewer of logs, in Debian's Chromium, on a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.logs import Logging
from tests.support.webprocess import WebProcess, web_process

pytestmark = pytest.mark.integration

CHROMIUM = shutil.which("chromium") or ""
LARGE = 100 * 2**20
PATIENCE = 30_000
# Lines that are in the page at once: what is in sight, and little more.
MOST_ROWS = 80


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("there is no chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--enable-precise-memory-info"]
        )
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    made = context.new_page()
    mistakes: list[str] = []
    made.on("pageerror", lambda error: mistakes.append(str(error)))
    made.on("console", lambda said: mistakes.append(said.text) if "Content Security" in said.text else None)
    yield made
    context.close()
    assert mistakes == []


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("viewer")
    with web_process(folder) as made:
        yield made
    shutil.rmtree(folder)


@pytest.fixture
def log(web: WebProcess, request: pytest.FixtureRequest) -> Logging:
    return Logging(web.books.store, web.data, request.node.name)


@pytest.fixture(scope="module")
def large(web: WebProcess) -> Logging:
    """A log of 100 MB that has ended, in which some lines matter."""
    made = Logging(web.books.store, web.data, "large")
    usual = b"".join(b"cc -O2 -c part-%06d.c -o part.o # as all the others before it\n" % n for n in range(10_000))
    made.write(b"\x1b[32mbegin\x1b[0m <b>bold</b>\n")
    for _ in range(LARGE // len(usual) // 2):
        made.write(usual)
    made.write(b"part.c:3:1: error: needle in the hay\n")
    for _ in range(LARGE // len(usual) // 2 + 1):
        made.write(usual)
    made.write(b"x" * 5_000_000 + b"\nThe Last Needle\n")
    made.fail("The Last Needle")
    return made


def address(web: WebProcess, log: Logging) -> str:
    return f"{web.url}{log.url.removeprefix('/api/v1')}/view"


def opened(page: Page, web: WebProcess, log: Logging, fragment: str = "") -> None:
    page.goto(address(web, log) + fragment)
    page.wait_for_selector("[data-ready=yes]")


def row(page: Page, number: int) -> str:
    """The text of a line that is in sight; waits for it."""
    found = page.locator(".log-line", has=page.locator(f'a[href="#L{number}"]')).locator("code")
    expect(found).not_to_have_text("")
    return found.text_content() or ""


def shows(page: Page, log: Logging) -> None:
    """Wait until the viewer has this log; for a moment the server's lines are there."""
    page.wait_for_selector(f"[data-log='{log.url}'][data-ready=yes]")


def rows(page: Page) -> int:
    count: int = page.locator(".log-line").count()
    return count


def test_a_large_log_is_there_at_once_and_stays_small(page: Page, web: WebProcess, large: Logging) -> None:
    total = large.path.read_bytes().count(b"\n")
    opened(page, web, large)
    assert row(page, total) == "cause: The Last Needle"
    assert row(page, total - 1).endswith("… 4995904 more bytes")
    box = page.locator(".log-text")
    box.focus()
    page.keyboard.press("Home")
    assert row(page, 1) == "begin <b>bold</b>"
    assert page.locator(".ansi-green").inner_text() == "begin"
    # With the wheel by lines, though a pixel of the scroll bar is many.
    for _ in range(30):
        page.mouse.move(600, 400)
        page.mouse.wheel(0, 400)
    page.wait_for_function("Number(document.querySelector('.log-number').textContent) > 100")
    first = int(page.locator(".log-number").first.inner_text())
    assert 400 < first < 800
    page.keyboard.press("PageDown")
    # To its middle with the scroll bar, and all through it.
    for share in (0.5, 0.1, 0.9, 0.3, 0.7, 0.5):
        page.evaluate("s => { const e = document.querySelector('.log-text'); e.scrollTop = e.scrollHeight * s }", share)
        page.wait_for_timeout(100)
        assert rows(page) < MOST_ROWS
    middle = int(page.locator(".log-number").first.inner_text())
    assert abs(middle / total - 0.5) < 0.05
    row(page, middle + 5)
    assert page.evaluate("performance.memory.usedJSHeapSize") < 32 * 2**20


def test_every_line_has_a_link(page: Page, web: WebProcess, large: Logging) -> None:
    opened(page, web, large, "#L700000")
    assert row(page, 700_000).startswith("cc -O2")
    assert page.locator(".log-here .log-number").inner_text() == "700000"
    page.locator('a[href="#L700003"]').click()
    expect(page.locator(".log-here .log-number")).to_have_text("700003")
    assert page.url.endswith("#L700003")


def test_text_and_errors_are_found(page: Page, web: WebProcess, large: Logging) -> None:
    opened(page, web, large)
    page.locator(".log-text").focus()
    page.keyboard.press("/")
    page.keyboard.type("NEEDLE")
    page.keyboard.press("Enter")
    status = page.locator(".log-status")
    expect(status).to_have_text("2 of 2 lines", timeout=PATIENCE)
    page.locator("[data-do=next]").click()
    expect(status).to_have_text("1 of 2 lines")
    here = page.locator(".log-here code")
    expect(here).to_contain_text("needle", ignore_case=True)
    page.get_by_label("regular expression").check()
    page.get_by_label("Search the log").fill("(unbalanced")
    page.keyboard.press("Enter")
    expect(status).to_contain_text("this is no regular expression", timeout=PATIENCE)
    page.locator(".log-text").focus()
    page.keyboard.press("Home")
    page.keyboard.press("e")
    expect(here).to_contain_text("looks like an error: part.c:3:1: error: needle in the hay", timeout=PATIENCE)
    expect(page.locator(".log-error")).to_have_count(1)


def test_a_growing_log_is_followed_and_stays_where_it_is_read(page: Page, web: WebProcess, log: Logging) -> None:
    log.write("".join(f"line {number}\n" for number in range(1, 1001)))
    opened(page, web, log)
    assert row(page, 1000) == "line 1000"
    log.write("more\nhalf")
    assert row(page, 1001) == "more"
    assert row(page, 1002) == "half"
    log.write(" and whole\n")
    expect(page.locator('.log-line:has(a[href="#L1002"]) code')).to_have_text("half and whole")
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -3000)
    expect(page.get_by_label("follow")).not_to_be_checked()
    before = page.locator(".log-number").first.inner_text()
    log.write("out of sight\n" * 500)
    page.wait_for_timeout(1500)
    assert page.locator(".log-number").first.inner_text() == before
    page.get_by_label("follow").check()
    assert row(page, 1502) == "out of sight"
    log.write("the cause\n")
    log.fail("the cause")
    expect(page.locator(".log-status")).to_have_text("1,503 lines; the attempt has ended: failed")
    page.locator(".log-text").focus()
    page.keyboard.press("End")
    assert row(page, 1503) == "cause: the cause"


def test_a_log_that_is_replaced_is_shown_anew(page: Page, web: WebProcess, log: Logging) -> None:
    log.write("old\n" * 300)
    opened(page, web, log)
    assert row(page, 300) == "old"
    other = log.path.with_name("other")
    other.write_text("new\n" * 3)
    other.replace(log.path)
    expect(page.locator(".log-line code").first).to_have_text("new")
    assert rows(page) == 3
    log.path.unlink()
    expect(page.locator(".log-status")).to_contain_text("the log is gone")


def test_it_goes_on_after_the_connection_broke(page: Page, tmp_path: Path) -> None:
    with ExitStack() as first:
        web = first.enter_context(web_process(tmp_path))
        log = Logging(web.books.store, web.data)
        log.write("one\ntwo\n")
        opened(page, web, log)
        assert row(page, 2) == "two"
        expect(page.locator(".log-status")).to_have_text("live")
    expect(page.locator(".log-status")).to_contain_text("the connection broke")
    log.write("three\n")
    with web_process(tmp_path, port=web.port):
        log.write("four\n")
        assert row(page, 4) == "four"
        assert [row(page, number) for number in (1, 2, 3)] == ["one", "two", "three"]
        assert rows(page) == 4


def test_the_page_of_a_build_has_it_and_leaves_it_alone(page: Page, web: WebProcess, log: Logging) -> None:
    log.write("one\n")
    page.goto(f"{web.url}/builds/{log.build.id}")
    page.wait_for_selector("[data-ready=yes]")
    assert row(page, 1) == "one"
    log.write("two\n")
    assert row(page, 2) == "two"
    page.get_by_label("Search the log").fill("two")
    log.fail("two")
    # Its other parts are made anew meanwhile.
    expect(page.locator("#attempts")).to_contain_text("failed")
    expect(page.locator(".log-status")).to_have_text("2 lines; the attempt has ended: failed")
    assert page.get_by_label("Search the log").input_value() == "two"


def test_the_page_of_a_build_goes_on_with_the_log_of_another_attempt(page: Page, web: WebProcess, log: Logging) -> None:
    log.write("one\n" * 3)
    log.fail("one")
    page.goto(f"{web.url}/builds/{log.build.id}")
    page.wait_for_selector("[data-ready=yes]")
    page.evaluate("window.stayed = true")
    log.begin()
    log.write("again\n")
    news = page.locator(".log-news")
    expect(news).to_contain_text("Attempt 2 has begun, and this is its log.", timeout=PATIENCE)
    shows(page, log)
    assert row(page, 1) == "again"
    assert rows(page) == 1
    expect(page.locator("h1")).to_contain_text("running")
    expect(page.locator("#attempts tbody tr")).to_have_count(2)
    log.write("live\n")
    assert row(page, 2) == "live"
    log.fail("live")
    expect(page.locator(".log-status")).to_have_text("2 lines; the attempt has ended: failed")
    expect(page.locator("h1")).to_contain_text("failed")
    assert page.evaluate("window.stayed") is True
    page.get_by_role("link", name="The log of attempt 1").click()
    page.wait_for_selector("[data-ready=yes]")
    assert row(page, 3) == "cause: one"


def test_the_page_of_a_log_tells_of_a_newer_attempt(page: Page, web: WebProcess, log: Logging) -> None:
    log.write("one\n" * 3)
    opened(page, web, log)
    news = page.locator("#newer")
    expect(news).to_be_empty()
    expect(page.locator("h1")).to_have_text("running Log of attempt 1")
    log.fail("one")
    expect(page.locator("h1")).to_have_text("failed Log of attempt 1", timeout=PATIENCE)
    log.begin()
    log.write("again\n")
    expect(news).to_have_text("Attempt 2 is newer: running. Its log", timeout=PATIENCE)
    assert row(page, 3) == "cause: one", "what is read stays"
    log.fail()
    page.reload()
    expect(news).to_have_text("Attempt 2 is newer: failed. Its log")
    news.get_by_role("link").click()
    shows(page, log)
    expect(news).to_be_empty()


def test_who_reads_a_log_is_asked_before_another_attempts_is_shown(page: Page, web: WebProcess, log: Logging) -> None:
    log.write("".join(f"line {number}\n" for number in range(1, 1001)))
    log.fail("line 1000")
    page.goto(f"{web.url}/builds/{log.build.id}#L500")
    page.wait_for_selector("[data-ready=yes]")
    assert row(page, 500) == "line 500"
    log.begin()
    log.write("again\n")
    button = page.get_by_role("button", name="Show the log of attempt 2")
    expect(button).to_be_visible(timeout=PATIENCE)
    assert row(page, 500) == "line 500"
    button.click()
    shows(page, log)
    assert row(page, 1) == "again"
    assert rows(page) == 1
    expect(page.locator(".log-news")).to_contain_text("this is its log")
    assert not page.url.endswith("#L500")
    log.write("live\n")
    assert row(page, 2) == "live"


def test_a_log_takes_no_more_room_than_its_lines(page: Page, web: WebProcess, log: Logging) -> None:
    log.write("a line\n" * 4)
    page.goto(f"{web.url}/builds/{log.build.id}")
    page.wait_for_selector("[data-ready=yes]")
    box = page.locator(".log-text")
    assert row(page, 4) == "a line"
    height = "each => each.offsetHeight - 4 * each.querySelector('.log-line').offsetHeight"
    assert 0 <= box.evaluate(height) < 20
    log.write("one more\n" * 500)
    assert row(page, 504) == "one more"
    assert box.evaluate("each => each.offsetHeight / innerHeight") == pytest.approx(0.7, abs=0.01)


def test_without_scripts_the_last_lines_are_there(browser: Browser, web: WebProcess, large: Logging) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address(web, large))
    assert rows(page) == 500
    expect(page.locator(".log-line code").last).to_have_text("cause: The Last Needle")
    expect(page.locator(".log-without")).to_contain_text("The last 500 of")
    expect(page.locator(".log-find")).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.startswith("nova-debian-12-amd64-")
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_readable_for_all(browser: Browser, web: WebProcess, log: Logging, theme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    colours = "".join(
        f"\x1b[{first}{second}m{first}{second} text\x1b[0m " for first in (3, 4, 9) for second in range(8)
    )
    log.write(
        f"== build ==\nconveyor: note: x\nplain \x1b[2mdim\x1b[0m {colours}\nx.c:1: error: {colours}\n\n\n{colours}\n"
    )
    log.fail("plain")
    context = browser.new_context(
        color_scheme="dark" if theme == "dark" else "light", viewport={"width": width, "height": 800}
    )
    page = context.new_page()
    opened(page, web, log, "#L7")
    row(page, 7)
    broken = axe.run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in broken] == []
    page.evaluate("document.querySelector('.log-here').classList.remove('log-here')")
    assert [each["id"] for each in axe.run(page).response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
