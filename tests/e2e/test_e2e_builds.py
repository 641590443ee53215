"""Builds that succeed: what is published, what is not, and what the second run does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import DEB, HELLO, RPM, Said, Site
from tests.support.upstream import git

pytestmark = pytest.mark.e2e

STAGES = ["render", "base", "source", "buildroot", "build", "check", "install", "publish"]
# Escape sequences, and what spinners are made of.
ESCAPES = re.compile(r"[\x1b\r\x08]|[⠀-⣿]")


def succeeded(said: Said) -> list[dict[str, Any]]:
    """The results of a `build --json` that went well."""
    assert said.code == 0, said.out + said.err
    results: list[dict[str, Any]] = said.json["results"]
    assert [result["outcome"] for result in results] == ["succeeded"] * len(results)
    return results


def test_first_and_second_run(site: Site) -> None:
    first = site.run("build", "hello")
    assert first.code == 0, first.err
    assert first.err == "conveyor: the repositories are not signed, as the settings say\n"
    assert not ESCAPES.search(first.out)
    for target, suffix in ((DEB, ".deb"), (RPM, ".noarch.rpm")):
        (line,) = [line for line in first.out.splitlines() if target in line]
        assert "succeeded" in line
        assert f"file://{site.data}/repos/{target}/" in line
        assert len(site.artifacts(suffix)) == 1
    published, tree = site.published, sorted(site.data.glob("builds/*/*"))

    second = site.run("build", "hello", "--json")
    results = succeeded(second)
    assert second.json["format_version"] == 1
    assert [result["built_now"] for result in results] == [False, False]
    assert (site.published, sorted(site.data.glob("builds/*/*"))) == (published, tree)
    for result in results:
        build = result["build"]
        assert result["error"] is None
        assert result["repository"].endswith(build["commit_id"])
        assert (build["state"], build["outcome"], build["attempt"]) == ("finished", "succeeded", 1)
        assert [stage["stage"] for stage in build["stages"]] == STAGES

    status = site.run("status").out
    sha = results[0]["build"]["upstream_sha"]
    rows = [line.split()[:3] for line in status.splitlines()]
    assert all([target, "current", sha[:12]] in rows for target in (DEB, RPM))
    log = site.run("log", "1")
    assert re.findall("^== (.+) ==$", log.out, re.MULTILINE) == STAGES
    assert log.out.count("hello") > 1
    assert site.left_behind == []


def test_hostile_names_build_and_do_nothing_else(site: Site) -> None:
    latin1 = os.fsdecode(b"caf\xe9.txt")
    names = [latin1, "with blanks; touch pwned", "$(touch pwned)", "-rf", "sub/`touch pwned`/x"]
    sha = site.upstream.commit("$(touch pwned)", files={**HELLO, **dict.fromkeys(names, b"x\n")})
    for tag in ("$(touch_pwned)", ";reboot", "`touch_pwned`", "--upload-pack=touch_pwned"):
        site.upstream.tag(tag, sha)
    site.replace("debian/rules.j2", "cp hello.sh", "cp hello.sh *.txt")
    results = succeeded(site.run("build", "hello", "--json"))
    assert len(results) == 2
    assert "'$(touch_pwned)'" in site.run("log", "1").out
    # Only git's own folders have these names.
    found = [path for path in site.folder.rglob("*pwned*") if "refs" not in path.parts]
    assert found == []


def test_working_copy_is_built_and_never_published(site: Site) -> None:
    copy = site.folder / "copy"
    git(site.folder, "clone", "--quiet", str(site.upstream.folder), str(copy))
    (copy / "hello.sh").write_text("echo changed\n")
    (copy / "new.txt").write_text("new\n")
    before = git(copy, "status", "--porcelain")
    results = succeeded(site.run("build", "hello", "--local", "copy", "--json"))
    assert site.published == ()
    assert git(copy, "status", "--porcelain") == before
    for result in results:
        assert result["build"]["published"] is False
        assert ".local" in result["build"]["version"]
        assert result["build"]["commit_id"].endswith("_local")
        names = [path.name for path in Path(result["repository"]).iterdir()]
        assert any(name.endswith((".deb", ".noarch.rpm")) and "local" in name for name in names)
    # Another change is another build.
    (copy / "hello.sh").write_text("echo changed again\n")
    (again,) = succeeded(site.run("build", "hello", "--local", "copy", "--target", RPM, "--json"))
    assert again["built_now"]
    assert site.published == ()
    # What is built from the trunk afterwards is not taken for it.
    assert all(result["built_now"] for result in succeeded(site.run("build", "hello", "--json")))


def test_unpublished_then_published(rpm_site: Site) -> None:
    (result,) = succeeded(rpm_site.run("build", "hello", "--no-publish", "--json"))
    assert rpm_site.published == ()
    assert ".local" in result["build"]["version"]
    (result,) = succeeded(rpm_site.run("build", "hello", "--json"))
    assert result["build"]["published"] is True
    assert ".local" not in result["build"]["version"]


def test_packaging_change_and_forced_push(rpm_site: Site) -> None:
    first_sha = git(rpm_site.upstream.folder, "rev-parse", "master")
    (first,) = succeeded(rpm_site.run("build", "hello", "--json"))
    rpm_site.replace("hello.spec.j2", "A greeting", "A kind greeting")
    rpm_site.commit_packaging()
    (second,) = succeeded(rpm_site.run("build", "hello", "--json"))
    one, two = first["build"], second["build"]
    assert (one["upstream_sha"], one["packaging_sha"] != two["packaging_sha"]) == (two["upstream_sha"], True)
    assert int(two["version"].rpartition("-")[2]) == int(one["version"].rpartition("-")[2]) + 1
    assert second["repository"] != first["repository"]
    assert len(rpm_site.artifacts(".noarch.rpm")) == 2

    rpm_site.upstream.commit("Dropped later", files={"README": b"Two.\n"})
    (third,) = succeeded(rpm_site.run("build", "hello", "--json"))
    rpm_site.upstream.set_branch("master", first_sha)
    other = rpm_site.upstream.commit("Instead", files={"README": b"Other.\n"})
    refused = rpm_site.run("build", "hello", "--target", RPM)
    if refused.code == 1:  # its number of commits is the same: the sha decides, which is nobody's order
        assert "sorts below" in refused.err
        assert "tag the upstream with a version above" in refused.err
    rpm_site.upstream.tag("1.0.0", other)
    (fourth,) = succeeded(rpm_site.run("build", "hello", "--json"))
    assert fourth["build"]["upstream_sha"] == other
    pointers = rpm_site.run("status", "--json").json["pointers"][RPM]
    assert pointers == dict.fromkeys(("current", "consistent"), fourth["build"]["commit_id"])
    # The dropped commit's repository stays.
    assert (rpm_site.data / "repos" / third["repository"].partition("/repos/")[2]).is_dir()


def test_same_commit_in_two_places_gives_the_same_bytes(make_site: Callable[..., Site]) -> None:
    one, other = make_site(), make_site()
    for site in (one, other):
        site.packages["hello"] = f'{{upstream: "{one.upstream.url}"}}'
        site.configure()
        succeeded(site.run("build", "hello", "--json"))
    for suffix in (".deb", ".noarch.rpm", ".src.rpm", ".dsc", ".orig.tar.gz", ".debian.tar.xz"):
        mine, theirs = ([path.read_bytes() for path in site.artifacts(suffix)] for site in (one, other))
        assert mine
        assert mine == theirs, suffix


def test_render_shows_what_is_built(site: Site) -> None:
    shown = site.run("render", "hello", "--target", DEB)
    assert shown.code == 0
    assert f"==> {DEB}: debian/control <==" in shown.out
    assert not ESCAPES.search(shown.out)
    written = site.run("render", "hello", "-o", "out")
    assert written.code == 0, written.err
    assert (site.folder / f"out/{RPM}/hello.spec").read_text() in site.run("render", "hello", "--target", RPM).out
    assert os.access(site.folder / f"out/{DEB}/debian/control", os.R_OK)
    assert site.published == ()


def test_one_failing_package_does_not_stop_the_other(rpm_site: Site) -> None:
    rpm_site.packages["broken"] = '{upstream: "file:///nowhere/broken.git"}'
    rpm_site.packaging("broken.spec.j2", "", package="broken")
    rpm_site.configure()
    said = rpm_site.run("build", "broken", "hello", "--json")
    assert said.code == 3
    outcomes = {result["package"]: result["outcome"] for result in said.json["results"]}
    assert outcomes == {"broken": "errored", "hello": "succeeded"}
    broken = said.json["results"][0]
    assert broken["build"] is None
    assert (broken["error"]["fault"], broken["error"]["kind"]) == ("network", "UpstreamUnreachable")


def test_a_umask_that_hides_all_from_others(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.targets = {DEB: site.targets[DEB]}
    site.configure()
    # The build's user needs the script, and the root of the layer that the requirement makes.
    site.stall("buildroot", 0)
    succeeded(site.run("build", "hello", "--json", prefix=("sh", "-c", 'umask 077; exec "$@"', "sh")))
    assert all(path.stat().st_mode & 0o004 for path in (site.data / "repos").rglob("*") if path.name != ".lock")
