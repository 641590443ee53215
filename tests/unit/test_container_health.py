"""What doctor says of containers: what was found out, or what would mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.tools.containerhealth import look
from conveyor.buildroot.tools.containerruntime import Runtimes
from conveyor.buildroot.tools.containers import Runtime
from conveyor.errors import CommandMissing, ConveyorError, SandboxUnusable

IMAGE = "localhost/pbuilder:latest"


class Found(Runtimes):
    """Finds what it is told."""

    def __init__(self, found: Runtime | ConveyorError) -> None:
        super().__init__(jobs=Jobs(Path("/nowhere")), site="x")
        self._answer = found

    def find(self, image: str) -> Runtime:
        assert image == IMAGE
        if isinstance(self._answer, ConveyorError):
            raise self._answer
        return self._answer


def test_what_works_by_itself_needs_no_remedy() -> None:
    finding = look(Found(Runtime(command=("podman",), own_users=True)), "debian", IMAGE)
    assert finding.good
    assert finding.subject == "debian"
    assert finding.detail == f"{IMAGE} runs by podman; root in it is nobody outside"
    assert finding.remedy == ""


def test_what_was_found_by_trying_is_told_as_settings_with_the_reasons() -> None:
    command = ("podman", "--cgroup-manager=cgroupfs", "--runtime=runc")
    finding = look(Found(Runtime(command=command, flags=("--ulimit", "nproc=5:5"))), "debian", IMAGE)
    assert finding.good
    assert 'container_command = ["podman", "--cgroup-manager=cgroupfs", "--runtime=runc"]' in finding.remedy
    assert "crun refuses hybrid control groups" in finding.remedy
    assert 'container_run_flags = ["--ulimit", "nproc=5:5"]' in finding.remedy
    assert "CAP_SYS_RESOURCE" in finding.remedy
    assert "root of this machine" in finding.detail


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv2", "apt-get install runc"),
        ("error setting rlimit type 7: operation not permitted", "container_run_flags = "),
        ("cannot find newuidmap", "/etc/subuid"),
        ("sd-bus call: Permission denied", "--cgroup-manager=cgroupfs"),
        ("Cannot connect to the Docker daemon", "start docker"),
        ("mount: permission denied", "--privileged"),
        ("gibberish", "say it in conveyor.toml"),
    ],
)
def test_what_does_not_work_is_told_with_what_mends_it(said: str, remedy: str) -> None:
    error = SandboxUnusable("podman cannot run containers here", cause=said, hint="say it in conveyor.toml")
    finding = look(Found(error), "debian", IMAGE)
    assert not finding.good
    assert said in finding.detail
    assert remedy in finding.remedy


def test_an_image_that_is_missing_is_told() -> None:
    finding = look(Found(CommandMissing("podman has no image", hint="build it")), "debian", IMAGE)
    assert (finding.good, finding.detail, finding.remedy) == (False, "podman has no image", "build it")
