"""`conveyor buildroot`: what builds start from, looked at, made anew and removed, also while builds run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import DISTRIBUTION, RPM, Site

pytestmark = pytest.mark.e2e

NOBODY = ("setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "--")
WEEK = {"CONVEYOR_BASE_MAX_AGE": "7d"}


@pytest.fixture
def own(rpm_site: Site, buildroots: Path) -> Site:
    """A site whose layers are its own: hard links to those that are shared, but for their records."""
    folder = rpm_site.data / "buildroots"
    folder.unlink()
    for name in ("layers", "bases", "resolutions"):
        shutil.copytree(buildroots / name, folder / name, symlinks=True, copy_function=_link)
    return rpm_site


def _link(source: str, place: str) -> None:
    if source.endswith((".json", "/used")):
        shutil.copy2(source, place)
    else:
        Path(place).hardlink_to(source)


def items(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.run("buildroot", "list", "--json").json["items"]
    return found


def base(site: Site) -> dict[str, Any]:
    (found,) = [item for item in items(site) if item["current"]]
    return found


def age(site: Site, seconds: float) -> None:
    """Have all bases made so long ago."""
    for path in (site.data / "buildroots/bases").iterdir():
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "made_at": time.time() - seconds}))


def test_the_list_tells_what_there_is(own: Site) -> None:
    document = own.run("buildroot", "list", "--json").json
    assert document["limit"] == 40 * 2**30
    found = base(own)
    assert (found["builder"], found["target"], found["kind"]) == ("overlay", RPM, "base")
    assert found["size"] > 10**6
    assert found["users"] == []
    said = own.run("buildroot", "list")
    assert said.code == 0
    assert any(line.split()[:4] == [RPM, "overlay", "base", "(current)"] for line in said.out.splitlines())
    assert "of 40.0 GiB ('buildroot_limit')" in said.out


def test_layers_of_a_running_build_are_not_removed_and_all_others_are(own: Site) -> None:
    own.stall("build", 100.0)
    running = own.start("build", "hello")
    own.reach(running, "build")
    assert running.pid in base(own)["users"]
    said = own.run("buildroot", "prune", "--all")
    assert (said.code, "freed" in said.out) == (0, True)
    left = items(own)
    assert left
    assert all(running.pid in item["users"] for item in left)
    assert own.interrupted(running).code == 130
    assert own.run("buildroot", "prune", "--all").code == 0
    assert items(own) == []
    assert "nothing is kept" in own.run("buildroot", "list").out
    assert own.left_behind == []


def test_a_build_does_not_wait_for_a_base_that_is_due_and_makes_it_anew_afterwards(own: Site) -> None:
    age(own, 8 * 86400)
    said = own.run("build", "hello", env=WEEK)
    assert said.code == 0, said.err
    assert f"refreshing the buildroot of {RPM} for later builds" in said.err
    assert f"{RPM}: refreshed in" in said.err
    assert max(_made_at(own)) > time.time() - 120
    assert "refreshing" not in own.run("build", "hello", env=WEEK).err


def _made_at(site: Site) -> list[float]:
    return [json.loads(path.read_text())["made_at"] for path in (site.data / "buildroots/bases").iterdir()]


def test_nothing_is_refreshed_before_it_is_due(own: Site) -> None:
    age(own, 60)
    said = own.run("buildroot", "refresh", "--due", env=WEEK)
    assert (said.code, "nothing to do: no base is due" in said.out) == (0, True)


def test_a_refresh_that_fails_is_told(rpm_site: Site) -> None:
    (rpm_site.folder / "empty").mkdir()
    rpm_site.targets[RPM] = rpm_site.targets[RPM].replace(str(DISTRIBUTION), str(rpm_site.folder / "empty"))
    rpm_site.configure()
    said = rpm_site.run("buildroot", "refresh", RPM)
    assert said.code == 3
    assert f"{RPM} was not refreshed: the packages of {RPM} cannot be fetched" in said.err
    assert "whole log: " in said.err
    assert rpm_site.left_behind == []


@pytest.mark.parametrize(("option", "uid"), [((), "1000"), (("--as-root",), "0")])
def test_a_shell_in_a_throw_away_copy(rpm_site: Site, option: tuple[str, ...], uid: str) -> None:
    typed = "echo uid $(id -u); touch /tmp/x /var/tmp/gone; tail -n +3 /proc/net/dev; exit 7\n"
    said = subprocess.run(
        [sys.executable, "-m", "conveyor.cli.main", "buildroot", "shell", *option, RPM],
        cwd=rpm_site.folder,
        env=rpm_site.environment(),
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 7, said.stderr
    assert f"uid {uid}" in said.stdout
    assert [line.split(":")[0].strip() for line in said.stdout.splitlines() if ":" in line] == ["lo"]
    layers = (rpm_site.data / "buildroots").resolve() / "layers"
    assert list(layers.glob("*/root/var/tmp/gone")) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shell", "local"], ["unknown target 'local'", f"repos.yaml: {RPM}"]),
        (["refresh", RPM, "local-1"], ["unknown target 'local-1'"]),
        (["prune", "--to", "banana"], ["--to: 'banana' is no size", "512M or 4G"]),
        (["prune", "--to", "0"], ["--to: '0' is no size", "--all"]),
        (["prune", "--to", "1G", "--all"], ["--to and --all exclude each other"]),
        (["lst"], ["No such command 'lst'"]),
        (["shell"], ["Missing argument 'target'"]),
    ],
)
def test_mistakes_are_told(rpm_site: Site, arguments: list[str], told: list[str]) -> None:
    said = rpm_site.run("buildroot", *arguments)
    assert said.code == 2
    assert [part for part in told if part not in said.err] == [], said.err


@pytest.mark.parametrize("command", [["prune"], ["refresh"]])
def test_only_root_may_change_anything(rpm_site: Site, command: list[str]) -> None:
    said = rpm_site.run("buildroot", *command, prefix=NOBODY)
    assert said.code == 2
    assert "root" in said.err
