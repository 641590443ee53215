"""Promotions, votes and what holds pointers back, by the real command on both formats."""

from __future__ import annotations

import pytest

from tests.support.site import DEB, HELLO, RPM, Said, Site
from tests.support.upstream import git

pytestmark = pytest.mark.e2e

POLICIES = f"""\
promotions:
  tested:
    targets: [{DEB}, {RPM}]
    together: true
    votes: [smoke]
    succeeded_on: [{DEB}, {RPM}]
  rolling: {{together: true, automatic: true}}
  old: {{min_age: 7d}}
"""
BOTH = (DEB, RPM)


def configure(site: Site, promotions: str = POLICIES) -> None:
    site.configure()
    with (site.folder / "repos.yaml").open("a") as file:
        file.write(promotions)


def done(said: Said) -> Said:
    assert said.code == 0, said.out + said.err
    return said


def pointed(site: Site, pointer: str) -> list[str | None]:
    """Where the symlinks lead."""
    links = [site.data / "repos" / target / pointer for target in BOTH]
    return [link.readlink().name if link.is_symlink() else None for link in links]


def refused(site: Site, *arguments: str) -> str:
    """What is said of a command that is refused and changes nothing."""
    before = site.published
    said = site.run(*arguments)
    assert (said.code, said.out) == (2, ""), said.out + said.err
    assert "\x1b" not in said.err
    assert site.published == before
    assert site.left_behind == []
    return said.err


def build_of_rpm(site: Site, command: str) -> None:
    """Change what the spec's build does."""
    site.replace("hello.spec.j2", "%build\n", f"%build\n{command}\n")
    site.commit_packaging()


def test_from_votes_to_a_promotion_of_both_formats(site: Site) -> None:
    configure(site)
    first = done(site.run("build", "hello", "--json")).json["results"][0]["build"]["commit_id"]
    assert pointed(site, "rolling") == [first] * 2

    told = refused(site, "promote", first[:9], "tested")
    assert f"tested cannot move to {first[:9]}\n" in told
    assert f"  {DEB}: no vote of smoke\n  {RPM}: no vote of smoke\n" in told
    done(site.run("vote", first[:9], "smoke", "success", "--target", DEB, "--user", "ci"))
    hostile = "\x1b[2J\x1b]0;title\x07gone"
    done(site.run("vote", "current", "smoke", "running", "--target", RPM, "--notes", hostile))
    assert refused(site, "promote", first, "tested").count(f"{RPM}: smoke is in progress") == 1
    done(site.run("vote", first, "smoke", "success", "--target", RPM, "--url", "https://ci.example.org/1"))

    would = done(site.run("promote", first, "tested", "--dry-run")).out
    assert would.splitlines() == [f"would move tested of {target}: - -> {first}" for target in BOTH]
    assert pointed(site, "tested") == [None, None]
    moved = done(site.run("promote", first, "tested", "--note", "week 12", "--keep")).out
    assert [line.partition(" (")[0] for line in moved.splitlines()] == (
        [f"moved tested of {target}: - -> {first}" for target in BOTH]
    )
    assert pointed(site, "tested") == [first] * 2

    shown = done(site.run("votes", first[:7])).out
    assert "\x1b" not in shown
    assert "gone" in shown
    assert [line.split()[4] for line in shown.splitlines()[1:]] == ["success", "running", "success"]
    votes = done(site.run("votes", first, "--target", DEB, "--json")).json
    assert [(vote["job"], vote["target"], vote["success"], vote["user"]) for vote in votes["votes"]] == (
        [("smoke", DEB, True, "ci")]
    )

    # The next commit builds as a deb only: the set stays, and the status says why.
    sha = site.upstream.commit("Second", files={**HELLO, "README": b"Two.\n"})
    build_of_rpm(site, "false")
    assert site.run("build", "hello").code == 1
    ahead, behind = pointed(site, "current")
    assert (ahead, behind) == (pointed(site, "consistent")[0], first)
    assert pointed(site, "rolling") == pointed(site, "tested") == [first] * 2
    status = done(site.run("status")).out
    failed = f"{RPM}: {first[:7]} (build 4 failed)"
    assert f"rolling is held back: hello on {DEB}: {sha[:7]}, {failed}\n" in status
    assert f"consistent is held back: {RPM}: the latest build of hello did not succeed\n" in status
    assert f"tested is held back: {DEB}: no vote of smoke\n" in status
    assert f"old is held back: {DEB}: published " in status
    standings = site.run("status", "--json").json["standings"]
    (rolling,) = (each for each in standings if (each["target"], each["pointer"]) == (RPM, "rolling"))
    assert rolling["held_back"] == [f"hello on {DEB}: {sha[:7]}, {failed}"]
    assert (rolling["commit_id"], rolling["published_at"] is not None) == (first, True)
    assert f"{RPM}: hello {sha[:7]} is not published (build 4 failed)" in refused(site, "promote", sha[:7], "tested")

    # Mended, both move by themselves.
    build_of_rpm(site, "true")
    second = done(site.run("build", "hello", "--json")).json["results"][1]["build"]["commit_id"]
    assert pointed(site, "rolling") == [second] * 2
    assert pointed(site, "tested") == [first] * 2


