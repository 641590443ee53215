"""The log of an attempt, to look at: on the build's page, and on a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response

from conveyor.errors import UnknownName
from conveyor.model.build import AttemptRecord, Build
from conveyor.web.live.attempts import Logged, NamedLog, find_log
from conveyor.web.live.reading import Logs, Window
from conveyor.web.live.routes import Reading
from conveyor.web.pages.answer import Show
from conveyor.web.site import Site

router = APIRouter(include_in_schema=False)

# Shown without JavaScript; the rest is in the whole log.
LAST_LINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShown:
    """What a page shows of a log: its last lines, which the script makes the whole log of.

    Attributes:
        named: whose log it is.
        window: the lines.
        total: how many lines the log has.
    """

    named: Logged
    window: Window
    total: int

    @property
    def running(self) -> bool:
        """Whether the attempt has not ended."""
        return self.named.attempt.outcome is None


def last_log(site: Site, logs: Logs, build: Build) -> LogShown | None:
    """The log of a build's last attempt; None where there is none, or it is gone."""
    try:
        return shown_log(find_log(site, build.id, build.attempt), logs) if build.attempt else None
    except UnknownName:
        return None


def kept_logs(site: Site, attempts: Sequence[AttemptRecord]) -> frozenset[int]:
    """The numbers of the attempts whose logs are here."""
    data = site.settings.data_dir
    return frozenset(each.number for each in attempts if each.log and (data / each.log).is_file())


def shown_log(named: Logged, logs: Logs) -> LogShown:
    """What a page shows of a log.

    Raises:
        UnknownName: it is gone.
    """
    with logs.open(named.path, named.causes) as log:
        total = log.lines()
        start = log.start(max(1, total - LAST_LINES + 1)) or 0
        return LogShown(named=named, window=log.window(start), total=total)


@router.get("/builds/{number}/attempts/{attempt}/log/view")
def view(named: NamedLog, live: Reading, pages: Show) -> Response:
    """A page with the log alone."""
    last = pages.site.conveyor.store.attempts(named.build.id)[-1]
    newer = last if last.number > named.attempt.number else None
    return pages.page(
        "log_page.html",
        build=named.build,
        log=shown_log(named, live.logs),
        newer=newer,
        newer_is_here=bool(newer and kept_logs(pages.site, [newer])),
    )
