"""The attempt of a build that a request names, and its log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import Depends, Path

from conveyor.errors import UnknownName
from conveyor.model.build import AttemptRecord, Build, Outcome
from conveyor.web.access.guard import Reader
from conveyor.web.site import Here, Site

# What the store's columns hold.
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """An attempt with a log.

    Attributes:
        site: what it is of.
        build: the build.
        attempt: the attempt.
        path: the log, which may be gone.
    """

    site: Site
    build: Build
    attempt: AttemptRecord
    path: FilePath

    @property
    def causes(self) -> frozenset[str]:
        """Lines that the pipeline found to be why it failed."""
        return frozenset(self.attempt.cause.details) if self.attempt.cause else frozenset()

    @property
    def url(self) -> str:
        """Where its log is served, without a slash at the end."""
        return f"/builds/{self.build.id}/attempts/{self.attempt.number}/log"

    def ended(self, *, quiet: bool) -> str:
        """What became of the attempt; empty while something may still be written to its log.

        Args:
            quiet: whether nothing has been written for long, so that a build that was not published will not be now.
        """
        now = find_log(self.site, self.build.id, self.attempt.number)
        outcome = now.attempt.outcome
        publishes = outcome is Outcome.SUCCEEDED and now.build.commit.trunk and not now.build.published
        return "" if outcome is None or (publishes and not quiet) else outcome.value


def find_log(site: Site, number: int, attempt: int) -> Logged:
    """The log of a build's attempt.

    Raises:
        UnknownName: there is no such build or attempt, or it wrote no log.
    """
    build = site.conveyor.store.build(number)
    found = next((each for each in site.conveyor.store.attempts(number) if each.number == attempt), None)
    if found is None:
        raise UnknownName(
            f"build {number} has no attempt {attempt}",
            cause=f"it is {build.state}, and was tried {build.attempt} times",
        )
    path = (site.settings.data_dir / found.log).absolute() if found.log else None
    # The store may be another site's, brought here by `conveyor import`.
    if path is None or not path.resolve().is_relative_to((site.settings.data_dir / "builds").resolve()):
        raise UnknownName(f"attempt {attempt} of build {number} has no log", hint="it did not come so far")
    return Logged(site=site, build=build, attempt=found, path=path)


def _named(site: Here, _reader: Reader, number: Number, attempt: Number) -> Logged:
    return find_log(site, number, attempt)


# The log that the path of a request names, for those who may look.
NamedLog = Annotated[Logged, Depends(_named)]