def test_mistakes_change_nothing(rpm_site: Site) -> None:
    nothing = refused(rpm_site, "promote", "consistent", "tested")
    assert "there is no commit 'consistent'" in nothing
    build = done(rpm_site.run("build", "hello", "--json")).json["results"][0]["build"]
    commit = build["commit_id"]
    for name, told in {
        "current": "nothing is promoted to current: it follows builds",
        "../x": "'../x' cannot be a promotion's name",
        "\x1b[2J": "cannot be a promotion's name",
    }.items():
        assert told in refused(rpm_site, "promote", commit, name)
    assert "there is no commit '0123abc'" in refused(rpm_site, "promote", "0123abc", "tested")
    assert "is no URL of a log" in refused(rpm_site, "vote", commit, "smoke", "success", "--url", "javascript:x")
    assert "good" in refused(rpm_site, "vote", commit, "smoke", "good")

    # Without policies every name goes; with some only theirs.
    (entry,) = done(rpm_site.run("promote", commit, "anything", "--json", "--actor", "ci")).json["entries"]
    assert (entry["kind"], entry["actor"], entry["pointer"], entry["after"]) == ("promoted", "ci", "anything", commit)
    assert entry["evidence"]["targets"][RPM]["commit"] == commit
    assert "--actor is empty" in refused(rpm_site, "promote", commit, "anything", "--actor", " ")
    assert "exclude each other" in refused(rpm_site, "promote", commit, "anything", "--json", "--dry-run")
    rpm_site.targets[DEB] = "{format: deb, suite: trixie}"
    configure(rpm_site, f"promotions: {{tested: {{targets: [{RPM}]}}}}\n")
    assert "unknown promotion 'testde'" in refused(rpm_site, "promote", commit, "testde")
    assert f"tested is no promotion of {DEB}" in refused(rpm_site, "promote", commit, "tested", "--target", DEB)
    configure(rpm_site, "promotions: {current: {}}\n")
    assert "repos.yaml:" in refused(rpm_site, "promote", commit, "tested")


def test_an_older_commit_is_superseded_and_consistent_moves_on(rpm_site: Site) -> None:
    old = git(rpm_site.upstream.folder, "rev-parse", "master")
    rpm_site.upstream.commit("Second", files={"README": b"Two.\n"})
    done(rpm_site.run("build", "hello"))
    said = rpm_site.run("build", "hello", "--commit", old, "--json")
    assert said.code == 1
    assert said.json["results"][0]["outcome"] == "superseded"
    rpm_site.upstream.commit("Third", files={"README": b"Three.\n"})
    commit = done(rpm_site.run("build", "hello", "--json")).json["results"][0]["build"]["commit_id"]
    pointers = rpm_site.run("status", "--json").json["pointers"][RPM]
    assert pointers == dict.fromkeys(("current", "consistent"), commit)
