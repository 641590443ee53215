"""The layers on disk: a cache that may be deleted at any time.

    <folder>/layers/<id>/root/          what the layer adds to those below it
    <folder>/layers/<id>/layer.json     what is installed once it is on top
    <folder>/resolutions/<key>.json     which layer answers which requirements
    <folder>/bases/<key>.json           which base a target has now, and since when
    <folder>/caches/<target>/           packages that were downloaded

A layer's id is the hash of the layers below it and of all that is installed with it, so the same set of packages is
never kept twice. Layers are made aside and renamed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conveyor.ports import InstalledPackage

ID_DIGITS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Layers on top of each other.

    Attributes:
        layers: their ids, the topmost first.
        packages: what is installed, sorted.
    """

    layers: tuple[str, ...]
    packages: tuple[InstalledPackage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What answered a set of requirements, and what it depended on.

    Attributes:
        layer: id of the layer.
        names: names of packages that the answer depends on: a trunk package with another name cannot change it.
        trunk: hash of the trunk's packages with these names at the time.
    """

    layer: str
    names: frozenset[str]
    trunk: str


class LayerStore:
    """Reads and writes the layers' folder.

    Args:
        folder: where everything is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.layers = folder / "layers"

    def load(self, layers: Sequence[str]) -> Stack | None:
        """A stack by its layers' ids; None when one of them is gone."""
        packages = self._packages(layers[0])
        if packages is None or not all((self.layers / layer / "root").is_dir() for layer in layers):
            return None
        return Stack(layers=tuple(layers), packages=packages)

    def add(self, root: Path, below: Sequence[str], packages: Sequence[InstalledPackage], salt: str) -> Stack:
        """Rename a finished root into place; the same packages on the same layers are kept once.

        Args:
            root: the folder with the layer's content, in a folder of its own on the same file system.
            below: the layers it stands on.
            packages: what is installed with it.
            salt: what else tells it from other layers: the hashes of trunk packages, which versions do not name.
        """
        identity = [*below, salt, *(str(package) for package in packages)]
        layer = hash_of(identity)[:ID_DIGITS]
        stack = Stack(layers=(layer, *below), packages=tuple(packages))
        record = {"packages": [(p.name, p.version, p.architecture) for p in packages], "below": list(below)}
        made = root.parent / "layer"
        made.mkdir()
        root.rename(made / "root")
        (made / "layer.json").write_text(json.dumps(record))
        self.layers.mkdir(parents=True, exist_ok=True)
        self._settle(made, layer)
        return stack

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

    def _packages(self, layer: str) -> tuple[InstalledPackage, ...] | None:
        record = self._read(self.layers / layer / "layer.json", "packages")
        if record is None:
            return None
        return tuple(InstalledPackage(name=n, version=v, architecture=a) for n, v, a in record["packages"])

    def resolution(self, key: str) -> Resolution | None:
        """What answered the requirements with this key the last time."""
        record = self._read(self._folder / "resolutions" / f"{key}.json", "layer", "names", "trunk")
        if record is None:
            return None
        return Resolution(layer=record["layer"], names=frozenset(record["names"]), trunk=record["trunk"])

    def remember(self, key: str, resolution: Resolution) -> None:
        """Keep what answered the requirements with this key."""
        record = {"layer": resolution.layer, "names": sorted(resolution.names), "trunk": resolution.trunk}
        self._write(self._folder / "resolutions" / f"{key}.json", record)

    def base(self, key: str) -> tuple[str, float] | None:
        """Id of the base layer with this key, and when it was made, in seconds since the epoch."""
        record = self._read(self._folder / "bases" / f"{key}.json", "layer", "made_at")
        return None if record is None else (record["layer"], record["made_at"])

    def set_base(self, key: str, layer: str, made_at: float) -> None:
        """Keep which base layer has this key from now on."""
        self._write(self._folder / "bases" / f"{key}.json", {"layer": layer, "made_at": made_at})

    def cache(self, target: str) -> Path:
        """Folder for the downloads of a target."""
        folder = self._folder / "caches" / target
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def making(self, target: str) -> Iterator[None]:
        """Hold the one place for making layers of a target, across processes: a second one finds them made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{target}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

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
