"""Which layers can be built upon, so that only the difference has to be installed.

A package manager is asked first what it would install from scratch. Layers may then be reused where nothing in them is
superfluous: everything that they hold is in the answer too, in the same version. One exception is made: of what the
trunk offers, another version may be there, which is then replaced. What comes of it is compared with the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from conveyor.buildroot.overlay.layers import Layer, Offer
from conveyor.ports import Changes, InstalledPackage

# Layers on top of each other, the base included, beyond which a new one is made from scratch. Each costs a little at
# every look-up of a file, and what is replaced above still takes room below. overlayfs itself takes hundreds.
MAX_LAYERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Layers to build upon.

    Attributes:
        layers: their ids, the topmost first.
        missing: what has to be installed on top, sorted; nothing where they are the answer.
    """

    layers: tuple[str, ...]
    missing: tuple[InstalledPackage, ...]


def after(packages: Iterable[InstalledPackage], changes: Changes) -> frozenset[InstalledPackage]:
    """What is installed after changes."""
    gone = {*changes.removed, *(package.name for package in changes.installed)}
    return frozenset([*(package for package in packages if package.name not in gone), *changes.installed])


def nearest(layers: Iterable[Layer], wanted: frozenset[InstalledPackage], trunk: Offer) -> Start | None:
    """Those that have most of what is wanted and nothing else; None where none fits.

    Args:
        layers: layers that stand on those that the answer is for.
        wanted: what a package manager would have installed in the end.
        trunk: what the trunk offers now under the names that are wanted.
    """
    candidates = tuple(layers)
    exact = [layer for layer in candidates if frozenset(layer.packages) == wanted and layer.trunk == trunk]
    if exact:
        return Start(layers=min(exact, key=_depth).stack, missing=())
    fitting = [layer for layer in candidates if _depth(layer) < MAX_LAYERS and _fits(layer, wanted, trunk)]
    if not fitting:
        return None
    best = max(fitting, key=lambda layer: (len(wanted & frozenset(layer.packages)), -_depth(layer), layer.id))
    return Start(layers=best.stack, missing=tuple(sorted(wanted - frozenset(best.packages))))


def _fits(layer: Layer, wanted: frozenset[InstalledPackage], trunk: Offer) -> bool:
    """Whether nothing in a layer would have to go, but for other versions of what the trunk offers."""
    names = {package.name for package in wanted}
    before = layer.trunk
    return before is not None and all(
        before.get(package.name) == trunk.get(package.name)
        if package in wanted
        else package.name in names and package.name in trunk
        for package in layer.packages
    )


def _depth(layer: Layer) -> int:
    return len(layer.stack)
