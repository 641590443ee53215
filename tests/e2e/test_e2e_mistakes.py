"""Mistakes in what a packager types, configures and writes: one or two lines with the way out, and nothing done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.site import DEB, PACKAGING, RPM, Said, Site
from tests.support.upstream import GitUpstream

pytestmark = pytest.mark.e2e

NOBODY = ("setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "--")
REPOS = "repos.yaml"


def refused(site: Site, said: Said, code: int, *told: str) -> None:
    """It ended with a code, told these things, published nothing and left nothing behind."""
    text = said.out + said.err
    assert said.code == code, text
    assert [part for part in told if part not in text] == [], text
    assert "\x1b" not in text
    assert site.published == ()
    assert site.left_behind == []


def without(site: Site, *programs: str) -> dict[str, str]:
    """An environment whose PATH lacks programs."""
    folder = site.folder / "bin"
    folder.mkdir()
    for path in map(Path, ("/usr/sbin", "/usr/bin", "/sbin", "/bin")):
        for program in path.iterdir():
            if program.name not in programs and not os.path.lexists(folder / program.name):
                (folder / program.name).symlink_to(program)
    return {"PATH": str(folder)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build"], ["Missing argument 'packages'", "conveyor build --help"]),
        (["bild", "hello"], ["No such command 'bild'. Did you mean 'build', 'rebuild', 'buildroot'?"]),
        (["build", "hello", "--publish"], ["No such option: --publish", "--no-publish"]),
        (["build", "helo"], ["unknown package 'helo'", "did you mean 'hello'?"]),
        (["build", "hello", "--target", "debian-13"], ["unknown target 'debian-13'", f"did you mean '{DEB}'?"]),
        (["render", "helo"], ["unknown package 'helo'", "did you mean 'hello'?"]),
        (["status", "helo"], ["unknown package 'helo'", "did you mean 'hello'?"]),
        (["log", "hello"], ["hello has not been built yet", "conveyor build hello"]),
        (["log", "7"], ["there is no build 7", "conveyor status"]),
        (["shell", "7"], ["there is no build 7", "conveyor status"]),
        (["build", "hello", "--commit", "no-such"], ["no branch, tag or commit 'no-such'", "branches there: master"]),
        (["build", "hello", "--commit", "--help"], ["no branch, tag or commit '--help'"]),
        (["build", "hello", "--commit", "HEAD~1"], ["no branch, tag or commit 'HEAD~1'"]),
        (["build", "hello", "--local", "specs"], ["lies within the git working copy", "next: name /"]),
        (["build", "hello", "--local", "/nowhere"], ["/nowhere is no git working copy"]),
        (["build", "hello", "--local", ".", "--commit", "master"], ["--local and --commit exclude each other"]),
        (
            ["--data-dir", "/proc/conveyor", "status"],
            ["the data directory /proc/conveyor cannot be made", "--data-dir"],
        ),
        (["--settings", "/nowhere.toml", "status"], ["/nowhere.toml cannot be read"]),
        (["render", "hello", "--output", "/proc/there"], ["cannot be written to /proc/there", "--output"]),
    ],
    ids=" ".join,
)
def test_mistake_on_the_command_line(site: Site, arguments: Sequence[str], told: Sequence[str]) -> None:
    refused(site, site.run(*arguments), 2, *told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, [f"{REPOS} cannot be read: No such file or directory"]),
        ("", [f"{REPOS}:1: is empty", "the keys defaults, targets and packages"]),
        ("packages: [", [f"{REPOS}:1: is not YAML"]),
        ("- hello\n", [f"{REPOS}:1: is not a mapping"]),
        ("packages: {hello: {upstrem: 'https://example.org/x'}}\n", ["upstrem: unknown key; did you mean 'upstream'?"]),
        ("packages: {x: &a [*a]}\n", [REPOS]),
    ],
)
def test_broken_repos(site: Site, content: str | None, told: Sequence[str]) -> None:
    (site.folder / REPOS).unlink()
    if content is not None:
        (site.folder / REPOS).write_text(content)
    refused(site, site.run("build", "hello"), 2, *told)


def test_every_mistake_is_told_with_its_line(site: Site) -> None:
    text = (site.folder / REPOS).read_text()
    (site.folder / REPOS).write_text(text.replace("upstream:", "upstrem:").replace("suite:", "sweet:"))
    said = site.run("build", "hello")
    lines = (site.folder / REPOS).read_text().splitlines()
    for key in ("upstrem", "sweet"):
        number = next(number for number, line in enumerate(lines, 1) if f"{key}:" in line)
        assert any(f"{REPOS}:{number}:" in line and key in line for line in said.err.splitlines()), said.err
    refused(site, said, 2)


def test_unreachable_upstream_is_the_networks_fault(site: Site) -> None:
    for url, why in (
        ("file:///nowhere/hello.git", "'/nowhere/hello.git' does not appear to be a git repository"),
        ("http://127.0.0.1:9/hello.git", "Failed to connect to 127.0.0.1 port 9"),
    ):
        site.packages["hello"] = f'{{upstream: "{url}"}}'
        site.configure()
        said = site.run("build", "hello")
        refused(site, said, 3, f"{url} cannot be fetched", why, "next: check the URL in repos.yaml", "errored")
        # One mistake is told once, not for each target.
        assert said.err.count("next:") == 1


def test_missing_branch(site: Site) -> None:
    site.packages["hello"] = f'{{upstream: "{site.upstream.url}", branch: stable/2024.1}}'
    site.configure()
    told = ["has no branch, tag or commit 'stable/2024.1'", "branches there: master", "set 'branch:' in repos.yaml"]
    refused(site, site.run("build", "hello"), 2, *told)


def test_empty_repository(site: Site) -> None:
    empty = GitUpstream(site.folder / "upstream/empty.git")
    site.packages["hello"] = f'{{upstream: "{empty.url}"}}'
    site.configure()
    refused(site, site.run("build", "hello"), 1, f"{empty.url} has no commit", "push one, or correct the URL")


def test_template_mistakes_name_file_and_line(site: Site) -> None:
    site.replace("debian/control.j2", "{{ maintainer }}", "{{ maintaner }}")
    site.replace("hello.spec.j2", "Version: {{ version }}", "Version: {% if %}")
    line = 1 + PACKAGING["debian/control.j2"].splitlines().index("Maintainer: {{ maintainer }}")
    told = [
        f"specs/hello/debian/control.j2, line {line}: 'maintaner' is undefined",
        "next: did you mean 'maintainer'?",
        "specs/hello/hello.spec.j2, line 2: Expected an expression",
    ]
    refused(site, site.run("build", "hello"), 1, *told)
    said = site.run("render", "hello", "--target", DEB)
    refused(site, said, 1, *told[:2])


def test_missing_packaging_is_told_before_anything_is_built(site: Site) -> None:
    (site.folder / "specs/hello/debian/rules.j2").unlink()
    (site.folder / "specs/hello/hello.spec.j2").unlink()
    said = site.run("build", "hello")
    refused(site, said, 1, "lacks debian/rules", "hello has 0 spec files", "specs/hello/hello.spec.j2")


def test_not_root(site: Site) -> None:
    for path in (site.folder, *site.folder.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(path.stat().st_mode | 0o055)
    refused(site, site.run("build", "hello", prefix=NOBODY), 2, "building needs root", "run the same command with sudo")


def test_missing_program(site: Site) -> None:
    environment = without(site, "dnf")
    said = site.run("build", "hello", env=environment)
    refused(site, said, 2, "not installed on this machine: dnf", "next: apt-get install dnf")
    said = site.run("doctor", env=environment)
    refused(site, said, 3, f"{RPM}: apt-get install dnf")
    assert any(line.startswith("ok") and DEB in line for line in said.out.splitlines())


def test_doctor_of_a_good_machine(site: Site) -> None:
    said = site.run("doctor")
    assert said.code == 0, said.out
    assert "missing" not in said.out
    assert all(name in said.out for name in (DEB, RPM, "git", "bwrap", "GiB free"))


def test_too_little_room_to_begin(site: Site) -> None:
    said = site.run("build", "hello", env={"CONVEYOR_MIN_FREE_DISK": "100000G"})
    refused(site, said, 3, f"are free below {site.data}", "next: free some room", "min_free_disk")
    assert not list(Path(site.data, "builds").glob("*"))
