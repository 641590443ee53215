"""What is kept by the tools of other builders: what the script told, and what goes first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conveyor.buildroot.isolation.sandbox import ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.stock import StockItem, StockKind, shares
from conveyor.buildroot.tools.buildroots import Kept, Listed, chosen, listed
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.model.target import BuilderKind


def item(name: str, size: int = 10, used_at: float | None = None, users: Sequence[int] = ()) -> StockItem:
    return StockItem(
        builder=BuilderKind.PBUILDER,
        target="debian-13-amd64",
        kind=StockKind.BASE,
        name=name,
        size=size,
        made_at=1.0,
        used_at=used_at,
        users=tuple(users),
    )


def kept(name: str, used_at: float | None, *, outdated: bool = False, users: Sequence[int] = ()) -> Kept:
    tools = HostTools(jobs=Jobs(Path("/nowhere")), folder=Path("/nowhere"), scratch=ScratchKind.AUTO)
    one = item(name, used_at=used_at, users=users)
    return Kept(tools=tools, cache="pbuilder-debian-13-amd64", path=name, item=one, outdated=outdated)


def test_lines_are_read() -> None:
    assert listed(["roots/a b-bootstrap 4096 50 0 0 0", "WARN: a word", "archives 8192 0 70 2049 17"]) == (
        Listed(path="roots/a b-bootstrap", size=4096, made_at=50, used_at=50, device=0, inode=0),
        Listed(path="archives", size=8192, made_at=0, used_at=70, device=2049, inode=17),
    )
    assert listed(["roots/a-bootstrap 4096 50 0 0 0"])[0].name == "a"


def test_old_configurations_go_first_then_what_was_not_used_for_longest_and_never_what_is_in_use() -> None:
    all_kept = (
        kept("new", 90),
        kept("older", 20),
        kept("never", None),
        kept("outdated", 95, outdated=True),
        kept("held", 1, outdated=True, users=[7]),
    )
    assert [one.path for one in chosen(all_kept, 0)] == ["outdated", "never", "older", "new"]
    assert [one.path for one in chosen(all_kept, 35)] == ["outdated", "never"]
    assert chosen(all_kept, 50) == ()


def test_each_builder_has_its_part_of_the_limit() -> None:
    stock = {BuilderKind.OVERLAY: [item("a", 60)], BuilderKind.PBUILDER: [item("b", 20), item("c", 20)]}
    assert shares(stock, 50) == {BuilderKind.OVERLAY: 30, BuilderKind.PBUILDER: 20}
    assert shares({BuilderKind.MOCK: []}, 50) == {BuilderKind.MOCK: 50}
