"""What looks back, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.pipeline.looking.travel import Travel
from conveyor.ports import Ledger, Store
from conveyor.repository.tree import PublishedTree

if TYPE_CHECKING:
    from conveyor.config import Settings


def make_travel(settings: Settings, *, store: Store, ledger: Ledger, tree: PublishedTree) -> Travel:
    """What answers questions on what was published; the caller closes the store."""
    from conveyor.upstream.mirror import GitMirrors  # noqa: PLC0415 - takes long to import

    return Travel(store, ledger, tree, GitMirrors(settings.data_dir / "mirrors", rewrites=settings.rewrites))
