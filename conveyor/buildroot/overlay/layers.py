"""The layers on disk: a cache that may be deleted at any time.

    <folder>/layers/<id>/root/          what the layer adds to those below it
    <folder>/layers/<id>/layer.json     what is installed once it is on top
    <folder>/layers/<id>/used           when it was used last; its users hold it locked
    <folder>/resolutions/<key>.json     which layers answer which requirements
    <folder>/bases/<key>.json           which base a target has now, and since when
    <folder>/caches/<target>/           packages that were downloaded
    <folder>/compilations/<target>/<package>.tar   what ccache kept of a package's last good build

A layer's id is the hash of the layers below it and of all that is installed with it, so the same set of packages is
never kept twice on the same layers. Layers are made aside, written to the disk, and renamed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

from conveyor.buildroot.overlay.leases import Lease, last_used, lease
from conveyor.command import run
from conveyor.errors import SandboxUnusable
from conveyor.ports import InstalledPackage

ID_DIGITS = 24
SYNC_SECONDS = 600
TRIES = 3
# Names of packages, each with the sha256 of what the trunk has under it; several are divided by blanks.
Offer: TypeAlias = Mapping[str, str]
BLOCK = 512  # bytes: the unit of st_blocks, stat(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Layers on top of each other.

    Attributes:
        layers: their ids, the topmost first.
        packages: what is installed, sorted.
        lease: keeps them from being removed for as long as the stack is referred to.
        made: whether any of them was made just now, for who asked for it.
    """

    layers: tuple[str, ...]
    packages: tuple[InstalledPackage, ...]
    lease: Lease | None = field(default=None, compare=False, repr=False)
    made: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a layer was made for: for people who look at the list.

    Attributes:
        target: name of the target.
        kind: what it holds, in the words of conveyor.buildroot.stock.
    """

    target: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What is written down of a layer.

    Attributes:
        id: its id.
        below: the layers that it stands on, the topmost first.
        packages: what is installed once it is on top, sorted.
        trunk: what the trunk offered under their names, see `Offer`; None where that was not written down.
        size: bytes on the disk; None where that was not written down.
        made_at: in seconds since the epoch; 0 where that was not written down.
        used_at: when it was used last, in seconds since the epoch.
        purpose: what it was made for; None where that was not written down.
    """

    id: str
    below: tuple[str, ...]
    packages: tuple[InstalledPackage, ...]
    trunk: Offer | None
    size: int | None
    made_at: float
    used_at: float
    purpose: Purpose | None

    @property
    def stack(self) -> tuple[str, ...]:
        """It, and the layers that it stands on."""
        return (self.id, *self.below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What answered a set of requirements, and what it depended on.

    Attributes:
        layers: ids of the layers, the topmost first, down to the base.
        names: names of packages that the answer depends on: a trunk package with another name cannot change it.
        trunk: hash of the trunk's packages with these names at the time.
        made_at: in seconds since the epoch.
    """

    layers: tuple[str, ...]
    names: frozenset[str]
    trunk: str
    made_at: float


class LayerStore:
    """Reads and writes the layers' folder.

    Args:
        folder: where everything is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layers = folder / "layers"
        self.caches = folder / "caches"
        self.compilations = folder / "compilations"

    def load(self, layers: Sequence[str]) -> Stack | None:
        """A stack by its layers' ids, used from now on; None when one of them is gone."""
        held = lease([self.layers / layer for layer in layers])
        packages = None if held is None else self._packages(layers[0])
        if packages is None or not all((self.layers / layer / "root").is_dir() for layer in layers):
            return None
        return Stack(layers=tuple(layers), packages=packages, lease=held)

    def known(self) -> tuple[Layer, ...]:
        """All layers whose record can be read, in no order."""
        found = (self._layer(path) for path in (self.layers.iterdir() if self.layers.is_dir() else ()))
        return tuple(layer for layer in found if layer is not None)

    def add(
        self,
        root: Path,
        below: Sequence[str],
        packages: Sequence[InstalledPackage],
        trunk: Offer,
        purpose: Purpose,
        image: str = "",
    ) -> Stack:
        """Rename a finished root into place; the same packages on the same layers are kept once.

        Args:
            root: the folder with the layer's content, in a folder of its own on the same file system.
            below: the layers it stands on.
            packages: what is installed with it.
            trunk: what the trunk offers under their names: it may have two contents of one version.
            purpose: what it was made for.
            image: identity of the image that it was made of: two may hold the same packages; empty without one.

        Raises:
            CommandFailed: the disk does not take it.
        """
        salts = (salt_of(trunk), *([image] if image else ()))
        layer = hash_of([*below, *salts, *(str(package) for package in packages)])[:ID_DIGITS]
        record = {
            "packages": [(p.name, p.version, p.architecture) for p in packages],
            "below": list(below),
            "trunk": dict(trunk),
            "size": size_of(root),
            "purpose": asdict(purpose),
        }
        made = root.parent / "layer"
        made.mkdir()
        root.rename(made / "root")
        (made / "layer.json").write_text(json.dumps(record))
        _flush(made)
        # Held before it has its name, so that nobody removes it in between.
        held = lease([made])
        self.layers.mkdir(parents=True, exist_ok=True)
        for _ in range(TRIES):
            stack = self.load([layer, *below])
            if stack is not None:
                return stack
            self._settle(made, layer)
        del held
        raise SandboxUnusable("a layer went as soon as it was made", hint="delete no layers while builds run")

    def _settle(self, made: Path, layer: str) -> None:
        """Rename a finished layer into place, unless it is there, whole, already."""
        place = self.layers / layer
        if self._packages(layer) is not None and (place / "root").is_dir():
            return
        if place.exists():
            place.rename(made.parent / "damaged")
        try:
            made.rename(place)
        except OSError as error:
            # Another target may have made the same layer at this moment; it is as good.
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise

    def _layer(self, path: Path) -> Layer | None:
        packages = self._packages(path.name)
        record = self._read(path / "layer.json", "below")
        if packages is None or record is None:
            return None
        purpose = record.get("purpose")
        return Layer(
            id=path.name,
            below=tuple(record["below"]),
            packages=packages,
            trunk=record.get("trunk"),
            size=record.get("size"),
            made_at=_modified(path / "layer.json"),
            used_at=last_used(path) or _modified(path / "layer.json"),
            purpose=Purpose(**purpose) if purpose else None,
        )

    def _packages(self, layer: str) -> tuple[InstalledPackage, ...] | None:
        record = self._read(self.layers / layer / "layer.json", "packages")
        if record is None:
            return None
        return tuple(InstalledPackage(name=n, version=v, architecture=a) for n, v, a in record["packages"])

    def resolution(self, key: str) -> Resolution | None:
        """What answered the requirements with this key the last time."""
        record = self._read(self.folder / "resolutions" / f"{key}.json", "layers", "names", "trunk", "made_at")
        if record is None:
            return None
        return Resolution(
            layers=tuple(record["layers"]),
            names=frozenset(record["names"]),
            trunk=record["trunk"],
            made_at=record["made_at"],
        )

    def remember(self, key: str, resolution: Resolution) -> None:
        """Keep what answered the requirements with this key."""
        record = {
            "layers": resolution.layers,
            "names": sorted(resolution.names),
            "trunk": resolution.trunk,
            "made_at": resolution.made_at,
        }
        self._write(self.folder / "resolutions" / f"{key}.json", record)

    def forget(self) -> None:
        """Remove the resolutions that name a layer which is gone."""
        folder = self.folder / "resolutions"
        for path in list(folder.glob("*.json")) if folder.is_dir() else ():
            record = self._read(path, "layers")
            if record is None or not all((self.layers / layer).is_dir() for layer in record["layers"]):
                path.unlink(missing_ok=True)

    def base(self, key: str) -> tuple[str, float] | None:
        """Id of the base layer with this key, and when it was made, in seconds since the epoch."""
        record = self._read(self.folder / "bases" / f"{key}.json", "layer", "made_at")
        return None if record is None else (record["layer"], record["made_at"])

    def set_base(self, key: str, layer: str, made_at: float) -> None:
        """Keep which base layer has this key from now on."""
        self._write(self.folder / "bases" / f"{key}.json", {"layer": layer, "made_at": made_at})

    def cache(self, target: str) -> Path:
        """Folder for the downloads of a target."""
        folder = self.caches / target
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def making(self, target: str) -> Iterator[None]:
        """Hold the one place for making layers of a target, across processes: a second one finds them made."""
        with self._lock_file(target) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Hold a place if nobody does; tells whether it is held now. A target's name is its place of `making`."""
        with self._lock_file(name) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held = False
            else:
                held = True
            yield held

    def _lock_file(self, name: str) -> IO[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return (self.folder / f"{name}.lock").open("w")

    def _read(self, path: Path, *keys: str) -> dict[str, Any] | None:
        """A record with these keys; None when it is not there, or was damaged by a power failure: it is a cache."""
        try:
            record = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return record if isinstance(record, dict) and all(key in record for key in keys) else None

    def _write(self, path: Path, record: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(record))
        temporary.replace(path)


def hash_of(lines: Sequence[str]) -> str:
    """Hex sha256 of lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def salt_of(trunk: Offer) -> str:
    """What tells layers apart that hold the same versions of trunk packages with different contents."""
    return hash_of(sorted(f"{name} {sha256}" for name, hashes in trunk.items() for sha256 in hashes.split()))


def size_of(path: Path) -> int:
    """Bytes that a file, or a folder with all that is in it, takes on the disk; what goes meanwhile is left out."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    total = status.st_blocks * BLOCK
    if not path.is_symlink() and path.is_dir():
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                total += _blocks(Path(folder, name))
    return total


def _blocks(path: Path) -> int:
    try:
        return path.lstat().st_blocks * BLOCK
    except FileNotFoundError:
        return 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _flush(layer: Path) -> None:
    """Have a layer on the disk before it gets its name: after a power cut, what has a name is whole."""
    run(["sync", "--file-system", str(layer)], timeout=SYNC_SECONDS)
