"""The port Repository for tests of the pipeline: files without durability, locks without processes, no metadata."""

from __future__ import annotations

import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from conveyor.errors import SourceInvalid, UnknownName
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot
from conveyor.model.manifest import Manifest
from conveyor.ports import Trunk
from conveyor.repository import names
from conveyor.repository.manifest import read
from conveyor.repository.records import manifest_json, manifest_line

# What no repository can list.
UNLISTABLE = b"unlistable"


class FakeRepository:
    """Keeps files below a folder and pointers in memory; refuses to list files with the word "unlistable"."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.heads: dict[str, str] = {}
        self._pointers: dict[tuple[str, str], str] = {}
        self._manifests: dict[Path, Manifest] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def bringing(self, target: str) -> Iterator[None]:
        del target
        yield

    def add(self, target: str, path: Path, artifact: Artifact) -> Artifact:
        final = self.artifact_path(target, artifact)
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, final)
        return artifact

    def check(self, target: str, files: Sequence[tuple[Path, Artifact]]) -> None:
        del target
        for path, artifact in files:
            if artifact.kind is ArtifactKind.BINARY and UNLISTABLE in path.read_bytes():
                raise SourceInvalid(f"{artifact.filename} is not a package that a repository can hold")

    @contextmanager
    def signed(
        self, target: str, files: Sequence[tuple[Path, Artifact]]
    ) -> Iterator[tuple[tuple[Path, Artifact], ...]]:
        del target
        yield tuple(files)

    def holds(self, target: str, path: Path, artifact: Artifact) -> bool:
        stored = self.artifact_path(target, artifact)
        return stored.is_file() and stored.read_bytes() == path.read_bytes()

    def artifact_path(self, target: str, artifact: Artifact) -> Path:
        return self._root / target / "pool" / artifact.pool_path

    def publish(self, snapshot: Snapshot, extras: Mapping[str, bytes]) -> Path:
        folder = self.snapshot_folder(snapshot.target, snapshot.commit_id)
        if not folder.is_dir():
            folder.mkdir(parents=True)
            (folder / "pool").symlink_to("../../../pool")
            self._manifests[folder] = read(
                manifest_json(snapshot, map(manifest_line, snapshot.entries)), where=str(folder)
            )
            for path, content in extras.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        return folder

    def check_pointer(self, target: str, pointer: str, commit_id: str) -> None:
        names.check_pointer(pointer)
        if not self.snapshot_folder(target, commit_id).is_dir():
            raise UnknownName(f"{target} has no repository of commit {commit_id}")

    def point(self, target: str, pointer: str, commit_id: str) -> None:
        self.check_pointer(target, pointer, commit_id)
        self._pointers[target, pointer] = commit_id

    def unpoint(self, target: str, pointer: str) -> None:
        self._pointers.pop((target, pointer), None)

    def pointed(self, target: str, pointer: str) -> str | None:
        return self._pointers.get((target, names.check_pointer(pointer)))

    def pointers(self, target: str) -> Mapping[str, str]:
        return {name: commit for (of, name), commit in sorted(self._pointers.items()) if of == target}

    def ledger_head(self, target: str) -> str | None:
        return self.heads.get(target)

    def set_ledger_head(self, target: str, head: str) -> None:
        self.heads[target] = head

    def manifest(self, target: str, commit_id: str) -> Manifest:
        folder = self.snapshot_folder(target, commit_id)
        if not folder.is_dir():
            raise UnknownName(f"{target} has no repository of commit {commit_id}")
        return self._manifests[folder]

    def snapshot_folder(self, target: str, commit_id: str) -> Path:
        return self._root / target / commit_id[:2] / commit_id[2:4] / commit_id

    def trunk(self, target: str, binaries: Sequence[Artifact], commit_id: str | None = None) -> Trunk | None:
        commit_id = self.pointed(target, "current") if commit_id is None else commit_id
        if commit_id is None or not self.snapshot_folder(target, commit_id).is_dir():
            return None
        snapshot = f"{commit_id[:2]}/{commit_id[2:4]}/{commit_id}"
        return Trunk(folder=self._root / target, snapshot=snapshot, binaries=tuple(binaries))

    @contextmanager
    def writing(self, target: str) -> Iterator[None]:
        with self._locks[target]:
            yield

    def clean(self) -> None:
        """It leaves nothing half-done."""
