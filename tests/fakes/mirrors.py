"""The ports `MirrorStates` and `Copier` in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from conveyor.errors import ConveyorError
from conveyor.model.mirror import Copied, Mirror, MirrorState
from conveyor.ports import Repository
from conveyor.store.types import harmless, utc


class MemoryMirrorStates:
    """See `conveyor.ports.MirrorStates`."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], MirrorState] = {}

    def of(self, mirror: str, target: str) -> MirrorState:
        return self._states.get((mirror, target)) or MirrorState(mirror=mirror, target=target)

    def succeeded(self, mirror: str, target: str, at: datetime) -> None:
        self._states[mirror, target] = MirrorState(mirror=mirror, target=target, synced_at=utc(at))

    def failed(self, mirror: str, target: str, at: datetime, cause: str) -> None:
        before = self.of(mirror, target)
        failed = replace(before, failed_at=utc(at), failures=before.failures + 1, cause=harmless(cause))
        self._states[mirror, target] = failed


@dataclass(kw_only=True)
class FakeCopier:
    """The port `Copier`: copies nothing, and remembers what it was asked for.

    Attributes:
        repository: whose pointers it reads.
        calls: mirror, target and commits of each call.
        failure: what it raises.
        busy: whether another process holds the mirrors.
    """

    repository: Repository
    calls: list[tuple[str, str, frozenset[str] | None]] = field(default_factory=list)
    failure: ConveyorError | None = None
    busy: bool = False

    @contextmanager
    def alone(self, mirror: Mirror) -> Iterator[bool]:
        del mirror
        yield not self.busy

    def copy(self, mirror: Mirror, target: str, commits: Collection[str] | None, *, dry_run: bool = False) -> Copied:
        del dry_run
        self.calls.append((mirror.name, target, None if commits is None else frozenset(commits)))
        if self.failure is not None:
            raise self.failure
        return Copied(pointers=dict(self.repository.pointers(target)), files=1, size=10, removed=0)
