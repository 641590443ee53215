"""Which ready layers a changed set of packages is built upon, and which not."""

from __future__ import annotations

import pytest

from conveyor.buildroot.overlay.layers import Layer, Offer
from conveyor.buildroot.overlay.nearest import MAX_LAYERS, after, nearest
from conveyor.ports import Changes, InstalledPackage


def package(text: str) -> InstalledPackage:
    """A package "name=version"; version 1 if it names none."""
    name, _, version = text.partition("=")
    return InstalledPackage(name=name, version=version or "1", architecture="all")


def packages(text: str) -> tuple[InstalledPackage, ...]:
    return tuple(package(word) for word in text.split())


def layer(held: str, *, name: str = "top", below: int = 1, trunk: Offer | None = None, known: bool = True) -> Layer:
    return Layer(
        id=name,
        below=tuple(f"below{number}" for number in range(below)),
        packages=packages(held),
        trunk=(trunk or {}) if known else None,
        size=1,
        made_at=1.0,
        used_at=1.0,
        purpose=None,
    )


def test_changes_replace_add_and_remove() -> None:
    changes = Changes(installed=packages("b=2 c"), removed=("d",))
    assert after(packages("a b d"), changes) == frozenset(packages("a b=2 c"))


def test_layers_that_are_the_answer_need_nothing_more() -> None:
    start = nearest(
        [layer("a"), layer("a b", name="right"), layer("a b c", name="more")], frozenset(packages("a b")), {}
    )
    assert start is not None
    assert (start.layers, start.missing) == (("right", "below0"), ())


def test_most_in_common_wins_and_only_the_rest_is_missing() -> None:
    layers = [layer("a", name="little"), layer("a b", name="most"), layer("a x", name="superfluous")]
    start = nearest(layers, frozenset(packages("a b c d")), {})
    assert start is not None
    assert (start.layers[0], start.missing) == ("most", packages("c d"))


@pytest.mark.parametrize(
    "held", ["a b c x", "a=2", "a b=2 c"], ids=["superfluous", "other version", "one other version"]
)
def test_what_would_have_to_go_rules_layers_out(held: str) -> None:
    assert nearest([layer(held)], frozenset(packages("a b c d")), {}) is None


def test_layers_of_which_too_little_is_written_down_are_not_built_upon() -> None:
    assert nearest([layer("a", known=False)], frozenset(packages("a b")), {}) is None


def test_stacks_do_not_grow_without_end() -> None:
    wanted = frozenset(packages("a b"))
    high = layer("a", below=MAX_LAYERS - 1)
    assert nearest([high], wanted, {}) is None
    assert nearest([layer("a", below=MAX_LAYERS - 2)], wanted, {}) is not None
    assert nearest([high], frozenset(packages("a")), {}) is not None


def test_of_two_with_as_much_the_lower_stack_is_taken() -> None:
    layers = [layer("a", name="high", below=3), layer("a", name="low", below=2)]
    start = nearest(layers, frozenset(packages("a b")), {})
    assert start is not None
    assert start.layers[0] == "low"


class TestTrunk:
    def test_a_newer_build_from_the_trunk_replaces_the_one_below(self) -> None:
        old = layer("dist lib=1", trunk={"lib": "old"})
        start = nearest([old], frozenset(packages("dist lib=2")), {"lib": "new"})
        assert start is not None
        assert start.missing == packages("lib=2")

    def test_the_same_version_with_another_content_does_not(self) -> None:
        old = layer("dist lib=1", trunk={"lib": "old"})
        assert nearest([old], frozenset(packages("dist lib=1")), {"lib": "new"}) is None

    def test_what_came_from_the_distribution_before_and_is_in_the_trunk_now_is_replaced(self) -> None:
        start = nearest([layer("dist lib=1")], frozenset(packages("dist lib=2")), {"lib": "new"})
        assert start is not None
        assert start.missing == packages("lib=2")

    def test_what_the_trunk_no_longer_has_rules_layers_out(self) -> None:
        old = layer("lib=2", trunk={"lib": "old"})
        assert nearest([old], frozenset(packages("lib=1 more")), {}) is None
        assert nearest([old], frozenset(packages("lib=2 more")), {}) is None

    def test_what_the_trunk_brings_no_more_must_not_stay(self) -> None:
        old = layer("dist lib-old=1", trunk={"lib-old": "old"})
        assert nearest([old], frozenset(packages("dist lib-new=1")), {"lib-new": "new"}) is None
