"""Puts together what decides on promotions, what tells where they stand, and what takes votes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from conveyor.pipeline.pointing.choose import Chooser
from conveyor.pipeline.pointing.knowledge import Knowledge
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.pointing.promote import Promoter
from conveyor.pipeline.pointing.standings import Standings
from conveyor.pipeline.pointing.voting import Voting
from conveyor.ports import Clock, Ledger, Repository, Store, Votes

if TYPE_CHECKING:
    from conveyor.config import Repos


class Written(Protocol):
    """What was recorded and published: a Conveyor, or Records."""

    @property
    def store(self) -> Store:
        """What was built."""

    @property
    def ledger(self) -> Ledger:
        """Where pointers led."""

    @property
    def votes(self) -> Votes:
        """What tests say."""

    @property
    def tree(self) -> Repository:
        """The published tree."""

    @property
    def clock(self) -> Clock:
        """The time."""


def make_promoter(
    repos: Repos,
    *,
    store: Store,
    ledger: Ledger,
    votes: Votes,
    repository: Repository,
    pointers: Pointers,
    clock: Clock,
) -> Promoter:
    """What decides on promotions and moves them."""
    knowledge = Knowledge(store, votes, repository, clock, _grid(repos))
    return Promoter(
        store=store,
        repository=repository,
        pointers=pointers,
        knowledge=knowledge,
        chooser=Chooser(store, ledger, repository, knowledge),
        policies=tuple(repos.promotions.values()),
    )


def make_standings(written: Written, repos: Repos) -> Standings:
    """What tells where pointers stand."""
    knowledge = Knowledge(written.store, written.votes, written.tree, written.clock, _grid(repos))
    return Standings(
        written.store, written.ledger, written.tree, knowledge, tuple(repos.promotions.values()), components_of(repos)
    )


def make_voting(written: Written, repos: Repos) -> Voting:
    """What takes votes."""
    return Voting(written.store, written.votes, written.tree, written.clock, tuple(repos.targets))


def components_of(repos: Repos) -> Mapping[str, Mapping[str, str]]:
    """By target, the component of each package that is built for it."""
    packages = repos.packages.items()
    return {
        target: {name: package.component for name, package in packages if target in package.targets}
        for target in repos.targets
    }


def _grid(repos: Repos) -> Mapping[str, tuple[str, ...]]:
    return {name: package.targets for name, package in repos.packages.items()}
