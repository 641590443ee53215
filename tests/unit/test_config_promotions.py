"""`promotions` of repos.yaml: what a good one says, and what each mistake in a bad one gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.config import Repos, load_repos
from conveyor.errors import ConfigurationInvalid, UnknownName
from conveyor.model.promotion import PromotionPolicy

HEAD = """\
defaults:
  targets: [debian-13-amd64, mine-7]
targets:
  debian-12-amd64: {format: deb, suite: bookworm}
  debian-13-amd64: {format: deb, suite: trixie}
  mine-7: {format: rpm, release: "7", dist: my7, naming: fedora, repositories: [{name: os, url: /os, key: none}]}
packages:
  nova: {upstream: https://opendev.org/openstack/nova}
"""
FIRST_LINE = HEAD.count("\n") + 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "specs/nova").mkdir(parents=True)
    return tmp_path


def load(folder: Path, promotions: str) -> Repos:
    (folder / "repos.yaml").write_text(HEAD + promotions)
    return load_repos(folder / "repos.yaml")


def test_a_full_policy(folder: Path) -> None:
    text = """\
promotions:
  tested:
    targets: [debian-13-amd64, mine-7]
    together: true
    votes: [smoke-tests, "periodic/full:1"]
    min_age: 2h
    succeeded_on: [debian-12-amd64, mine-7]
    automatic: true
"""
    repos = load(folder, text)
    assert repos.promotions == {
        "tested": PromotionPolicy(
            name="tested",
            targets=("debian-13-amd64", "mine-7"),
            together=True,
            votes=("smoke-tests", "periodic/full:1"),
            min_age=7200,
            succeeded_on=("debian-12-amd64", "mine-7"),
            automatic=True,
        )
    }
    assert repos.promotion("tested") is repos.promotions["tested"]


def test_an_empty_policy_is_for_all_targets_that_are_built_for_and_needs_nothing(folder: Path) -> None:
    repos = load(folder, "promotions:\n  tested:\n  released: {}\n")
    for name in ("tested", "released"):
        assert repos.promotion(name) == PromotionPolicy(name=name, targets=("debian-13-amd64", "mine-7"))


def test_what_is_said_twice_counts_once(folder: Path) -> None:
    text = "promotions: {x: {targets: [mine-7, mine-7, debian-13-amd64], votes: [a, b, a]}}\n"
    policy = load(folder, text).promotion("x")
    assert (policy.targets, policy.votes) == (("mine-7", "debian-13-amd64"), ("a", "b"))


@pytest.mark.parametrize("text", ["", "promotions: {}\n"])
def test_without_promotions_every_name_goes(folder: Path, text: str) -> None:
    repos = load(folder, text)
    assert repos.promotion("anything") == PromotionPolicy(name="anything", targets=("debian-13-amd64", "mine-7"))


def test_with_promotions_others_are_unknown(folder: Path) -> None:
    repos = load(folder, "promotions: {tested: {}}\n")
    with pytest.raises(UnknownName) as raised:
        repos.promotion("testde")
    assert raised.value.what == "unknown promotion 'testde'"
    assert "did you mean 'tested'?" in raised.value.hint


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("current: {}", "promotions.current: current follows builds, nobody promotes to it; would be right"),
        ("consistent: {}", "promotions.consistent: consistent follows builds"),
        ("pool: {}", "promotions.pool: 'pool' is no name of a promotion"),
        ("ab: {}", "promotions.ab: 'ab' is no name of a promotion"),
        ("a/b: {}", "promotions.a/b: 'a/b' is no name of a promotion"),
        ("..: {}", "'..' is no name of a promotion"),
        ("-x: {}", "'-x' is no name of a promotion"),
        ("x y: {}", "'x y' is no name of a promotion"),
        ("tested: {target: [mine-7]}", "promotions.tested.target: unknown key; did you mean 'targets'?"),
        (
            "tested: {targets: [mine-8]}",
            "promotions.tested.targets[0]: unknown target 'mine-8'; did you mean 'mine-7'?",
        ),
        ("tested: {targets: []}", "promotions.tested.targets: is empty; would be right: [debian-13-amd64, centos-10"),
        ("tested: {succeeded_on: [mine]}", "promotions.tested.succeeded_on[0]: unknown target 'mine'"),
        ("tested: {targets: [mine-7], together: true}", "promotions.tested.together: says nothing of one target"),
        ("tested: {together: 1}", "promotions.tested.together: is a number, must be true or false"),
        ("tested: {automatic: soon}", "promotions.tested.automatic: is the text 'soon', must be true or false"),
        ("tested: {votes: smoke}", "promotions.tested.votes: is the text 'smoke', must be a list; would be right: [sm"),
        ("tested: {votes: ['two words']}", "promotions.tested.votes[0]: 'two words' is no name of a job; would be"),
        ("tested: {min_age: soon}", "promotions.tested.min_age: 'soon' is no duration; would be right: 30m, 90s"),
        ("tested: {min_age: 0}", "promotions.tested.min_age: '0' is no duration"),
        ("tested: [smoke]", "promotions.tested: is a list, must be a mapping of keys to values"),
    ],
)
def test_a_mistake_is_told_with_its_line(folder: Path, entry: str, told: str) -> None:
    with pytest.raises(ConfigurationInvalid) as raised:
        load(folder, f"promotions:\n  {entry}\n")
    (line,) = raised.value.details
    assert line.startswith(f"{folder}/repos.yaml:{FIRST_LINE}: ")
    assert told in line


def test_promotions_that_are_no_mapping(folder: Path) -> None:
    with pytest.raises(ConfigurationInvalid) as raised:
        load(folder, "promotions: [tested]\n")
    assert (
        "promotions: is a list, must be a mapping of keys to values; would be right: {tested"
        in (raised.value.details[0])
    )
