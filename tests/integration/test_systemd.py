"""The units that are shipped, under a systemd that has booted."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.model.build import Outcome
from conveyor.model.event import EventKind
from tests.support.daemons import QuickSite, RealSite, site_of
from tests.support.machine import Machine, machine
from tests.support.nothing_lost import lost
from tests.support.published import need
from tests.support.site import CACHE, ROOT, wait_for

pytestmark = pytest.mark.integration

BUILDROOTS = CACHE / "test-buildroots"
UNITS = ROOT / "containers/systemd"
UNIT = "conveyor.service"
# Quick builds, from where the unit cannot be kept from: /tmp and home are its own.
PROGRAM = f"""\
#!/bin/sh
export PYTHONPATH=/opt/source:/opt/packages
exec {sys.base_prefix}/bin/python3 -m $(cat /etc/conveyor/program) "$@"
"""
# The same in seconds.
HURRIED = """\
[Service]
RestartSec=1
WatchdogSec=5
"""
SETTINGS = """\
[signing]
unsigned = true
[daemon]
workers = 1
retry_wait = "1s"
"""


class UnitSite(QuickSite):
    """A site as the unit finds it: its configuration in /etc/conveyor, its data in /var/lib/conveyor."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.data / "buildroots").unlink()
        (self.data / "buildroots").mkdir()
        self.packages = {"hello": '{upstream: "file:///etc/conveyor/upstream/hello.git"}'}
        (folder / "conveyor.toml").write_text(SETTINGS)
        (folder / "program").write_text("tests.support.quick_conveyor\n")
        self.configure()


@pytest.fixture(scope="module")
def site() -> Iterator[UnitSite]:
    with site_of(UnitSite) as made:
        yield made


@pytest.fixture(scope="module")
def booted(site: UnitSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    files = {
        "/usr/local/bin/conveyor": PROGRAM,
        f"/etc/systemd/system/{UNIT}": (UNITS / UNIT).read_text(),
        f"/etc/systemd/system/{UNIT}.d/hurried.conf": HURRIED,
    }
    packages = Path(sysconfig.get_paths()["purelib"])
    binds = [
        (ROOT, "/opt/source"),
        (packages, "/opt/packages"),
        (site.folder, "/etc/conveyor"),
        (site.data, "/var/lib/conveyor"),
        (BUILDROOTS, "/var/lib/conveyor/buildroots"),
    ]
    with machine(tmp_path_factory.mktemp("machine"), files, binds) as made:
        yield made


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_systemd_finds_nothing_amiss(unit: str, tmp_path: Path) -> None:
    need("systemd-analyze")
    shutil.copy(UNITS / unit, tmp_path)
    text = (tmp_path / unit).read_text()
    assert "/usr/local/bin/conveyor" in text
    (tmp_path / unit).write_text(text.replace("/usr/local/bin/conveyor", "/usr/bin/true"))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_it_starts_builds_reloads_is_started_again_and_stops(site: UnitSite, booted: Machine) -> None:
    def main() -> str:
        return booted.shown(UNIT, "MainPID")["MainPID"]

    def again(before: str) -> bool:
        shown = booted.shown(UNIT, "MainPID", "ActiveState")
        return shown["ActiveState"] == "active" and shown["MainPID"] not in {before, "0"}

    # Ready when it says so.
    started = booted.say("systemctl", "start", UNIT)
    assert started.returncode == 0, booted.journal(UNIT)
    assert len(site.events(EventKind.DAEMON_STARTED)) == 1
    wait_for(lambda: booted.shown(UNIT, "StatusText")["StatusText"] == "0 of 1 workers build", "the status")
    site.push("sleep 0")
    site.seen()
    site.built()

    assert booted.say("systemctl", "reload", UNIT).returncode == 0
    wait_for(lambda: site.events(EventKind.CONFIGURATION_LOADED), "the reload")

    first = main()
    assert booted.say("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT).returncode == 0
    wait_for(lambda: again(first), "the next start after a kill")
    second = main()
    assert booted.say("systemctl", "kill", "--kill-who=main", "--signal=STOP", UNIT).returncode == 0
    wait_for(lambda: again(second), "the next start after hanging")
    assert booted.shown(UNIT, "NRestarts") == {"NRestarts": "2"}
    site.push("sleep 0")
    site.seen()
    site.built()

    assert booted.say("systemctl", "stop", UNIT).returncode == 0
    shown = booted.shown(UNIT, "ActiveState", "Result", "ExecMainStatus")
    assert shown == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
    assert booted.shown(UNIT, "TasksCurrent")["TasksCurrent"] in {"0", "[not set]"}
    assert len(site.events(EventKind.DAEMON_STARTED)) == 3
    assert len(site.events(EventKind.DAEMON_STOPPED)) == 1
    assert lost(site) == []


def test_a_mistake_in_the_configuration_is_not_tried_again(site: UnitSite, booted: Machine) -> None:
    good = (site.folder / "repos.yaml").read_text()
    (site.folder / "repos.yaml").write_text("packages: 3\n")
    assert booted.say("systemctl", "start", UNIT).returncode != 0
    shown = booted.shown(UNIT, "ActiveState", "Result", "ExecMainStatus", "NRestarts")
    assert shown == {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "2", "NRestarts": "0"}
    assert "repos.yaml" in booted.journal(UNIT)
    (site.folder / "repos.yaml").write_text(good)


def test_a_real_build_under_the_unit(site: UnitSite, booted: Machine) -> None:
    """What the unit takes away is nothing that the sandbox needs."""
    with site_of(lambda folder: RealSite(folder, BUILDROOTS)) as warm:
        made = warm.run("build", "hello", patience=1200)
        if made.code == 3:
            pytest.skip(f"the buildroots cannot be made: {made.err}")
    (site.folder / "program").write_text("conveyor.cli.main\n")
    assert booted.say("systemctl", "start", UNIT).returncode == 0, booted.journal(UNIT)
    sha = site.push("sleep 0")
    site.seen()
    site.built()
    assert booted.say("systemctl", "stop", UNIT).returncode == 0
    with site.books() as books:
        (build,) = books.store.of_commit(sha)
    assert (build.outcome, build.published, build.cause) == (Outcome.SUCCEEDED, True, None)
