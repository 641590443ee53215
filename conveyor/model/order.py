"""What somebody orders from afar: a build of a commit, which the daemon finds and puts into the queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conveyor.model.build import Cause


class OrderState(StrEnum):
    """What has become of an order."""

    WAITING = "waiting"  # the daemon has not looked for the commit yet
    TAKEN = "taken"  # there are builds of it
    REFUSED = "refused"  # there will be none


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """What somebody wants to be built.

    Attributes:
        package: the package's name.
        revision: branch, tag or sha of the upstream; empty for the newest commit of the followed branch.
        targets: names of targets; empty for the package's own.
        actor: who wants it.
        at: when, with zone.
    """

    package: str
    revision: str
    targets: tuple[str, ...]
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order, and what became of it.

    Attributes:
        number: its number.
        wanted: what was ordered.
        builds: numbers of the builds that it is carried out with, in the order of its targets.
        cause: why it was refused; None where it was not.
        settled_at: when it was taken or refused, with zone; None while it waits.
    """

    number: int
    wanted: NewOrder
    builds: tuple[int, ...] = ()
    cause: Cause | None = None
    settled_at: datetime | None = None

    @property
    def state(self) -> OrderState:
        """What has become of it."""
        if self.settled_at is None:
            return OrderState.WAITING
        return OrderState.TAKEN if self.cause is None else OrderState.REFUSED
