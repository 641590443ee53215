"""Mirrors and looking back, after real builds."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.published import need
from tests.support.site import RPM, Site


def test_a_dead_mirror_changes_nothing_and_a_living_one_follows(rpm_site: Site) -> None:
    need("rsync")
    copy = rpm_site.folder / "copy"
    copy.mkdir()
    dead = {"name": "dead", "destination": "rsync://127.0.0.1/tree", "port": 1}
    env = {"CONVEYOR_MIRRORS": json.dumps([dead, {"name": "disk", "destination": str(copy)}])}
    first = rpm_site.run("build", "hello", "--json", env=env)
    assert first.code == 0
    assert first.json["results"][0]["build"]["published"] is True
    assert "mirror dead has no new copy of local-1-x86_64" in first.err
    assert current(copy) == current(rpm_site.data / "repos")

    sha = rpm_site.upstream.commit("Say \x1b[31mmore", files={"hello.sh": b"#!/bin/sh\necho more\n"})
    second = rpm_site.run("build", "hello", env=env)
    assert second.code == 0
    assert "mirror dead" not in second.err
    assert current(copy) == current(rpm_site.data / "repos")
    assert (copy / RPM / "current/repodata/repomd.xml").is_file()
    told = rpm_site.run("status", env=env).out
    assert f"mirror dead: {RPM} was never copied, 1 failure: rsync: [sender] failed to connect" in told
    assert f"mirror disk: {RPM} is complete as of" in told

    newer, older = (each["snapshot"] for each in rpm_site.run("snapshot", "list", "--json").json["snapshots"])
    then = rpm_site.run("snapshot", "at", older["published_at"], "--json").json["places"][0]
    assert then["snapshot"] == older
    assert newer["commit_id"].startswith(sha)
    (change,) = rpm_site.run("snapshot", "diff", older["commit_id"][:9], "current", "--json").json["changed"]
    assert (change["way"], [each["sha"] for each in change["commits"]]) == ("forward", [sha])
    assert "\x1b" not in rpm_site.run("snapshot", "diff", str(older["build"]), "current").out


def current(tree: Path) -> str:
    return (tree / RPM / "current").readlink().name
