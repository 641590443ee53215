"""What keeps the page served: when it is started again, and what is told of it."""

from __future__ import annotations

import signal
import sys
from io import StringIO
from queue import SimpleQueue

import pytest

from conveyor.command import Process
from conveyor.daemon.log import set_up
from conveyor.daemon.page import LONGEST_PAUSE, NOT_SERVED, STEADY_SECONDS, Page, PageGone
from conveyor.daemon.vitals import Serving


class Pages:
    """A page that is a little program, and a clock that a test sets."""

    def __init__(self, program: str = "import sys; sys.exit(3)") -> None:
        self.program = program
        self.now = 0.0
        self.started: list[Process] = []
        self.inbox: SimpleQueue[object] = SimpleQueue()
        self.output = StringIO()
        self.page = Page(self.start, self.inbox, set_up(self.output), lambda: self.now)

    def start(self) -> Process:
        if not self.program:
            raise OSError("too many processes")
        self.started.append(Process([sys.executable, "-c", self.program]))
        return self.started[-1]

    def end(self) -> None:
        """Hear of the end of the last one."""
        gone = self.inbox.get(timeout=60)
        assert isinstance(gone, PageGone)
        self.page.ended(gone)


def test_it_is_started_again_after_longer_and_longer() -> None:
    pages = Pages()
    pages.page.look()
    pauses = []
    for _ in range(11):
        pages.end()
        assert pages.page.trouble == NOT_SERVED
        ended, count = pages.now, len(pages.started)
        while len(pages.started) == count:
            pages.now += 1
            pages.page.look()
        assert pages.page.trouble == ""
        pauses.append(pages.now - ended)
    pages.end()
    assert pages.page.serving == Serving(runs=False, restarts=11, trouble=NOT_SERVED)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert pauses[-1] == LONGEST_PAUSE.total_seconds()


def test_one_that_lived_long_is_started_at_once() -> None:
    pages = Pages("input()")
    assert pages.page.serving == Serving(runs=False, restarts=0, trouble="")
    for _ in range(3):
        pages.page.look()
        pages.now += STEADY_SECONDS
        pages.started[-1].kill()
        pages.end()
        pages.page.look()
        assert pages.page.trouble == NOT_SERVED
        pages.now += 1
    pages.page.look()
    assert len(pages.started) == 4
    assert pages.page.serving == Serving(runs=True, restarts=3, trouble="")
    pages.page.end()


def test_one_that_cannot_be_started_is_tried_later() -> None:
    pages = Pages("")
    pages.page.look()
    assert pages.page.trouble == NOT_SERVED
    assert "too many processes" in pages.output.getvalue()
    pages.program = "input()"
    pages.page.look()
    assert pages.started == []
    pages.now += 1
    pages.page.look()
    assert (len(pages.started), pages.page.trouble) == (1, "")
    pages.page.end()


@pytest.mark.parametrize("twice", [False, True])
def test_it_ends_with_the_daemon_and_is_not_started_any_more(twice: bool) -> None:
    pages = Pages("import time; time.sleep(600)")
    pages.page.look()
    for _ in range(1 + twice):
        pages.page.stop()
    pages.page.end()
    pages.now += 10_000
    pages.page.look()

    assert len(pages.started) == 1
    assert pages.started[0].end(0) == -signal.SIGTERM
    assert pages.page.trouble == ""


def test_the_end_of_an_earlier_one_is_no_news() -> None:
    pages = Pages("input()")
    pages.page.look()
    earlier = Process([sys.executable, "-c", ""])
    assert earlier.end(60) == 0
    pages.page.ended(PageGone(process=earlier))
    assert pages.page.trouble == ""
    pages.page.end()
