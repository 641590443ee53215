"""Votes: what may be voted on, by whom, and with which words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.errors import UnknownName, UserError
from conveyor.pipeline.pointing.voting import MAX_NOTES, Ballot, Voting
from tests.support.workshop import TARGET, Workshop, new_world

OTHER = replace(TARGET, name="local-1-x86_64")
BOTH = (TARGET.name, OTHER.name)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(new_world(tmp_path, "nova", "oslo"), targets=(TARGET, OTHER))


def voting(workshop: Workshop) -> Voting:
    world = workshop.world
    return Voting(world.store, world.votes, world.repository, world.clock, BOTH)


def ballot(commit: str, **more: object) -> Ballot:
    whole = {"target": None, "job": "smoke", "success": True, "user": "ann", **more}
    return Ballot(commit=commit, **whole)  # type: ignore[arg-type]


def test_a_vote_is_on_the_whole_id_at_the_time(workshop: Workshop) -> None:
    commit = workshop.build("nova").build.commit
    vote = voting(workshop).vote(ballot(commit.short, notes="\x1b[2Jfine", url="https://ci.example.org/1"))
    assert (vote.subject, vote.target, vote.success, vote.notes) == (commit.id, "", True, "\x1b[2Jfine")
    assert workshop.world.votes.of(commit.id, target=TARGET.name) == (vote,)


def test_a_pointer_s_name_is_what_it_leads_to(workshop: Workshop) -> None:
    first = workshop.build("nova", target=OTHER).build.commit
    workshop.push("nova", "Second")
    second = workshop.build("nova").build.commit
    assert voting(workshop).vote(ballot("current", target=OTHER.name)).subject == first.id
    with pytest.raises(UnknownName) as raised:
        voting(workshop).vote(ballot("current"))
    assert raised.value.what == "current leads to different commits"
    assert list(raised.value.details) == [f"{TARGET.name}: {second.id}", f"{OTHER.name}: {first.id}"]


def test_only_what_is_published_is_voted_on(workshop: Workshop) -> None:
    commit = workshop.build("nova").build.commit
    workshop.push("nova", "Second")
    queued = workshop.commit("nova")
    workshop.world.store.queue(queued, TARGET.name, retry=False)
    for named, target in ((commit.id, OTHER.name), (queued.id, None), (queued.id, TARGET.name)):
        with pytest.raises(UnknownName) as raised:
            voting(workshop).vote(ballot(named, target=target))
        assert raised.value.what.startswith(f"commit {named} is not published")
    with pytest.raises(UnknownName) as raised:
        voting(workshop).vote(ballot("0123456"))
    assert raised.value.what == "there is no commit '0123456'"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"job": ""}, "'' is no name of a job"),
        ({"job": "two words"}, "'two words' is no name of a job"),
        ({"job": "\x1b[31m"}, "'\\x1b[31m' is no name of a job"),
        ({"job": "j" * 201}, "is no name of a job"),
        ({"url": "javascript:alert(1)"}, "'javascript:alert(1)' is no URL of a log"),
        ({"url": "https://"}, "'https://' is no URL of a log"),
        ({"url": "https://x\n"}, "is no URL of a log"),
        ({"url": "https://x y"}, "is no URL of a log"),
        ({"url": "https://" + "x" * 1000}, "is no URL of a log"),
        ({"notes": "n" * (MAX_NOTES + 1)}, f"the notes have more than {MAX_NOTES} characters"),
        ({"user": ""}, "'' is no name of a user"),
        ({"user": "a\nb"}, "'a\\nb' is no name of a user"),
    ],
)
def test_what_no_vote_can_have(workshop: Workshop, wrong: dict[str, str], what: str) -> None:
    commit = workshop.build("nova").build.commit
    with pytest.raises(UserError) as raised:
        voting(workshop).vote(ballot(commit.id, **wrong))
    assert what in raised.value.what
    assert raised.value.hint
    assert workshop.world.votes.of(commit.id) == ()
