"""What the bench makes of figures: ratios, budgets, tables and JSON; and of the project's configuration."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.catalogue import BUILDERS, DEB, RPM, every_series, one_of
from bench.claims import Budget, Claim, Pair
from bench.decisions import DECIDERS, measure
from bench.dlrn import distgit_spec
from bench.mock import configuration
from bench.output import as_json, stage_table, table
from bench.series import Comparison, Sample, Series, chosen, runs_of
from bench.site import derived, with_builder
from bench.spread import package_of_each
from bench.workshop import Workshop
from conveyor.config import load_repos
from conveyor.model.target import Target

PROJECT = Path(__file__).parents[2]
FACTOR = Budget(factor=1.3, text="1.3x")
FACTOR_AND_MORE = Budget(factor=1.0, extra=1.0, text="1x + 1.0 s")


def claim(pairs: Sequence[tuple[float, float]], budget: Budget | None = FACTOR, **others: object) -> Claim:
    made = [Pair(ours=ours, theirs=theirs) for ours, theirs in pairs]
    words = {"name": "warm", "target": "debian", "what": "build", "peer": "tool", **others}
    return Claim(budget=budget, pairs=made, **words)  # type: ignore[arg-type]


def test_figures_are_medians_of_the_runs() -> None:
    measured = claim([(5.0, 4.0), (90.0, 4.2), (5.2, 40.0)])

    assert measured.value == 5.2
    assert measured.against == 4.2
    assert measured.ratio == pytest.approx(5.2 / 4.2)


@pytest.mark.parametrize(
    ("budget", "ours", "held"),
    [
        (FACTOR, 2.6, True),
        (FACTOR, 2.61, False),
        (FACTOR_AND_MORE, 3.0, True),
        (FACTOR_AND_MORE, 3.01, False),
        (one_of(5), 0.4, True),
        (one_of(5), 0.41, False),
    ],
)
def test_a_budget_is_a_factor_and_something_more(budget: Budget, ours: float, held: bool) -> None:
    assert claim([(ours, 2.0)], budget).held is held


def test_a_missing_peer_is_not_beaten() -> None:
    lonely = claim([], missing="it is not on this machine", alone=[1.0, 3.0, 2.0])

    assert lonely.value == 2.0
    assert (lonely.against, lonely.ratio, lonely.held) == (None, None, None)
    assert "missing" in table([lonely]).splitlines()[1]
    assert table([lonely]).endswith("warm: it is not on this machine")


def test_a_claim_without_a_budget_only_informs() -> None:
    told = claim([(5.0, 4.0)], budget=None)

    assert (told.ratio, told.held) == (1.25, None)
    assert (as_json(told)["budget"], as_json(told)["held"]) == ("-", None)
    assert table([told]).splitlines()[1].split() == [
        "warm",
        "build",
        "tool",
        "5.000",
        "s",
        "4.000",
        "s",
        "1.25x",
        "-",
        "-",
    ]


def test_what_failed_on_our_side_is_not_held() -> None:
    failed = claim([], missing="ours failed: no root", broken=True)

    assert failed.held is False
    assert table([failed]).splitlines()[1].split()[-1] == "FAILED"


def test_nothing_measured_has_no_figures() -> None:
    nothing = claim([], missing="it cannot be built here")

    assert as_json(nothing)["value"] is None
    assert table([nothing]).splitlines()[1].split() == ["warm", "build", "tool", "-", "-", "-", "1.3x", "missing"]


def test_json_holds_the_claim_and_how_it_came_about() -> None:
    told = as_json(claim([(5.0, 4.0)], stages={"render": 0.12345, "build": 4.5}))

    assert json.loads(json.dumps(told)) == {
        "claim": "warm",
        "target": "debian",
        "value": 5.0,
        "unit": "s",
        "against": 4.0,
        "ratio": 1.25,
        "budget": "1.3x",
        "held": True,
        "ours": "build",
        "peer": "tool",
        "missing": None,
        "runs": [{"value": 5.0, "against": 4.0}],
        "stages": {"render": 0.123, "build": 4.5},
    }


def test_the_table_shows_what_was_not_held() -> None:
    lines = table([claim([(5.0, 4.0)]), claim([(6.0, 4.0)])]).splitlines()

    assert lines[0].split() == ["claim", "ours", "against", "value", "theirs", "ratio", "budget", "held"]
    assert lines[1].split() == ["warm", "build", "tool", "5.000", "s", "4.000", "s", "1.25x", "1.3x", "yes"]
    assert lines[2].split()[-1] == "NO"


def test_stages_are_shown_once_for_each_kind_of_build() -> None:
    stages = {"render": 0.1, "build": 4.5}

    lines = stage_table([claim([], stages=stages), claim([], stages=stages), claim([])]).splitlines()

    assert [line.split() for line in lines] == [
        ["seconds", "of", "each", "stage", "target", "render", "build"],
        ["build", "debian", "0.100", "4.500"],
    ]
    assert stage_table([claim([])]) == ""


def unmeasured(_workshop: Workshop, _target: Target, _sample: Sample | None = None) -> Sample:
    raise AssertionError("nothing is measured here")


def series(*names: str, slow: bool = False) -> Series:
    comparisons = tuple(Comparison(claim=claim([], name=name), theirs=lambda *_: 0.0) for name in names)
    return Series(target="debian", ours=unmeasured, comparisons=comparisons, slow=slow)


def test_only_the_claims_that_are_named_are_measured() -> None:
    every = [series("a", "b"), series("c")]

    assert chosen(every, []) == every
    assert [[one.claim.name for one in each.comparisons] for each in chosen(every, ["b"])] == [["b"]]


@pytest.mark.parametrize(("runs", "slow", "expected"), [(3, False, 3), (3, True, 1), (9, True, 3), (1, True, 1)])
def test_slow_series_are_run_less_often(runs: int, slow: bool, expected: int) -> None:
    assert runs_of(series("a", slow=slow), runs) == expected


def test_every_claim_has_a_name_of_its_own(tmp_path: Path) -> None:
    claims = [one.claim for each in every_series(tmp_path) for one in each.comparisons]
    names = [one.name for one in claims]

    assert len(set(names)) == len(names)
    assert {one.name: one.budget.text for one in claims if one.budget} == {
        "warm-deb": "1.3x",
        "warm-deb-pbuilder": "1/5",
        "warm-rpm": "1x + 1.0 s",
        "warm-rpm-dlrn": "1/20",
        "publish-rpm-1000-dlrn": "1/50",
        "poll-2000": "2x",
        **{f"page-{kind}": "1x" for kind in ("front", "package", "build", "search", "version-search", "commit-search")},
    }


def test_the_site_has_each_builder_and_finds_what_lies_in_the_project() -> None:
    repos: dict[str, Any] = {
        "targets": {
            "deb": {"format": "deb", "suite": "trixie"},
            "rpm": {"format": "rpm", "repositories": [{"url": "./here"}, {"url": "https://example.org/"}]},
        },
        "packages": {"a": {}},
    }

    made = derived(repos, Path("/project"), {"deb": "pbuilder"})

    assert made["targets"]["deb-pbuilder"] == {"format": "deb", "suite": "trixie", "builder": "pbuilder"}
    assert [each["url"] for each in made["targets"]["rpm"]["repositories"]] == ["/project/here", "https://example.org/"]
    assert made["packages"] == {"a": {}}
    assert repos["targets"]["rpm"]["repositories"][0] == {"url": "./here"}


def test_every_target_of_the_claims_is_configured(tmp_path: Path) -> None:
    known = {DEB, RPM, *(with_builder(target, builder) for target, builder in BUILDERS.items())}

    assert {each.target for each in every_series(tmp_path)} <= known
    assert {DEB, RPM} <= set(load_repos(PROJECT / "repos.yaml").targets)


def test_dlrn_gets_a_spec_whose_version_it_can_set() -> None:
    spec = """\
