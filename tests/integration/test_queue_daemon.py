"""The commands of the queue and `conveyor why` beside the real daemon, which does what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conveyor.model.build import Outcome, Stage, State
from conveyor.model.event import EventKind
from conveyor.model.watch import Side
from tests.support.daemons import QuickSite, site_of
from tests.support.site import DEB, wait_for

pytestmark = pytest.mark.integration

LONG = "sleep 600"


@pytest.fixture
def site() -> Iterator[QuickSite]:
    with site_of(QuickSite) as made:
        yield made


def say(site: QuickSite, *arguments: str, expected: int = 0) -> str:
    said = site.run(*arguments)
    assert said.code == expected, said.out + said.err
    return said.out + said.err


def asked(site: QuickSite, *arguments: str) -> dict[str, Any]:
    said = site.run(*arguments, "--json")
    assert said.code == 0, said.err
    return said.json


def why(site: QuickSite, *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = asked(site, "why", *arguments)["why"]
    return answer


def test_what_runs_is_shown_with_its_stage_and_cancelled(site: QuickSite) -> None:
    (first,) = site.queue_pushed(LONG)
    daemon = site.daemon("--no-poll")
    site.running(first)
    (second,) = site.queue_pushed("sleep 0")

    state = asked(site, "queue")
    assert [(each["build"], each["stage"]) for each in state["running"]] == [(first, Stage.BUILD)]
    assert [(each["build"], each["why"]) for each in state["waiting"]] == [(second, f"after build {first}")]
    assert why(site, str(first))["summary"].startswith("it is in build, for ")
    assert why(site, str(second))["summary"].startswith(f"build {first} of the same package first")
    assert why(site, DEB)["state"] == "works"
    assert "running: build" in say(site, "status")

    assert "the daemon ends it" in say(site, "cancel", str(first), "--actor", "ann")
    assert site.finished(first).outcome is Outcome.CANCELLED
    assert "ann cancelled it" in why(site, str(first))["summary"]
    site.in_the_trunk(second)
    daemon.stop()


def test_a_failure_is_explained_and_tried_again_on_request(site: QuickSite) -> None:
    (number,) = site.queue_pushed("fail")
    daemon = site.daemon("--no-poll")
    site.finished(number)
    answer = why(site, "hello")
    assert answer["state"] == "failed"
    assert any("that is final until something changes" in line for line in answer["because"][0]["lines"])

    assert "attempt 2" in say(site, "retry", "hello")
    site.wait(number, lambda build: build.attempt == 2 and build.state is State.FINISHED)
    assert "attempts: 1 failed, 2 failed" in why(site, str(number))["lines"]
    kinds = [event["kind"] for event in asked(site, "events", "--package", "hello")["events"]]
    assert [kind for kind in kinds if kind.startswith("failed")] == ["failed", "failed-again"]
    daemon.stop()


def test_an_error_is_tried_again_and_then_given_up(site: QuickSite) -> None:
    (number,) = site.queue_pushed("error")
    daemon = site.daemon("--no-poll", env={"CONVEYOR_DAEMON_RETRIES": "1", "CONVEYOR_DAEMON_RETRY_WAIT": "10s"})
    site.wait(number, lambda build: build.not_before is not None, "the wait for another try")
    answer = why(site, str(number))
    assert answer["state"] == "queued"
    assert answer["summary"].startswith("its last attempt errored; it is tried again at ")
    assert any("it errored once, the last time because" in line for line in answer["lines"])
    wait_for(lambda: site.events(EventKind.GAVE_UP), "it to be given up")
    assert "is not tried again by itself" in str(why(site, str(number)))
    daemon.stop()


def test_a_pause_holds_back_what_is_pushed_until_it_ends(site: QuickSite) -> None:
    site.add("other")
    say(site, "pause", "--package", "hello", "--note", "gate is red")
    daemon = site.daemon("--no-poll")
    (number,) = site.queue()
    wait_for(lambda: daemon.said("daemon started"), "the daemon")
    assert asked(site, "queue")["daemon"]["runs"]
    answer = why(site, str(number))
    assert "gate is red" in answer["summary"]
    assert answer["hint"] == "conveyor resume --package hello"
    (other,) = site.queue("other")
    site.in_the_trunk(other)
    assert site.one(number).state is State.QUEUED
    say(site, "resume", "--package", "hello")
    site.in_the_trunk(number)
    daemon.stop()


def test_a_poll_finds_at_once_what_was_pushed(site: QuickSite) -> None:
    old = site.upstream.head
    site.push("sleep 0")
    daemon = site.daemon()
    site.seen()
    site.in_the_trunk(1)
    assert asked(site, "status")["builds"]
    answer = why(site, old[:12])
    assert (answer["state"], answer["name"]) == ("not built", old)
    assert "before that was followed" in answer["summary"]

    sha = site.push("fail")
    assert "nothing that was fetched of hello begins with" in why(site, sha, "--package", "hello")["summary"]
    assert "no daemon" not in say(site, "poll", "hello")
    wait_for(lambda: site.events(EventKind.FAILED), "the poll and the build")
    answer = why(site, sha)
    assert answer["state"] == "failed"
    assert "it is there because: the upstream has a new commit" in str(answer["because"][0]["lines"])
    assert why(site, f"{DEB}/consistent")["state"] in {"newest", "held back"}

    site.upstream.delete_branch("master")
    say(site, "poll", "hello")
    gone = "the followed branch of its upstream repository is gone"
    wait_for(lambda: site.events(EventKind.BRANCH_GONE), "the branch to be missed")
    assert gone in why(site, "hello")["summary"]
    assert any("its branch master has been gone since" in line for line in why(site, "hello")["lines"])
    with site.books() as books:
        assert books.watch.heads()["hello", Side.UPSTREAM].sha is None
    daemon.stop()
