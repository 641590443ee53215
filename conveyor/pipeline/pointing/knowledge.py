"""What is known of snapshots that promotions may lead to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from conveyor.model.build import Build, Outcome
from conveyor.model.commit import SHORT_SHA_DIGITS
from conveyor.model.promotion import PromotionPolicy
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.looking.find_commit import builds_by_target
from conveyor.pipeline.pointing.coherence import Contents, Difference, Grid, differences
from conveyor.pipeline.pointing.evidence import Facts, told_build
from conveyor.ports import Clock, Repository, Store, Votes

REMEMBERED = 64
LISTED = 10
LOOKED_AT = 10  # a package's last builds, of which some may be superseded


class Knowledge:
    """Asks store, votes and published tree.

    Args:
        store: what was built and published.
        votes: what tests say.
        repository: the published tree.
        clock: the time.
        grid: for each package of repos.yaml the targets that it is built for.
    """

    def __init__(self, store: Store, votes: Votes, repository: Repository, clock: Clock, grid: Grid) -> None:
        self._store = store
        self._votes = votes
        self._repository = repository
        self._clock = clock
        self.grid = grid
        # Snapshots never change.
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._read)

    def facts(self, snapshot: PublishedSnapshot, policy: PromotionPolicy) -> Facts:
        """What is known of a snapshot, as far as a policy asks for it."""
        commit, target = snapshot.commit, snapshot.target
        builds = builds_by_target(self._store.of_commit(commit)) if policy.succeeded_on else {}
        return Facts(
            snapshot=snapshot,
            now=self._clock.now(),
            votes=self._votes.of(commit, target=target) if policy.votes else (),
            builds={target: build for target, build in builds.items() if build.commit.id == commit},
            built_for=self.grid.get(snapshot.package, ()),
        )

    def snapshot(self, target: str, commit_id: str) -> PublishedSnapshot | None:
        """The published snapshot of a commit, collected or not; None where there never was one."""
        found = [each for each in self._store.published(target, commit=commit_id) if each.commit == commit_id]
        return found[-1] if found else None

    def contents(self, target: str, commit_id: str) -> Contents:
        """The commit of each package in a snapshot.

        Raises:
            UnknownName: there is no such snapshot.
            SnapshotDamaged: it cannot be read.
        """
        return self._remembered(target, commit_id)

    def differences(self, commits: Mapping[str, str]) -> tuple[str, ...]:
        """What keeps snapshots apart, a line for each package: on which target it is at which commit, and why.

        Args:
            commits: whose snapshot it is, by target.
        """
        found = differences({target: self.contents(target, commit) for target, commit in commits.items()}, self.grid)
        more = (f"and {len(found) - LISTED} more packages",) if len(found) > LISTED else ()
        return (*(self._told(each) for each in found[:LISTED]), *more)

    def _told(self, difference: Difference) -> str:
        cells = (self._cell(difference.package, *item) for item in difference.commits.items())
        return f"{difference.package} on {', '.join(cells)}"

    def _cell(self, package: str, target: str, commit: str | None) -> str:
        why = self._why(package, target, commit)
        return f"{target}: {commit[:SHORT_SHA_DIGITS] if commit else 'none'}" + (f" ({why})" if why else "")

    def _why(self, package: str, target: str, commit: str | None) -> str:
        """Why a snapshot does not have a later commit; empty where there is no reason."""
        builds = self._store.builds(package=package, target=target, trunk=True, limit=LOOKED_AT)
        latest = next(filter(_counts, builds), None)
        if latest is None:
            return "" if commit else told_build(None)
        return "" if latest.outcome is Outcome.SUCCEEDED and latest.published else told_build(latest)

    def _read(self, target: str, commit_id: str) -> Contents:
        return {each.package: each.commit for each in self._repository.manifest(target, commit_id).packages}


def _counts(build: Build) -> bool:
    return build.outcome is not Outcome.SUPERSEDED
