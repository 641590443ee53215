"""Ctrl-C and kill -9 in each stage, and two at once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.site import DEB, RPM, Site, holding, wait_for

pytestmark = pytest.mark.e2e

# On which target a stage can be made to last.
STAGES = {"render": RPM, "base": DEB, "source": RPM, "buildroot": DEB, "build": DEB, "check": RPM, "install": RPM}
# Bases as old as these are made anew: the tests stop that, and never wait for it.
ANEW = {"CONVEYOR_BASE_MAX_AGE": "1s"}
WHILE_INTERRUPTED = 60.0
WHILE_KILLED = 0.5


@contextmanager
def publishing_held(site: Site, target: str) -> Iterator[None]:
    with holding(site.data / "repos" / target / ".lock"):
        yield


@pytest.mark.parametrize("stage", STAGES)
def test_interrupt_cancels_the_build(site: Site, stage: str) -> None:
    site.stall(stage, WHILE_INTERRUPTED)
    running = site.start("build", "hello", "--target", STAGES[stage], env=ANEW if stage == "base" else None)
    site.reach(running, stage)
    said = site.interrupted(running)
    assert said.code == 130
    assert "cancelled" in said.err
    assert site.left_behind == []
    build = site.build()
    assert (build["state"], build["outcome"], build["published"]) == ("finished", "cancelled", False)
    assert build["stages"][-1]["stage"] == stage
    assert site.published == ()


def test_interrupt_of_publishing_leaves_a_build_that_the_next_start_publishes(rpm_site: Site) -> None:
    with publishing_held(rpm_site, RPM):
        running = rpm_site.start("build", "hello")
        rpm_site.reach(running, "publish")
        said = rpm_site.interrupted(running)
    assert said.code == 130
    assert f"the build of hello for {RPM} succeeded, but was not published" in said.err
    assert "next: the next 'conveyor build' publishes it" in said.err
    build = rpm_site.build()
    assert (build["outcome"], build["published"]) == ("succeeded", False)
    again = rpm_site.run("build", "hello", "--json")
    assert again.code == 0
    (result,) = again.json["results"]
    assert (result["built_now"], result["build"]["published"]) == (False, True)


def test_interrupt_while_an_upstream_does_not_answer(rpm_site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = threading.Event()

        def accept() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                accepted.set()
                connection.recv(1 << 16)
                connection.recv(1)

        thread = threading.Thread(target=accept)
        thread.start()
        rpm_site.packages["hello"] = f'{{upstream: "git://127.0.0.1:{server.getsockname()[1]}/hello.git"}}'
        rpm_site.configure()
        running = rpm_site.start("build", "hello")
        assert accepted.wait(30)
        said = rpm_site.interrupted(running)
        thread.join(30)
    assert said.code == 130
    assert "interrupted" in said.err
    assert rpm_site.left_behind == []
    assert rpm_site.published == ()


@pytest.mark.parametrize("stage", STAGES)
def test_a_start_after_a_kill_builds_and_publishes(site: Site, stage: str) -> None:
    site.stall(stage, WHILE_KILLED)
    target = STAGES[stage]
    running = site.start("build", "hello", "--target", target, env=ANEW if stage == "base" else None)
    site.reach(running, stage)
    site.killed(running)
    # The kernel needs a moment for the mounts and processes of a killed sandbox.
    wait_for(lambda: not any("process" in each or "mounts" in each for each in site.left_behind), "the sandbox to die")
    assert site.build()["state"] == "running"
    again = site.run("build", "hello", "--target", target, "--json")
    assert again.code == 0, again.err
    (result,) = again.json["results"]
    assert (result["outcome"], result["build"]["attempt"], result["build"]["published"]) == ("succeeded", 2, True)
    assert site.left_behind == []


def test_a_start_after_a_kill_while_publishing_publishes(rpm_site: Site) -> None:
    with publishing_held(rpm_site, RPM):
        running = rpm_site.start("build", "hello")
        rpm_site.reach(running, "publish")
        rpm_site.killed(running)
    again = rpm_site.run("build", "hello", "--json")
    assert again.code == 0, again.err
    (result,) = again.json["results"]
    assert (result["built_now"], result["build"]["attempt"], result["build"]["published"]) == (False, 1, True)


def test_two_at_once_build_once(rpm_site: Site) -> None:
    rpm_site.stall("build", 2)
    first = rpm_site.start("build", "hello", "--json")
    rpm_site.reach(first, "build")
    second = rpm_site.run("build", "hello", "--json")
    told_first, told_second = rpm_site.end(first), second
    assert (told_first.code, told_second.code) == (0, 0), (told_first.err, told_second.err)
    (one,), (other,) = told_first.json["results"], told_second.json["results"]
    assert (one["built_now"], other["built_now"]) == (True, False)
    assert one["build"] == other["build"]
    assert one["repository"] == other["repository"]
    assert one["build"]["attempt"] == 1
