"""What pages look at, put together on the site that is served."""

from __future__ import annotations

from conveyor.model.build import Build
from conveyor.pipeline.controls import Controls
from conveyor.pipeline.explaining.build import Work
from conveyor.pipeline.explaining.queueview import QueueView, work_of
from conveyor.pipeline.explaining.why import Explainer
from conveyor.pipeline.looking.travel import Travel
from conveyor.pipeline.pointing.standings import Standings
from conveyor.web.site import Site
from conveyor.wiring import (
    make_controls,
    make_queue_view,
    make_travel,
    make_work,
)


def explainer(site: Site) -> Explainer:
    """What answers why."""
    return site.desk.explainer


def queue_view(site: Site) -> QueueView:
    """What shows the queue."""
    return make_queue_view(site.settings, site.repos, site.conveyor.records)


def controls(site: Site) -> Controls:
    """What acts on the queue."""
    return make_controls(site.settings, site.repos, site.conveyor.records)


def standings(site: Site) -> Standings:
    """What tells where pointers stand."""
    return site.desk.standings


def travel(site: Site) -> Travel:
    """What looks back."""
    conveyor = site.conveyor
    return make_travel(site.settings, store=conveyor.store, ledger=conveyor.ledger, tree=conveyor.tree)


def work(site: Site, build: Build) -> Work:
    """What a running build does."""
    return work_of(build, make_work(site.settings))
