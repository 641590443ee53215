"""The pbr scheme beside the real pbr, on real git repositories."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.model.commit import CommitInfo, History
from conveyor.model.package import VersionScheme
from conveyor.upstream.versions import upstream_version

ASK_PBR = "import pbr.packaging; print(pbr.packaging._get_version_from_git())"
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@dataclass(frozen=True)
class Commit:
    """A commit of a case: its Sem-Ver footer, or none."""

    footer: str = ""


@dataclass(frozen=True)
class Tag:
    """A tag of a case."""

    name: str


Step = Commit | Tag
PLAIN = Commit()
CASES: dict[str, list[Step]] = {
    "one commit, no tag": [PLAIN],
    "no tag": [PLAIN] * 4,
    "no tag, a feature": [PLAIN, Commit("feature"), PLAIN],
    "no tag, an API break": [PLAIN, Commit("api-break"), PLAIN],
    "on a tag": [PLAIN, Tag("1.2.3")],
    "on a tag with two components": [PLAIN, Tag("1.2")],
    "on a tag with v": [PLAIN, Tag("v1.2.3")],
    "past a tag": [PLAIN, Tag("1.2.3"), PLAIN, PLAIN],
    "past a tag with v": [PLAIN, Tag("v1.2.3"), PLAIN],
    "past a tag with two components": [PLAIN, Tag("1.2"), PLAIN],
    "a bugfix": [PLAIN, Tag("1.2.3"), Commit("bugfix")],
    "a feature": [PLAIN, Tag("1.2.3"), Commit("feature"), PLAIN],
    "a deprecation": [PLAIN, Tag("1.2.3"), Commit("deprecation")],
    "an API break": [PLAIN, Tag("1.2.3"), Commit("api-break"), Commit("feature")],
    "several footers in one": [PLAIN, Tag("1.2.3"), Commit("bugfix, Feature")],
    "an unknown footer": [PLAIN, Tag("1.2.3"), Commit("cosmetic")],
    "a feature before the tag": [Commit("feature"), Tag("1.2.3"), PLAIN],
    "an API break before 1.0": [PLAIN, Tag("0.9.1"), Commit("api-break")],
    "on a candidate": [PLAIN, Tag("1.0.0.0rc1")],
    "on a candidate as PEP 440 has it": [PLAIN, Tag("1.0.0rc1")],
    "past a candidate": [PLAIN, Tag("1.0.0.0rc1"), PLAIN, PLAIN],
    "past a candidate as PEP 440 has it": [PLAIN, Tag("1.0.0rc1"), PLAIN],
    "past a candidate with a hyphen": [PLAIN, Tag("1.0.0-rc1"), PLAIN],
    "past an alpha": [PLAIN, Tag("2.0.0.0a1"), PLAIN],
    "past a beta": [PLAIN, Tag("2.0.0b3"), PLAIN],
    "a feature past a candidate": [PLAIN, Tag("2.0.0.0rc1"), Commit("feature")],
    "an API break past a candidate": [PLAIN, Tag("2.0.0.0rc1"), Commit("api-break")],
    "a release after a candidate": [PLAIN, Tag("2.0.0.0rc1"), PLAIN, Tag("2.0.0"), PLAIN],
    "on a post-release": [PLAIN, Tag("1.2.3.post4")],
    "past a post-release": [PLAIN, Tag("1.2.3.post4"), PLAIN],
    "past a development version": [PLAIN, Tag("1.2.3.dev4"), PLAIN],
    "past a fourth component": [PLAIN, Tag("1.2.3.4"), PLAIN],
}


def git(folder: Path, *arguments: str, second: int = 0) -> str:
    at = f"{1_770_000_000 + second} +0000"
    environment = {**ENVIRONMENT, "GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def pbr_says(folder: Path) -> str:
    command = [sys.executable, "-W", "ignore", "-c", ASK_PBR]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
    ).stdout.strip()


def message(commit: Commit) -> str:
    return f"Change\n\nWhy.\n\nSem-Ver: {commit.footer}\n" if commit.footer else "Change"


def make_repository(folder: Path, steps: list[Step]) -> None:
    git(folder, "init", "--quiet")
    for second, step in enumerate(steps):
        if isinstance(step, Tag):
            git(folder, "tag", "--annotate", "--message", step.name, step.name, second=second)
        else:
            git(folder, "commit", "--quiet", "--allow-empty", "--message", message(step), second=second)


def history(steps: list[Step]) -> History:
    last = max((position for position, step in enumerate(steps) if isinstance(step, Tag)), default=None)
    tag = steps[last] if last is not None else None
    since = [step for step in steps[0 if last is None else last :] if isinstance(step, Commit)]
    name = tag.name if isinstance(tag, Tag) else None
    return with_history(name, len(since), tuple(commit.footer.lower() for commit in since if commit.footer))


def with_history(tag: str | None, commits_since: int, footers: tuple[str, ...]) -> History:
    return History(
        commit=CommitInfo(sha="0" * 40, committed_at=datetime(2026, 3, 1, tzinfo=UTC), author="Ada", subject="Change"),
        tag=tag,
        tag_version=tag,
        commits_since=commits_since,
        footers=footers,
        ignored_tags=(),
    )


@pytest.mark.parametrize("name", CASES)
def test_the_version_is_what_pbr_says(name: str, tmp_path: Path) -> None:
    make_repository(tmp_path, CASES[name])
    assert upstream_version(history(CASES[name]), VersionScheme.PBR).upstream == pbr_says(tmp_path)


def test_merged_commits_count(tmp_path: Path) -> None:
    make_repository(tmp_path, [PLAIN, Tag("1.2.3"), PLAIN])
    trunk = git(tmp_path, "symbolic-ref", "--short", "HEAD")
    git(tmp_path, "checkout", "--quiet", "-b", "side")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", message(Commit("feature")), second=10)
    git(tmp_path, "checkout", "--quiet", trunk)
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "Other", second=11)
    git(tmp_path, "merge", "--quiet", "--no-ff", "--message", "Merge", "side", second=12)
    since = int(git(tmp_path, "rev-list", "--count", "1.2.3..HEAD"))
    made = upstream_version(with_history("1.2.3", since, ("feature",)), VersionScheme.PBR)
    assert made.upstream == pbr_says(tmp_path) == "1.3.0.dev4"
