"""The size of what is kept between builds, and what goes when it is too large: what was not used for longest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.overlay.layers import Layer, LayerStore, size_of
from conveyor.buildroot.overlay.leases import unused

# Of all room, the part that downloads may take, and compilations: they save less time than layers.
FILES_PART = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """One downloaded file, or archive of compilations.

    Attributes:
        path: the file.
        size: bytes on the disk.
        used_at: when it was written or read last, as far as the file system notes it; seconds since the epoch.
    """

    path: Path
    size: int
    used_at: float


class Eviction:
    """Removes layers, downloads and compilations. Layers that are in use, or below others that stay, stay.

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
        downloads = self._prune_files(self._store.caches, to // FILES_PART)
        compilations = self._prune_files(self._store.compilations, to // FILES_PART)
        freed, left = (sum(both) for both in zip(downloads, compilations, strict=True))
        with self._store.alone("eviction") as held:
            if held:
                freed += self._remove_strays()
                freed += self._prune_layers(max(0, to - left))
                self._store.forget()
        return freed

    def _prune_files(self, folder: Path, to: int) -> tuple[int, int]:
        """Remove files below a folder with a folder for each target; the bytes freed, and those that are left."""
        files = sorted(kept_files(folder), key=lambda file: file.used_at)
        total, chosen = sum(file.size for file in files), 0
        going: dict[str, list[KeptFile]] = {}
        for file in files:
            if total - chosen <= to:
                break
            chosen += file.size
            going.setdefault(file.path.relative_to(folder).parts[0], []).append(file)
        freed = sum(self._remove_files(target, doomed) for target, doomed in going.items())
        return freed, total - freed

    def _remove_files(self, target: str, files: Iterable[KeptFile]) -> int:
        """Remove a target's files, unless its layers are being made: a package manager may be about to read them."""
        with self._store.alone(target) as held:
            if not held:
                return 0
            freed = 0
            for file in files:
                file.path.unlink(missing_ok=True)
                freed += file.size
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


def kept_files(folder: Path) -> Iterator[KeptFile]:
    """All files below a folder."""
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if not path.is_dir() or path.is_symlink():
            used_at = max(status.st_atime, status.st_ctime)
            yield KeptFile(path=path, size=size_of(path), used_at=used_at)
