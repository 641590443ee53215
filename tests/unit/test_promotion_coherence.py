"""Which snapshots of several targets hold the same commits."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.pipeline.pointing.coherence import Contents, Difference, alike, differences

GRID = {"nova": ("a", "b"), "oslo": ("a", "b", "c"), "only-a": ("a",)}


@pytest.mark.parametrize(
    ("contents", "packages"),
    [
        ({"a": {"nova": "1", "oslo": "1"}, "b": {"nova": "1", "oslo": "1"}}, []),
        ({"a": {"nova": "1", "oslo": "1"}, "b": {"nova": "2", "oslo": "1"}}, ["nova"]),
        ({"a": {"nova": "1"}, "b": {}}, ["nova"]),
        ({"a": {}, "b": {}}, []),
        # What is not built for both, or not built any more, cannot differ.
        ({"a": {"nova": "1", "only-a": "1"}, "b": {"nova": "1", "only-a": "2"}}, []),
        ({"a": {"gone": "1"}, "b": {"gone": "2"}}, []),
        ({"b": {"nova": "1", "oslo": "1"}, "c": {"nova": "2", "oslo": "1"}}, []),
        ({"a": {"oslo": "1"}, "b": {"oslo": "1"}, "c": {"oslo": "2"}}, ["oslo"]),
        # What an old manifest does not tell is not taken for the same.
        ({"a": {"nova": None}, "b": {"nova": None}}, ["nova"]),
        ({"a": {"nova": "1"}}, []),
        ({}, []),
    ],
)
def test_what_differs_is_named(contents: Mapping[str, Contents], packages: list[str]) -> None:
    assert [each.package for each in differences(contents, GRID)] == packages


def test_a_difference_names_the_commit_of_each_target() -> None:
    found = differences({"a": {"nova": "1"}, "b": {}, "c": {"nova": "3"}}, GRID)
    assert found == (Difference(package="nova", commits={"a": "1", "b": None}),)


def chosen(candidates: Mapping[str, list[dict[str, str]]]) -> dict[str, dict[str, str]] | None:
    """The choice among snapshots that are their own contents."""
    return alike(candidates, lambda _, snapshot: snapshot, GRID)


class TestAlike:
    def test_the_first_of_each_where_they_go_together(self) -> None:
        newest, older = {"nova": "2", "oslo": "1"}, {"nova": "1", "oslo": "1"}
        assert chosen({"a": [newest, older], "b": [newest, older]}) == {"a": newest, "b": newest}

    def test_an_older_one_where_the_other_has_no_newer(self) -> None:
        newest, older = {"nova": "2"}, {"nova": "1"}
        assert chosen({"a": [newest, older], "b": [older]}) == {"a": older, "b": older}

    def test_contents_count_not_names(self) -> None:
        mine, theirs = {"nova": "1", "only-a": "5"}, {"nova": "1"}
        assert chosen({"a": [mine], "b": [theirs]}) == {"a": mine, "b": theirs}

    def test_three_targets_pairwise(self) -> None:
        first, second = {"nova": "1", "oslo": "1"}, {"nova": "1", "oslo": "2"}
        assert chosen({"a": [second, first], "b": [second, first], "c": [{"oslo": "1"}]}) == {
            "a": first,
            "b": first,
            "c": {"oslo": "1"},
        }

    @pytest.mark.parametrize(
        "candidates", [{"a": [{"nova": "1"}], "b": [{"nova": "2"}]}, {"a": [{"nova": "1"}], "b": []}]
    )
    def test_none_where_none_go_together(self, candidates: Mapping[str, list[dict[str, str]]]) -> None:
        assert chosen(candidates) is None

    @given(
        st.fixed_dictionaries(
            {
                target: st.lists(
                    st.dictionaries(st.sampled_from(["nova", "oslo"]), st.sampled_from(["1", "2"])), max_size=3
                )
                for target in ("a", "b", "c")
            }
        )
    )
    def test_what_is_chosen_is_a_candidate_of_each_and_nothing_differs(
        self, candidates: dict[str, list[dict[str, str]]]
    ) -> None:
        found = chosen({target: candidates[target] for target in "abc"})
        every = [{"a": a, "b": b, "c": c} for a in candidates["a"] for b in candidates["b"] for c in candidates["c"]]
        assert found == next((each for each in every if not differences(each, GRID)), None)
