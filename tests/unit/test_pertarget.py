"""Each target has a builder of its own, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from conveyor.buildroot.tools.pertarget import PerTarget
from conveyor.model.target import Target
from conveyor.ports import Builder
from tests.fakes.builder import FakeBuilder
from tests.support.workshop import TARGET


def test_a_target_is_served_by_the_builder_that_was_made_for_it(tmp_path: Path) -> None:
    made: list[str] = []

    def make(target: Target) -> Builder:
        made.append(target.name)
        return FakeBuilder([f"only-{target.name}"])

    builder = PerTarget(make)
    other = replace(TARGET, name="other")
    for target in (TARGET, other, TARGET):
        root = builder.prepare(target, [f"only-{target.name}"], None, tmp_path / "log")
        assert root.target == target
    assert made == [TARGET.name, "other"]
