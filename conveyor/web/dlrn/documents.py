"""What DLRN's clients are told of votes, repositories and promotions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from conveyor.model.promotion import LedgerEntry, Vote
from conveyor.web.dlrn.place import Place, Repo

Json = dict[str, Any]


def seconds(moment: datetime) -> int:
    """A moment in seconds since 1970."""
    return int(moment.timestamp())


def tested(repo: Repo, vote: Vote) -> Json:
    """A repository, and the vote that led to it."""
    return {
        **_hashes(repo),
        "timestamp": seconds(vote.at),
        "job_id": vote.job,
        "success": bool(vote.success),
        "in_progress": vote.success is None,
        "user": vote.user,
        "component": repo.component,
    }


def vote_on_repo(repo: Repo, vote: Vote) -> Json:
    """A vote on a commit."""
    return {**_hashes(repo), **_vote(vote), "component": repo.component}


def vote_on_aggregate(vote: Vote) -> Json:
    """A vote on an aggregated repository file."""
    return {"aggregate_hash": vote.subject, **_vote(vote)}


def promotion(place: Place, entry: LedgerEntry, aggregate: str | None) -> Json:
    """Where a promotion led, and who moved it there.

    Args:
        place: the target.
        entry: the ledger's entry.
        aggregate: the md5 of the snapshot's aggregated repository file.
    """
    repo = place.repo(entry.step.after)
    return {
        **_hashes(repo),
        "aggregate_hash": aggregate,
        "repo_hash": repo.commit,
        "repo_url": place.url(repo.commit),
        "promote_name": entry.step.pointer,
        "component": repo.component,
        "timestamp": seconds(entry.at),
        "user": entry.actor,
    }


def _hashes(repo: Repo) -> Json:
    return {
        "commit_hash": repo.commit_hash,
        "distro_hash": repo.distro_hash,
        "extended_hash": repo.extended_hash,
    }


def _vote(vote: Vote) -> Json:
    return {
        "timestamp": seconds(vote.at),
        "job_id": vote.job,
        "success": bool(vote.success),
        "in_progress": vote.success is None,
        "url": vote.url,
        "notes": vote.notes,
        "user": vote.user,
    }
