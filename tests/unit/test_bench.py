"""What the bench makes of figures: ratios, budgets, tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from bench.claims import Budget, Claim, Pair
from bench.main import comparisons
from bench.output import as_json, stage_table, table

FACTOR = Budget(factor=1.3, text="1.3x")
FACTOR_AND_MORE = Budget(factor=1.0, extra=1.0, text="1x + 1.0 s")


def claim(pairs: Sequence[tuple[float, float]], budget: Budget = FACTOR, **others: object) -> Claim:
    made = [Pair(ours=ours, theirs=theirs) for ours, theirs in pairs]
    return Claim(name="warm", target="debian", peer="tool", budget=budget, pairs=made, **others)  # type: ignore[arg-type]


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
        (Budget(factor=1 / 5, text="1/5"), 0.4, True),
        (Budget(factor=1 / 5, text="1/5"), 0.41, False),
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


def test_nothing_measured_has_no_figures() -> None:
    nothing = claim([], missing="it cannot be built here")

    assert as_json(nothing)["value"] is None
    assert table([nothing]).splitlines()[1].split() == ["warm", "tool", "-", "-", "-", "1.3x", "missing"]


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
        "peer": "tool",
        "missing": None,
        "runs": [{"value": 5.0, "against": 4.0}],
        "stages": {"render": 0.123, "build": 4.5},
    }


def test_the_table_shows_what_was_not_held() -> None:
    lines = table([claim([(5.0, 4.0)]), claim([(6.0, 4.0)])]).splitlines()

    assert lines[0].split() == ["claim", "against", "ours", "theirs", "ratio", "budget", "held"]
    assert lines[1].split() == ["warm", "tool", "5.000", "s", "4.000", "s", "1.25x", "1.3x", "yes"]
    assert lines[2].split()[-1] == "NO"


def test_stages_are_shown_once_for_each_target() -> None:
    stages = {"render": 0.1, "build": 4.5}

    lines = stage_table([claim([], stages=stages), claim([], stages=stages)]).splitlines()

    assert [line.split() for line in lines] == [["stage", "debian"], ["render", "0.100", "s"], ["build", "4.500", "s"]]
    assert stage_table([claim([])]) == ""


def test_every_claim_has_a_name_of_its_own() -> None:
    names = [comparison.claim.name for comparison in comparisons()]

    assert len(set(names)) == len(names)
    assert {"warm-deb", "warm-deb-pbuilder", "warm-rpm", "warm-rpm-dlrn"} <= set(names)
