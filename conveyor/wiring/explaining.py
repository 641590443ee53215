"""What explains, shows and acts on the queue, put together on what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from conveyor.model.build import Build
from conveyor.pipeline.attempt import running_stage
from conveyor.pipeline.controls import Controls
from conveyor.pipeline.explaining.build import Work
from conveyor.pipeline.explaining.queueview import QueueView
from conveyor.pipeline.explaining.why import Configured, Explainer, Sources
from conveyor.pipeline.pointing.standings import Standings
from conveyor.wiring.conveyor import Records
from conveyor.wiring.waiting import RecordedLine

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings


def make_explainer(settings: Settings, repos: Repos, records: Records, standings: Standings) -> Explainer:
    """What answers why anything is as it is. It fetches nothing, and builds nothing."""
    from conveyor.upstream.mirror import GitMirrors  # noqa: PLC0415 - takes long to import

    sources = Sources(
        store=records.store,
        queue=records.queue,
        watch=records.watch,
        orders=records.order_book,
        events=records.events,
        leases=records.leases,
        ledger=records.ledger,
        repository=records.tree,
        standings=standings,
        git=GitMirrors(settings.data_dir / "mirrors", rewrites=settings.rewrites, fetch_limit=settings.git_timeout),
        waits=lambda: RecordedLine(settings, repos, records.queue, records.events, records.clock.now()),
        work=make_work(settings),
        clock=records.clock,
    )
    configured = Configured(
        packages=repos.packages,
        targets=repos.targets,
        promotions=repos.promotions,
        retries=settings.daemon.retries,
        lost_after=settings.daemon.lost_after,
    )
    return Explainer(sources, configured)


def make_queue_view(settings: Settings, repos: Repos, records: Records) -> QueueView:
    """What shows the queue."""

    def line(now: datetime) -> RecordedLine:
        return RecordedLine(settings, repos, records.queue, records.events, now)

    return QueueView(
        store=records.store,
        queue=records.queue,
        leases=records.leases,
        line=line,
        work=make_work(settings),
        clock=records.clock,
        lost_after=settings.daemon.lost_after,
    )


def make_controls(settings: Settings, repos: Repos, records: Records) -> Controls:
    """What acts on the queue."""
    return Controls(
        store=records.store,
        queue=records.queue,
        watch=records.watch,
        leases=records.leases,
        packages=repos.packages,
        targets=repos.targets,
        clock=records.clock,
        lost_after=settings.daemon.lost_after,
    )


def make_work(settings: Settings) -> Callable[[Build], Work]:
    """What a running build does: known where its folder is on this machine's disk."""

    def work(build: Build) -> Work:
        found = running_stage(settings.data_dir / "builds" / str(build.id) / str(build.attempt))
        return Work() if found is None else Work(stage=found[0], since=found[1])

    return work
