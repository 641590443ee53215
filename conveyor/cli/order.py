"""`conveyor --server URL build`: orders builds of a server, and follows them to their end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conveyor.cli.context import Context
from conveyor.cli.results import Result
from conveyor.cli.text import say
from conveyor.documents.failures import error_of
from conveyor.errors import ConveyorError, NetworkError, NotPossible
from conveyor.model.build import Build, Outcome, State
from conveyor.model.order import OrderState
from conveyor.pipeline.desk import Built, Desk, Ordered
from conveyor.pipeline.explaining.words import named

LOOK_SECONDS = 2.0
# So often in a row a server may not answer: it is being restarted.
PATIENCE = 30
# So often it is looked whether what succeeded is published: that comes at once, or later.
PUBLISHED_WITHIN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is ordered.

    Attributes:
        packages: names of packages.
        revision: branch, tag or sha; empty for the newest commit.
        targets: names of targets; empty for each package's own.
    """

    packages: tuple[str, ...]
    revision: str
    targets: tuple[str, ...]


def order(given: Context, desk: Desk, wish: Wish) -> Iterator[Ordered | Result]:
    """Order builds of packages, and tell it; what was refused is a result."""
    for package in wish.packages:
        try:
            ordered = desk.order(package, wish.revision, wish.targets, given.user)
        except NetworkError:
            raise
        except ConveyorError as error:
            yield _refused(package, wish.targets, error)
            continue
        what = f"{package} {wish.revision}".rstrip()
        say(given.errors, f"order {ordered.order.number}: {what} is to be built, the daemon looks for the commit")
        if not ordered.daemon.runs:
            say(given.errors, "conveyor: no daemon is running there: nothing happens until one does")
        yield ordered


def follow(given: Context, desk: Desk, orders: Sequence[Ordered | Result]) -> Iterator[Result]:
    """What becomes of orders, each once all of its builds have ended."""
    for each in orders:
        if isinstance(each, Result):
            yield each
        else:
            yield from _Followed(given, desk, each).results()


class _Followed:
    """An order that is followed.

    Args:
        given: the options of every command.
        desk: the server.
        ordered: the order.
    """

    def __init__(self, given: Context, desk: Desk, ordered: Ordered) -> None:
        self._given = given
        self._desk = desk
        self._ordered = ordered
        self._told: dict[int, str] = {}
        self._looks_left = PUBLISHED_WITHIN
        self._failures = 0

    def results(self) -> Iterator[Result]:
        """What became of its builds, once all have ended."""
        while not self._is_over():
            time.sleep(LOOK_SECONDS)
            self._look()
        order = self._ordered.order
        if order.cause is not None:
            yield _refused(order.wanted.package, order.wanted.targets, error_of(order.cause))
        for built in self._ordered.builds:
            yield self._result(built)

    def _look(self) -> None:
        try:
            self._ordered = self._desk.ordered(self._ordered.order.number)
        except NetworkError:
            self._failures += 1
            if self._failures > PATIENCE:
                raise
            return
        self._failures = 0
        for built in self._ordered.builds:
            self._tell(built.build)

    def _tell(self, build: Build) -> None:
        how = build.outcome or build.state
        if self._told.get(build.id) != how:
            self._told[build.id] = how
            say(self._given.errors, f"{named(build)}: {how}")

    def _is_over(self) -> bool:
        if self._ordered.order.state is OrderState.WAITING:
            return False
        builds = [built.build for built in self._ordered.builds]
        if any(build.state is not State.FINISHED for build in builds):
            return False
        if all(build.published or build.outcome is not Outcome.SUCCEEDED for build in builds):
            return True
        self._looks_left -= 1
        return self._looks_left < 0

    def _result(self, built: Built) -> Result:
        build = built.build
        log = f"{self._given.server}/api/v1/builds/{build.id}/attempts/{build.attempt}/log"
        ended, asked = build.finished_at, self._ordered.order.wanted.at
        return Result(
            package=build.commit.package,
            target=build.target,
            build=build,
            ran=ended is not None and ended > asked,
            repository=built.repository,
            log=log if build.attempt else None,
            error=_ended_without_cause(build),
        )


def _ended_without_cause(build: Build) -> ConveyorError | None:
    """The error of what nobody built: it was cancelled or superseded."""
    if build.outcome is Outcome.SUCCEEDED or build.cause is not None:
        return None
    return NotPossible(f"{named(build)} was {build.outcome}", hint=f"conveyor --server URL why {build.id}")


def _refused(package: str, targets: Sequence[str], error: ConveyorError) -> Result:
    return Result(
        package=package,
        target=", ".join(targets) or "all of its targets",
        build=None,
        ran=False,
        repository="",
        log=None,
        error=error,
    )
