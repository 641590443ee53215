"""What looks back, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.pipeline.travel import Travel
from conveyor.ports import Ledger, Store
from conveyor.repository.tree import PublishedTree
from conveyor.upstream.mirror import GitMirrors

if TYPE_CHECKING:
    from conveyor.config import Settings


def make_travel(settings: Settings, *, store: Store, ledger: Ledger, tree: PublishedTree) -> Travel:
    """What answers questions on what was published; the caller closes the store."""
    return Travel(store, ledger, tree, GitMirrors(settings.data_dir / "mirrors", rewrites=settings.rewrites))
