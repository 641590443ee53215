"""What tests say of published commits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

from conveyor.errors import UnknownName, UserError
from conveyor.model.promotion import Vote, is_job_name
from conveyor.pipeline.looking.find_commit import Meant, find_commit
from conveyor.ports import Clock, Repository, Store, Votes

MAX_NOTES = 10_000
MAX_LINE = 1000
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """What a test has to say.

    Attributes:
        commit: as `find_commit` takes it; for `Voting.cast` what is voted on.
        target: the target that was tested; None for all.
        job: name of the test.
        success: what it says; None while it runs.
        url: where its log is; may be empty.
        notes: its words; may be empty.
        user: who votes.
        at: when, with zone; None for now. What lies in the future is now, too.
    """

    commit: str
    target: str | None
    job: str
    success: bool | None
    url: str = ""
    notes: str = ""
    user: str
    at: datetime | None = None


class Voting:
    """Takes votes.

    Args:
        store: what was built.
        votes: where they are kept.
        repository: the published tree.
        clock: the time of votes.
        targets: names of all targets.
    """

    def __init__(
        self, store: Store, votes: Votes, repository: Repository, clock: Clock, targets: tuple[str, ...]
    ) -> None:
        self._store = store
        self._votes = votes
        self._repository = repository
        self._clock = clock
        self._targets = targets

    def vote(self, ballot: Ballot) -> Vote:
        """Remember a vote; earlier ones of the same job stay, and the latest counts.

        Raises:
            UnknownName: there is no such commit, or it is not published.
            UserError: the job, the URL, the notes or the user are nothing that a vote can have.
        """
        _check(ballot)
        return self.cast(replace(ballot, commit=self.subject(ballot.commit, ballot.target)))

    def cast(self, ballot: Ballot) -> Vote:
        """Remember a vote on what its caller has seen to be published: a commit's id, or an aggregate's md5.

        Raises:
            UserError: the job, the URL, the notes or the user are nothing that a vote can have.
        """
        _check(ballot)
        now = self._clock.now()
        return self._votes.add(
            Vote(
                subject=ballot.commit,
                target=ballot.target or "",
                job=ballot.job,
                success=ballot.success,
                url=ballot.url,
                notes=ballot.notes,
                user=ballot.user,
                at=now if ballot.at is None else min(ballot.at, now),
            )
        )

    def subject(self, named: str, target: str | None) -> str:
        """The id of the published commit that goes by a name, on a target or anywhere.

        Raises:
            UnknownName: there is none; or a pointer leads to different ones.
        """
        targets = self._targets if target is None else (target,)
        meant = find_commit(self._store, self._repository, named, targets)
        commits = {*meant.commits.values()}
        if len(commits) > 1:
            raise UnknownName(
                f"{named} leads to different commits",
                hint="name the target: --target",
                details=[f"{target}: {commit}" for target, commit in meant.commits.items()],
            )
        published = [name for name in meant.commits if meant.by_pointer or self._is_published(meant, name)]
        if not published:
            where = "" if target is None else f" on {target}"
            raise UnknownName(
                f"commit {named} is not published{where}", hint="only what is published is tested and voted on"
            )
        return commits.pop()

    def _is_published(self, meant: Meant, target: str) -> bool:
        return target in meant.builds and meant.builds[target].published


def _check(ballot: Ballot) -> None:
    if not is_job_name(ballot.job):
        raise UserError(
            f"{ballot.job!r} is no name of a job",
            hint="use letters, digits and any of ._/:+-, at most 200; a letter or digit first",
        )
    if ballot.url and (len(ballot.url) > MAX_LINE or not _URL.fullmatch(ballot.url)):
        raise UserError(f"{ballot.url[:MAX_LINE]!r} is no URL of a log", hint="it begins with https:// or http://")
    if len(ballot.notes) > MAX_NOTES:
        raise UserError(f"the notes have more than {MAX_NOTES} characters", hint="put the log's URL into --url instead")
    if not 0 < len(ballot.user) <= MAX_LINE or not ballot.user.isprintable():
        raise UserError(f"{ballot.user[:MAX_LINE]!r} is no name of a user", hint="say who votes: --user NAME")
