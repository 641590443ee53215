"""Why a repository is polled or not, and why a commit has no build."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from conveyor.model.package import CommitPolicy, Following
from conveyor.model.watch import Head, Poke, Remote, Side
from conveyor.pipeline.explaining.polling import (
    Followed,
    Sighting,
    Whereabouts,
    never_built,
    obstacle,
    polling,
    unbuilt,
)
from tests.fakes import store_samples as sample
from tests.support.workshop import package_of

NOW = sample.minute(60)
NOVA = package_of("nova")
SHA = sample.sha1("1")
HEAD = Head(package="nova", side=Side.UPSTREAM, url=NOVA.upstream, ref="master", sha=SHA, at=sample.minute(1))
REMOTE = Remote(
    url=NOVA.upstream,
    polled_at=sample.minute(59),
    answered_at=sample.minute(59),
    failures=0,
    cause="",
    next_at=sample.minute(64),
)
GOOD = Followed(side=Side.UPSTREAM, url=NOVA.upstream, ref="master", head=HEAD, remote=REMOTE)
SILENT = replace(GOOD, remote=replace(REMOTE, answered_at=sample.minute(0), failures=3, cause="Could not resolve host"))
NEVER_HEARD = replace(SILENT, remote=replace(REMOTE, answered_at=None, failures=1, cause="no such host"))
GONE = replace(GOOD, head=replace(HEAD, sha=None))
NEW = replace(GOOD, head=None, remote=None)


def lines(*followed: Followed, poke: Poke | None = None, daemon: bool = True) -> list[str]:
    return list(polling(followed, poke, NOW, daemon=daemon))


@pytest.mark.parametrize(
    ("followed", "word", "told"),
    [
        (GOOD, "", ["answered at 2026-03-01 12:59:00 UTC (1 min ago)", "asked again", "in 4 min"]),
        (
            SILENT,
            "its upstream repository does not answer",
            ["has not answered since 2026-03-01 12:00:00 UTC (1 h ago): Could not resolve host", "3 times in vain"],
        ),
        (
            NEVER_HEARD,
            "its upstream repository does not answer",
            ["has never answered: no such host", "once"],
        ),
        (GONE, "the followed branch of its upstream repository is gone", ["its branch master has been gone since"]),
        (NEW, "it was never polled", ["upstream https://git.example.org/nova was never polled"]),
    ],
)
def test_how_a_repository_is_polled(followed: Followed, word: str, told: list[str]) -> None:
    text = "\n".join(lines(followed))
    assert obstacle([followed]) == word
    assert [each for each in told if each not in text] == [], text


def test_what_is_due_is_told_as_such() -> None:
    due = replace(GOOD, remote=replace(REMOTE, next_at=NOW - timedelta(seconds=3)))
    assert lines(due)[0].endswith("; it is due now")


def test_no_daemon_polls_nothing() -> None:
    assert "no daemon is running" in lines(GOOD, daemon=False)[-1]


def test_a_poke_is_told() -> None:
    poke = Poke(package="nova", actor="ann@hub", at=NOW - timedelta(seconds=5))
    assert lines(GOOD, poke=poke)[-1] == (
        "ann@hub asked for a poll at 2026-03-01 12:59:55 UTC (5 s ago), which has not been made yet"
    )


def test_a_password_in_a_url_is_not_told() -> None:
    secret = replace(GOOD, url="https://ann:secret@git.example.org/nova")
    assert "secret" not in "\n".join(lines(secret))


@pytest.mark.parametrize(
    ("target", "policy", "followed", "daemon", "told"),
    [
        ("centos-10-x86_64", CommitPolicy.EVERY, GOOD, True, "repos.yaml does not build it for centos-10-x86_64"),
        (sample.TARGET, CommitPolicy.EVERY, GOOD, False, "no daemon is running"),
        (sample.TARGET, CommitPolicy.EVERY, SILENT, True, "does not answer, so no commit is known"),
        (sample.TARGET, CommitPolicy.EVERY, NEW, True, "it was never polled, so no commit is known"),
        (sample.TARGET, CommitPolicy.TAGS, GOOD, True, "only commits that a tag with a version leads to are built"),
        (sample.TARGET, CommitPolicy.EVERY, GOOD, True, "no commit of it was queued for this target yet"),
    ],
)
def test_why_a_package_was_never_built(
    target: str, policy: CommitPolicy, followed: Followed, daemon: bool, told: str
) -> None:
    package = replace(NOVA, following=Following(commits=policy))
    summary, hint = never_built(target, package, [followed], daemon=daemon)
    assert told in summary
    assert hint


@pytest.mark.parametrize("policy", CommitPolicy)
@pytest.mark.parametrize("where", Whereabouts)
def test_why_a_commit_has_no_build_has_an_answer_everywhere(where: Whereabouts, policy: CommitPolicy) -> None:
    package = replace(NOVA, following=Following(commits=policy))
    summary, hint = unbuilt(Sighting(package=package, where=where, sha=SHA))
    assert summary
    assert "nova" in hint
    if where is Whereabouts.BEHIND:
        assert ("before that was followed" in summary) is (policy is not CommitPolicy.TAGS)
        assert hint == f"to build it: conveyor build nova --commit {SHA}"
