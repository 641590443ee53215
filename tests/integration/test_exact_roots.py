"""A root as it was recorded, had again with the real package managers, or not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from conveyor.model.target import Format
from tests.support.real_roots import DEB_TARGET, RPM_TARGET, RealRoots, real_roots

pytestmark = pytest.mark.integration

WANTED = {Format.DEB: ("hello", "python3-six"), Format.RPM: ("python3-six", "python3-dateutil")}


@pytest.fixture(params=[DEB_TARGET, RPM_TARGET], ids=["deb", "rpm"])
def real(request: pytest.FixtureRequest) -> Iterator[RealRoots]:
    with real_roots(request.param) as made:
        yield made


def test_it_is_found_or_made_again_and_otherwise_there_is_none(real: RealRoots) -> None:
    recorded, _ = real.satisfy(*WANTED[real.target.format])
    log = real.data / "exact.log"

    assert real.roots.exactly(real.target, recorded.packages, None, log) == recorded
    assert not log.exists()

    shutil.rmtree(real.store.layers / recorded.layers[0])
    again = real.roots.exactly(real.target, recorded.packages, None, log)
    assert again is not None, log.read_text()
    assert (again.packages, again.layers[1:]) == (recorded.packages, real.base.layers)

    shutil.rmtree(real.store.layers / again.layers[0])
    first, *others = sorted({*recorded.packages} - {*real.base.packages})
    gone = [*real.base.packages, replace(first, version="0:0.0.1-1"), *others]
    assert real.roots.exactly(real.target, gone, None, log) is None
    assert "ready layers cannot be used" in log.read_text()

    superfluous = [package for package in recorded.packages if package != real.base.packages[0]]
    assert real.roots.exactly(real.target, superfluous, None, log) is None
