"""Builds that fail: whose fault, the cause, the lines that matter, the log, what to run next; and nothing published."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.site import DEB, RPM, SPEC, Said, Site

pytestmark = pytest.mark.e2e


class Make(Protocol):
    """Makes sites: see conftest.py."""

    def __call__(self, data: Path | None = None) -> Site: ...


def failed(site: Site, said: Said, code: int, *told: str) -> None:
    """It ended with a code, told these things, and published nothing."""
    text = said.out + said.err
    assert said.code == code, text
    assert [part for part in told if part not in text] == [], text
    assert site.published == ()
    assert site.left_behind == []


def test_spec_that_does_not_parse_names_the_line(rpm_site: Site) -> None:
    rpm_site.replace("hello.spec.j2", "%prep", "%endif\n%prep")
    line = 1 + SPEC.splitlines().index("%prep")
    said = rpm_site.run("build", "hello")
    told = ["in source: the package's fault", "hello.spec", f"line {line}: %endif with no %if"]
    failed(
        rpm_site,
        said,
        1,
        *told,
        "whole log: ",
        f"next: see the packaging as it is built: conveyor render hello --target {RPM}",
    )


def test_build_dependency_that_nobody_has(site: Site) -> None:
    site.replace("debian/control.j2", "Standards", "Build-Depends: no-such-library (>= 3)\nStandards")
    site.replace("hello.spec.j2", "%description", "BuildRequires: no-such-library >= 3\n%description")
    said = site.run("build", "hello")
    told = [f"a dependency cannot be satisfied on {target}: no-such-library" for target in (DEB, RPM)]
    failed(site, said, 1, *told, "no-such-library (>= 3)", "no-such-library >= 3", "in buildroot: the package's fault")


def test_run_time_dependency_that_nobody_has(rpm_site: Site) -> None:
    rpm_site.replace("hello.spec.j2", "%description", "Requires: no-such-library >= 3\n%description")
    said = rpm_site.run("build", "hello")
    told = f"the packages cannot be installed on {RPM}: no-such-library >= 3"
    failed(rpm_site, said, 1, told, "in install: the package's fault", "correct the run-time dependencies")


def test_failing_build(site: Site) -> None:
    site.replace("debian/rules.j2", "binary-indep:\n", "binary-indep:\n\tfrobnicate hello\n")
    site.replace("hello.spec.j2", "%build\n", "%build\necho working\ncat /no/such/file\n")
    said = site.run("build", "hello")
    told = [
        "make: frobnicate: No such file or directory (in: binary-indep)",
        "cat: /no/such/file: No such file or directory (in: %build)",
        "    | working",
        f"whole log: {site.data}/builds/1/1/log",
        f"next: look into its root: conveyor build hello --target {DEB} --shell",
    ]
    failed(site, said, 1, *told)
    assert "frobnicate" in site.run("log", "1").out


def test_build_that_makes_nothing(site: Site) -> None:
    site.replace("debian/rules.j2", "dpkg-deb --root-owner-group", "true")
    site.replace("hello.spec.j2", "%files\n%{_datadir}/{{ name }}\n", "")
    site.replace("hello.spec.j2", "install -D", "true")
    said = site.run("build", "hello")
    failed(site, said, 1, "in build: the package's fault")


@pytest.mark.parametrize(
    ("limits", "build", "told"),
    [
        ("{time: 3s}", "sleep 1000 & setsid sleep 1000 & sleep 1000", "it took longer than 3 s and was killed"),
        ("{disk: 40M}", "head -c 200M /dev/zero > large", "it used more than 40 MiB of disk"),
        ("{disk: 40M}", "truncate -s 100G $RESULTS/sparse", "it used more than 40 MiB of disk"),
        ("{processes: 40}", "for n in $(seq 200); do sleep 9 & done; wait", "it used more than 40 processes"),
        ("{memory: 64M}", "python3 -c 'len(b\"x\" * 400_000_000)'", "it used more than 64 MiB of memory"),
    ],
)
def test_limits(rpm_site: Site, limits: str, build: str, told: str) -> None:
    rpm_site.limit(RPM, limits)
    rpm_site.replace("hello.spec.j2", "%build\n", f"%build\n{build}\n")
    said = rpm_site.run("build", "hello", env={"CONVEYOR_SCRATCH": "disk"})
    name = limits.strip("{").partition(":")[0]
    failed(rpm_site, said, 1, told, f"next: raise 'limits: {name}' of {RPM} in repos.yaml")


def test_full_disk(tmp_path: Path, make_site: Make) -> None:
    with small_disk(tmp_path / "disk", "48m") as disk:
        site = make_site(disk / "data")
        site.targets = {RPM: site.targets[RPM]}
        site.configure()
        site.replace("hello.spec.j2", "%build\n", "%build\ntruncate -s 100M $RESULTS/large\n")
        said = site.run("build", "hello", env={"CONVEYOR_MIN_FREE_DISK": "1M"})
        failed(site, said, 3, "the disk is full", "next: free some room")
        subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
        again = site.run("build", "hello", "--json", env={"CONVEYOR_MIN_FREE_DISK": "1M"})
        assert again.code == 0, again.out
        assert again.json["results"][0]["build"]["published"]


@pytest.mark.parametrize("room", [500, 1500])
def test_full_disk_anywhere(tmp_path: Path, make_site: Make, room: int) -> None:
    """However little room there is, a full disk is told as one, and the build goes on when there is room again."""
    environment = {"CONVEYOR_MIN_FREE_DISK": "1K"}
    with small_disk(tmp_path / "disk", f"{room}k") as disk:
        site = make_site(disk / "data")
        site.targets = {RPM: site.targets[RPM]}
        site.configure()
        said = site.run("build", "hello", env=environment)
        if said.code != 0:
            assert (said.code, "next: " in said.out + said.err) == (3, True), said
            # Files come into the pool before anything knows of them; retention removes those that nothing lists.
            assert [path for path in site.published if "/pool" not in path] == []
            assert any(word in said.err for word in ("disk is full", "no room", "No space left")), said.err
            subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
            again = site.run("build", "hello", "--json", env=environment)
            assert again.code == 0, again.out + again.err
            assert again.json["results"][0]["build"]["published"]


def test_refused_content_and_versions(rpm_site: Site) -> None:
    first = rpm_site.upstream.commit("Second", files={"README": b"Two.\n"})
    newest = rpm_site.upstream.commit("Third", files={"README": b"Three.\n"})
    assert rpm_site.run("build", "hello").code == 0
    before = rpm_site.published

    said = rpm_site.run("build", "hello", "--commit", first)
    assert said.code == 1
    assert "sorts below" in said.err
    assert "next: build an older commit with --no-publish" in said.err
    assert rpm_site.run("build", "hello", "--commit", first, "--no-publish").code == 0

    # Changes that are not committed share one release.
    rpm_site.replace("hello.spec.j2", "A greeting", "A kind greeting")
    assert rpm_site.run("build", "hello").code == 0
    published = rpm_site.published
    assert set(before) < {line.replace(_current(published), _current(before)) for line in published}
    rpm_site.replace("hello.spec.j2", "A greeting", "A kinder greeting")
    said = rpm_site.run("build", "hello")
    assert said.code == 1
    assert "is already published with other content" in said.err
    assert "next: commit the change of the packaging" in said.err
    assert rpm_site.published == published
    rpm_site.commit_packaging()
    rpm_site.commit_packaging()
    assert newest[:7] in rpm_site.run("status").out


def _current(published: tuple[str, ...]) -> str:
    """The snapshot that "current" points at."""
    return next(line.split(" ")[1] for line in published if "/current " in line)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "conveyor-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
