"""After a kill at any point: bring everything to the state that it would have had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from conveyor.errors import ConveyorError
from conveyor.model.build import Build
from conveyor.model.target import Target
from conveyor.pipeline.claims import Claims
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.publish import Publisher
from conveyor.ports import Repository, Store


class Recovery:
    """Run at every start; what living processes work on is left alone.

    Args:
        claims: knows which builds' processes are gone.
        publisher: publishes what was built but not published.
        pointers: completes moves of pointers.
        store: what happened.
        repository: the published tree.
        targets: the configured targets, by name.
        sweepers: remove what killed processes left elsewhere.
        follow: lets promotions follow what was published; returns what kept any from it.
    """

    def __init__(
        self,
        *,
        claims: Claims,
        publisher: Publisher,
        pointers: Pointers,
        store: Store,
        repository: Repository,
        targets: Mapping[str, Target],
        sweepers: Sequence[Callable[[], None]],
        follow: Callable[[], tuple[ConveyorError, ...]] = tuple,
    ) -> None:
        self._claims = claims
        self._publisher = publisher
        self._pointers = pointers
        self._store = store
        self._repository = repository
        self._targets = targets
        self._sweepers = sweepers
        self._follow = follow

    def run(self) -> tuple[ConveyorError, ...]:
        """Release dead claims, remove what was left half-done, complete moves, publish what is built, promote.

        Returns what kept pointers from being moved and builds from being published: each keeps back itself alone, and
        is tried again the next time.
        """
        for sweep in self._sweepers:
            sweep()
        self._claims.release_dead()
        self._repository.clean()
        problems = self._pointers.recover(self._targets)
        problems += tuple(error for build in self._store.unpublished() if (error := self._publish(build)) is not None)
        return problems + self._follow()

    def _publish(self, build: Build) -> ConveyorError | None:
        target = self._targets.get(build.target)
        try:
            if target is not None:
                self._publisher.publish(build, target)
        except ConveyorError as error:
            return error
        return None
