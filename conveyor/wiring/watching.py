"""What polls, put together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from conveyor.pipeline.polling.watching import Foresee, Watched, Watcher
from conveyor.ports import Queue, Store, Watch
from conveyor.upstream.hardening import host_of, rewritten
from conveyor.upstream.mirror import GitMirrors
from conveyor.upstream.packaging import PackagingSources
from conveyor.upstream.tags import package_of, version_of_tag
from conveyor.wiring.conveyor import SystemClock

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings


def make_watcher(
    settings: Settings,
    repos: Repos,
    *,
    queue: Queue,
    watch: Watch,
    store: Store,
    foresee: Foresee = lambda *_: {},
    stop: threading.Event,
) -> Watcher:
    """What polls the repositories of a site's packages.

    Args:
        settings: the site's settings.
        repos: packages; others are given to the watcher's `follow` later.
        queue: takes what is new.
        watch: what polls know.
        store: what was built.
        foresee: what a commit's packaging declares, by target.
        stop: once it is set, nothing is waited for any more, not even a server.
    """
    git = GitMirrors(
        settings.data_dir / "mirrors",
        rewrites=settings.rewrites,
        fetch_limit=settings.git_timeout,
        poll_limit=settings.polling.time_limit,
        stop=stop,
    )
    watched = Watched(
        git=git,
        packaging=PackagingSources(git),
        queue=queue,
        watch=watch,
        store=store,
        clock=SystemClock(),
        tag_version=lambda url, name: version_of_tag(name, package_of(url)),
        host_of=lambda url: host_of(rewritten(url, settings.rewrites)),
        foresee=foresee,
    )
    return Watcher(watched, repos.packages, settings.polling, stop=stop)
