"""What is to be done beside builds, by a process that can be stopped at any point: the daemon's chores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from conveyor.errors import ConveyorError, Interrupted
from conveyor.model.target import Target
from conveyor.model.work import Chore
from conveyor.wiring.conveyor import Conveyor
from conveyor.wiring.keeping import make_collect
from conveyor.wiring.mirroring import make_mirroring

# What was done, in words; or what kept it from being done.
Outcomes = Iterator[str | ConveyorError]


def carry_out(conveyor: Conveyor, chore: Chore) -> Outcomes:
    """Do a chore; what goes wrong in one part of it is no reason to leave the rest undone."""
    doers: dict[Chore, Callable[[Conveyor], Outcomes]] = {
        Chore.SETTLE: settle,
        Chore.REFRESH: refresh,
        Chore.COLLECT: collect,
        Chore.MIRROR: mirror,
    }
    return doers[chore](conveyor)


def settle(conveyor: Conveyor) -> Outcomes:
    """Bring everything to the state that it would have had without a kill."""
    yield from conveyor.recovery.run()


def refresh(conveyor: Conveyor) -> Outcomes:
    """Make the bases that are due anew."""
    for target in due(conveyor):
        try:
            made = conveyor.builders.stocks[target.builder].refresh(target, refresh_log(conveyor, target))
        except Interrupted:
            raise
        except ConveyorError as error:
            yield error
        else:
            yield f"{target.name} was refreshed" if made else f"another process refreshes {target.name}"


def collect(conveyor: Conveyor) -> Outcomes:
    """Remove what retention does not keep."""
    collecting = make_collect(conveyor)
    for target in collected(conveyor):
        try:
            removal = collecting.run(target, dry_run=False)
        except Interrupted:
            raise
        except ConveyorError as error:
            yield error
        else:
            count = 0 if removal is None else len(removal.snapshots)
            yield f"{target}: {count} snapshots removed, {removal.size if removal else 0} bytes freed"


def mirror(conveyor: Conveyor) -> Outcomes:
    """Bring mirrors up to date."""
    mirroring = make_mirroring(
        conveyor.settings,
        conveyor.repos,
        store=conveyor.store,
        ledger=conveyor.ledger,
        states=conveyor.mirrors,
        tree=conveyor.tree,
    )
    for brought in mirroring.catch_up():
        yield brought.error or f"mirror {brought.mirror} has {brought.target}"


def due(conveyor: Conveyor) -> tuple[Target, ...]:
    """The targets whose bases are due to be made anew."""
    found = []
    for target in conveyor.repos.targets.values():
        with suppress(ConveyorError):  # a builder that is not here: its builds say so
            if is_due(conveyor, target):
                found.append(target)
    return tuple(found)


def is_due(conveyor: Conveyor, target: Target) -> bool:
    """Whether the base of a target is due to be made anew."""
    return conveyor.builders.stocks[target.builder].is_due(target)


def collected(conveyor: Conveyor) -> tuple[str, ...]:
    """Names of the targets that retention removes from."""
    policies = conveyor.repos.retention
    return tuple(name for name in conveyor.repos.targets if name in policies and policies[name].newest is not None)


def stock_sizes(conveyor: Conveyor) -> dict[str, int]:
    """Bytes that the builders keep between builds, by what it is."""
    sizes: Counter[str] = Counter()
    for kind, buildroots in conveyor.builders.stocks.items():
        targets = [target for target in conveyor.repos.targets.values() if target.builder is kind]
        with suppress(ConveyorError):  # a builder that is not here keeps nothing
            for item in buildroots.stock(targets) if targets else ():
                sizes[item.kind] += item.size
    return dict(sizes)


def refresh_log(conveyor: Conveyor, target: Target) -> Path:
    """Where it is written what making a base says; each time anew."""
    log = conveyor.settings.data_dir / "buildroots" / f"{target.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    return log
