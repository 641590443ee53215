"""What a changed set of requirements costs, with the real package managers: the difference, and never another set."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from conveyor.model.target import Format
from tests.support.real_roots import DEB_TARGET, RPM_TARGET, RealRoots, real_roots

pytestmark = pytest.mark.integration

# Small packages; the second needs one more, and the last needs the second.
SETS = {
    Format.DEB: ("hello", "python3-six", "python3-dateutil"),
    Format.RPM: ("python3-six", "python3-dateutil", "python3-jsonpatch"),
}
DONE = {
    Format.DEB: r"^Setting up (\S+?)(?::\w+)? \(",
    Format.RPM: r"^  Installing +: (\S+?)-[^-]+-[^-]+\.(?:noarch|x86_64) ",
}


@pytest.fixture(params=[DEB_TARGET, RPM_TARGET], ids=["deb", "rpm"])
def real(request: pytest.FixtureRequest) -> Iterator[RealRoots]:
    with real_roots(request.param) as made:
        yield made


def installed(real: RealRoots, log: str) -> list[str]:
    """Names of what a log says was installed."""
    return sorted(re.findall(DONE[real.target.format], log, re.MULTILINE))


def test_an_unchanged_set_runs_no_package_manager(real: RealRoots) -> None:
    first, _, _ = SETS[real.target.format]
    made, log = real.satisfy(first)
    assert log
    again, log = real.satisfy(first)
    assert (again, log) == (made, "")


def test_one_more_requirement_installs_only_what_it_brings(real: RealRoots) -> None:
    first, second, third = SETS[real.target.format]
    small, log = real.satisfy(first, second)
    before = installed(real, log)
    assert {first, second} <= set(before)
    large, log = real.satisfy(first, second, third)
    added = installed(real, log)
    assert third in added
    assert not set(added) & set(before)
    assert large.layers[1:] == small.layers
    assert sorted({p.name for p in large.packages} - {p.name for p in small.packages}) == added
    with real_roots(real.target, silent=True) as scratch:
        fresh, log = scratch.satisfy(first, second, third)
    assert installed(real, log) == sorted([*before, *added])
    assert large.packages == fresh.packages
    assert fresh.layers[1:] == real.base.layers


def test_fewer_requirements_leave_nothing_superfluous(real: RealRoots) -> None:
    first, second, third = SETS[real.target.format]
    large, _ = real.satisfy(first, second, third)
    small, _ = real.satisfy(first)
    names = {package.name for package in small.packages} - {package.name for package in real.base.packages}
    assert first in names
    assert not {second, third} & names
    assert not set(large.layers[:1]) & set(small.layers)


def test_other_words_for_the_same_packages_take_the_layer_that_is_there(real: RealRoots) -> None:
    first, second, _ = SETS[real.target.format]
    made, _ = real.satisfy(second)
    relation = f"{second} (>= 0)" if real.target.format is Format.DEB else f"{second} >= 0"
    again, log = real.satisfy(relation)
    assert again == made
    assert installed(real, log) == []
    assert first
