"""What carries out orders from afar, put together."""

from __future__ import annotations

import threading

from conveyor.pipeline.finding import Finding
from conveyor.pipeline.ordering import Ordering
from conveyor.pipeline.poll import Poll
from conveyor.upstream.hardening import host_of, rewritten
from conveyor.upstream.mirror import GitMirrors
from conveyor.upstream.packaging import PackagingSources
from conveyor.wiring.conveyor import Conveyor


def make_ordering(conveyor: Conveyor, *, stop: threading.Event) -> Ordering:
    """What finds the commits that were ordered, and puts them into the queue.

    Args:
        conveyor: the site.
        stop: once it is set, nothing is waited for any more, not even a server.
    """
    settings, repos = conveyor.settings, conveyor.repos
    git = GitMirrors(
        settings.data_dir / "mirrors",
        rewrites=settings.rewrites,
        fetch_limit=settings.git_timeout,
        poll_limit=settings.polling.time_limit,
        stop=stop,
    )
    finding = Finding(
        poll=Poll(git, PackagingSources(git)),
        git=git,
        host_of=lambda url: host_of(rewritten(url, settings.rewrites)),
        polling=settings.polling,
        clock=conveyor.clock,
        stop=stop,
    )
    return Ordering(
        book=conveyor.order_book,
        finding=finding,
        store=conveyor.store,
        queue=conveyor.queue,
        packages=repos.packages,
        targets=repos.targets,
        clock=conveyor.clock,
    )
