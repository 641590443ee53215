"""The whole way with mock as the builder."""

from __future__ import annotations

import pytest

from tests.support.mock import need_mock
from tests.support.site import RPM, TARGETS, Site, wait_for

pytestmark = pytest.mark.e2e

WHILE_KILLED = 0.5


@pytest.fixture
def mock_site(rpm_site: Site) -> Site:
    """One site whose target is built by mock."""
    need_mock()
    rpm_site.targets = {RPM: f"{TARGETS[RPM]}\n    builder: mock"}
    rpm_site.configure()
    return rpm_site


def test_the_next_commit_finds_the_first_one_and_the_kept_root(mock_site: Site) -> None:
    first = mock_site.run("build", "hello")
    assert first.code == 0, first.err
    mock_site.upstream.commit("Say more", files={"README": b"More.\n"})
    second = mock_site.run("build", "hello")
    assert second.code == 0, second.err
    assert len(mock_site.artifacts(".noarch.rpm")) == 2
    said = mock_site.run("log", "2").out
    assert said.count("Start: unpacking root cache") == 3
    assert "--enablerepo=trunk" in said
    assert mock_site.left_behind == []


@pytest.mark.parametrize("stage", ["source", "build", "install"])
def test_a_start_after_a_kill_builds_and_publishes(mock_site: Site, stage: str) -> None:
    mock_site.stall(stage, WHILE_KILLED)
    running = mock_site.start("build", "hello")
    mock_site.reach(running, stage)
    mock_site.killed(running)
    wait_for(lambda: not any("process" in each or "mounts" in each for each in mock_site.left_behind), "mock to die")
    again = mock_site.run("build", "hello", "--json")
    assert again.code == 0, again.err
    (result,) = again.json["results"]
    assert (result["outcome"], result["build"]["attempt"], result["build"]["published"]) == ("succeeded", 2, True)
    assert mock_site.left_behind == []