%global dlrn 1
%global dlrn_nvr oslo.utils-10.1.2.dev6
%global upstream_version 10.1.2.dev6

Name:           oslo.utils
Version:        10.1.2~~dev6
Release:        2%{?dist}
Source0:        oslo.utils-10.1.2.dev6.tar.gz

%prep
%autosetup -n oslo.utils-10.1.2.dev6

%build
export PBR_VERSION=10.1.2.dev6

%changelog
* Sat Nov 21 2026 Packagers <packagers@example.org> - 10.1.2~~dev6-2
- Automated build
"""

    assert (
        distgit_spec(spec, "oslo_utils")
        == """\

Name:           oslo.utils
Version:        XXX
Release:        XXX
Source0:        oslo_utils-%{upstream_version}.tar.gz

%prep
%autosetup -n oslo_utils-%{upstream_version}

%build
export PBR_VERSION=%{upstream_version}

%changelog
"""
    )


def test_mock_gets_the_targets_packages_and_repositories() -> None:
    target = load_repos(PROJECT / "repos.yaml").target(RPM)

    text = configuration(target, Path("/cache"))
    settings: dict[str, object] = {"macros": {}}
    exec(compile(text, "mock.cfg", "exec"), {"config_opts": settings})

    assert settings["chroot_setup_cmd"] == "install conveyor-root rpm-build redhat-rpm-config"
    assert settings["macros"] == {"%dist": ".local1"}
    assert settings["basedir"] == "/cache/roots"
    assert f"[local]\nname=local\nbaseurl={PROJECT.as_uri()}/.cache/rpm-distribution" in str(settings["dnf.conf"])


def test_a_few_busy_packages_have_most_builds_of_a_history() -> None:
    spread = package_of_each(100_000, 1000)

    builds = sorted(Counter(spread).values(), reverse=True)
    assert spread == package_of_each(100_000, 1000)
    assert len(spread) == 100_000
    assert len(builds) == 1000
    assert sum(builds[:100]) > 60_000
    assert builds[500] < 40


@pytest.mark.parametrize("who", DECIDERS)
def test_whoever_decides_starts_what_waits(who: str) -> None:
    figures = measure(DECIDERS[who], 100)

    assert figures["microseconds"] > 0
