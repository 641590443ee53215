"""What the daemon's observer makes of another configuration."""

from __future__ import annotations

from pathlib import Path

from conveyor.cli.context import Context
from conveyor.cli.progress import SilentProgress
from conveyor.daemon.log import set_up
from conveyor.daemon.observer import Observer
from conveyor.daemon.site import Site
from conveyor.daemon.systemd import Systemd
from conveyor.wiring import open_conveyor
from tests.support.web import REPOS


def site(folder: Path, settings: str, before: Site | None = None) -> Site:
    (folder / "repos.yaml").write_text(REPOS)
    (folder / "conveyor.toml").write_text(f'data_dir = "{folder}/data"\n[daemon]\n{settings}\n')
    context = Context(repos=folder / "repos.yaml", settings=folder / "conveyor.toml", data_dir=None, environ={})
    books = before.conveyor.books if before else None
    conveyor = open_conveyor(context.site, context.configuration, SilentProgress(), books=books)
    return Site(settings=context.site, repos=context.configuration, conveyor=conveyor, configuration="", read_at=0)


def test_limits_of_a_new_configuration_count_from_then_on(tmp_path: Path) -> None:
    first = site(tmp_path, 'stale_after = "6h"\nlost_after = "2m"')
    try:
        log = set_up(level=first.settings.daemon.log_level)
        observer = Observer(first, Systemd({}), polls=True, serves=False, log=log)
        assert (observer._watchdog.stale_after, observer._readiness.lost_after) == (6 * 3600, 120)
        observer.use(site(tmp_path, 'stale_after = "1h"\nlost_after = "3m"', first))
        assert (observer._watchdog.stale_after, observer._readiness.lost_after) == (3600, 180)
    finally:
        first.conveyor.close()
