"""The stock of the overlay builder: its layers and downloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from conveyor.buildroot.isolation.sandbox import Call, Sandbox
from conveyor.buildroot.overlay.eviction import Eviction, kept_files
from conveyor.buildroot.overlay.layers import Layer, LayerStore, size_of
from conveyor.buildroot.overlay.leases import users
from conveyor.buildroot.overlay.roots import Roots
from conveyor.buildroot.stock import StockItem, StockKind
from conveyor.errors import UserError
from conveyor.model.target import BuilderKind, Target

USER_ENVIRONMENT = {"HOME": "/build/home", "TERM": "xterm", "USER": "build", "LOGNAME": "build"}
ROOT_ENVIRONMENT = {"HOME": "/root", "TERM": "xterm"}


class OverlayBuildroots:
    """The port Buildroots on layers.

    Args:
        store: the layers.
        roots: makes and finds them.
        sandbox: runs shells in them.
        eviction: removes them.
    """

    def __init__(self, *, store: LayerStore, roots: Roots, sandbox: Sandbox, eviction: Eviction) -> None:
        self._store = store
        self._roots = roots
        self._sandbox = sandbox
        self._eviction = eviction

    def stock(self, targets: Sequence[Target]) -> tuple[StockItem, ...]:
        """See Buildroots: the layers that were made for the targets, their downloads and compilations."""
        names = {target.name for target in targets}
        found = ((self._base(target), target.name) for target in targets)
        bases = {base: name for base, name in found if base is not None}
        layers = [self._item(layer, bases) for layer in self._store.known()]
        return (
            *(item for item in layers if item.target in {"", *names}),
            *self._files(self._store.caches, StockKind.DOWNLOADS, sorted(names)),
            *self._files(self._store.compilations, StockKind.COMPILATIONS, sorted(names)),
        )

    def is_due(self, target: Target) -> bool:
        """See Buildroots."""
        return self._roots.is_due(target)

    def refresh(self, target: Target, log: Path) -> bool:
        """See Buildroots."""
        return self._roots.refresh(target, log)

    def prune(self, to: int) -> int:
        """See Buildroots."""
        return self._eviction.prune(to)

    def visit(self, target: Target, argv: Sequence[str], log: Path, *, as_root: bool) -> int:
        """See Buildroots."""
        stack = self._roots.buildroot(target, log)
        return self._sandbox.attach(
            Call(
                argv=tuple(argv),
                layers=stack.layers,
                limits=target.limits,
                privileged=as_root,
                environment=ROOT_ENVIRONMENT if as_root else USER_ENVIRONMENT,
            )
        )

    def _base(self, target: Target) -> str | None:
        """Id of the target's base; None where there is none, or the image that it came from is gone."""
        try:
            found = self._roots.known_base(target)
        except UserError:
            return None
        return None if found is None else found[0]

    def _item(self, layer: Layer, bases: Mapping[str, str]) -> StockItem:
        path = self._store.layers / layer.id
        kind = StockKind.DEPENDENCIES if layer.below else StockKind.BASE
        return StockItem(
            builder=BuilderKind.OVERLAY,
            target=layer.purpose.target if layer.purpose else bases.get(layer.id, ""),
            kind=StockKind(layer.purpose.kind) if layer.purpose else kind,
            name=layer.id,
            size=size_of(path) if layer.size is None else layer.size,
            made_at=layer.made_at,
            used_at=layer.used_at,
            users=users(path),
            current=layer.id in bases,
        )

    def _files(self, folder: Path, kind: StockKind, targets: Sequence[str]) -> Iterator[StockItem]:
        for target in targets:
            files = list(kept_files(folder / target))
            if files:
                yield StockItem(
                    builder=BuilderKind.OVERLAY,
                    target=target,
                    kind=kind,
                    name=target,
                    size=sum(file.size for file in files),
                    made_at=None,
                    used_at=max(file.used_at for file in files),
                )
