"""Puts together what reminds people of what stays as it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from conveyor.pipeline.reminding import Reminder
from conveyor.wiring.promotions import components_of, make_standings

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings
    from conveyor.wiring.conveyor import Conveyor


def make_reminder(settings: Settings, repos: Repos, conveyor: Conveyor) -> Reminder | None:
    """What reminds people; None where the settings want none. Made anew when settings or packages change."""
    if settings.daemon.remind_after is None:
        return None
    components = components_of(repos)
    return Reminder(
        events=conveyor.events,
        store=conveyor.store,
        repository=conveyor.tree,
        standings=make_standings(conveyor, repos),
        built={target: components[target].keys() for target in repos.built_targets},
        after=timedelta(seconds=settings.daemon.remind_after),
    )
