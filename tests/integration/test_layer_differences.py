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


def test_a_changed_set_costs_its_difference_and_gives_what_a_fresh_one_would(real: RealRoots) -> None:
    first, second, third = SETS[real.target.format]
    small, log = real.satisfy(first, second)
    before = installed(real, log)
    assert {first, second} <= set(before)

    again, log = real.satisfy(first, second)
    assert (again, log) == (small, "")

    large, log = real.satisfy(first, second, third)
    added = installed(real, log)
    assert third in added
    assert not set(added) & set(before)
    assert large.layers[1:] == small.layers
    assert sorted({p.name for p in large.packages} - {p.name for p in small.packages}) == added

    relation = f"{third} (>= 0)" if real.target.format is Format.DEB else f"{third} >= 0"
    same, log = real.satisfy(first, second, relation)
    assert same == large
    assert installed(real, log) == []

    less, log = real.satisfy(first)
    assert less.layers[1:] == real.base.layers
    assert not {second, third} & {package.name for package in less.packages}

    with real_roots(real.target, silent=True) as scratch:
        fresh, log = scratch.satisfy(first, second, third)
    assert installed(real, log) == sorted([*before, *added])
    assert large.packages == fresh.packages
    assert fresh.layers[1:] == real.base.layers
