"""The size of what is kept between builds, and what goes when it is too large: what was not used for longest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.layers import Layer, LayerStore, size_of
from conveyor.buildroot.leases import unused

# Of all room, the part that downloads may take: they only save the network's time.
DOWNLOADS_PART = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One downloaded file.

    Attributes:
        path: the file.
        size: bytes on the disk.
        used_at: when it was downloaded or read last, as far as the file system notes it; seconds since the epoch.
    """

    path: Path
    size: int
    used_at: float


class Eviction:
    """Removes layers and downloads. Layers that are in use, or below others that stay, stay.

    Safe beside any number of processes that use and make layers, and beside another one of its kind. What it removes is
    renamed into a job's folder first, so that a kill leaves whole layers and what the next start removes.

    Args:
        store: the layers.
        jobs: temporary folders on the same file system.
        limit: bytes that may be kept.
    """

    def __init__(self, store: LayerStore, jobs: Jobs, limit: int) -> None:
        self._store = store
        self._jobs = jobs
        self._limit = limit

    def __call__(self) -> int:
        """Keep to the limit; returns the bytes that were freed."""
        return self.prune(self._limit)

    def prune(self, to: int) -> int:
        """Remove until at most so many bytes are left, or all that is left is in use; returns the bytes freed."""
        freed, left = self._prune_downloads(to // DOWNLOADS_PART)
        with self._store.alone("eviction") as held:
            if held:
                freed += self._remove_strays()
                freed += self._prune_layers(max(0, to - left))
                self._store.forget()
        return freed

    def _prune_downloads(self, to: int) -> tuple[int, int]:
        """Remove downloads; returns the bytes freed, and those that are left."""
        downloads = sorted(downloaded(self._store.caches), key=lambda download: download.used_at)
        total = sum(download.size for download in downloads)
        going: dict[str, list[Download]] = {}
        freed = 0
        for download in downloads:
            if total - freed <= to:
                break
            freed += download.size
            going.setdefault(download.path.relative_to(self._store.caches).parts[0], []).append(download)
        freed = sum(self._remove_downloads(target, chosen) for target, chosen in going.items())
        return freed, total - freed

    def _remove_downloads(self, target: str, downloads: Iterable[Download]) -> int:
        """Remove a target's downloads, unless its layers are being made."""
        with self._store.alone(target) as held:
            if not held:
                return 0
            freed = 0
            for download in downloads:
                download.path.unlink(missing_ok=True)
                freed += download.size
            return freed

    def _prune_layers(self, to: int) -> int:
        layers = {layer.id: layer for layer in self._store.known()}
        sizes = {layer.id: self._size(layer) for layer in layers.values()}
        total, freed = sum(sizes.values()), 0
        kept: set[str] = set()
        while total - freed > to:
            layer = next(evictable(layers.values(), kept), None)
            if layer is None:
                break
            if self._move_away(self._store.layers / layer.id):
                freed += sizes[layer.id]
                del layers[layer.id]
            else:
                kept.add(layer.id)
        return freed

    def _remove_strays(self) -> int:
        """Remove layers whose records were damaged: nobody finds them."""
        known = {layer.id for layer in self._store.known()}
        strays = [path for path in sorted(self._store.layers.glob("*")) if path.name not in known]
        sizes = [(path, size_of(path)) for path in strays]
        return sum(size for path, size in sizes if self._move_away(path))

    def _size(self, layer: Layer) -> int:
        return layer.size if layer.size is not None else size_of(self._store.layers / layer.id)

    def _move_away(self, place: Path) -> bool:
        """Remove a layer, unless it is in use, or came to have another on top meanwhile: that one's maker held it."""
        with self._jobs.folder() as job:
            with unused(place) as free:
                if not free or any(place.name in other.below for other in self._store.known()):
                    return False
                place.rename(job / "layer")
            return True


def evictable(layers: Iterable[Layer], kept: Iterable[str]) -> Iterator[Layer]:
    """Layers that nothing stands on, the one that was not used for longest first; but none of those that are kept."""
    candidates = tuple(layers)
    below = {layer for one in candidates for layer in one.below}
    free = [layer for layer in candidates if layer.id not in below and layer.id not in set(kept)]
    return iter(sorted(free, key=lambda layer: (layer.used_at, layer.id)))


def downloaded(caches: Path) -> Iterator[Download]:
    """All files below the folder of downloads."""
    for path in caches.rglob("*") if caches.is_dir() else ():
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if not path.is_dir() or path.is_symlink():
            used_at = max(status.st_atime, status.st_ctime)
            yield Download(path=path, size=size_of(path), used_at=used_at)
