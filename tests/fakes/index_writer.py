"""An IndexWriter for tests that do not look at metadata: one list of the packages, under its checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from conveyor.errors import SourceInvalid
from conveyor.model.artifact import Artifact, Snapshot
from conveyor.model.target import Format
from conveyor.ports import ClientKeys, EntryFile
from tests.fakes.repository import UNLISTABLE


class FakeIndexWriter:
    """Writes an entry file "index" that names the one file that lists all artifacts."""

    format = Format.RPM

    def write(self, folder: Path, snapshot: Snapshot, pool: Path) -> None:
        paths = sorted(artifact.pool_path for entry in snapshot.entries for artifact in entry.artifacts)
        content = "".join(f"{path} {(pool / path).stat().st_size}\n" for path in paths).encode()
        name = f"{hashlib.sha256(content).hexdigest()}-list"
        (folder / "metadata").mkdir()
        (folder / "metadata" / name).write_bytes(content)
        (folder / "metadata" / "index").write_text(name)

    def check(self, files: Sequence[tuple[Path, Artifact]]) -> None:
        for path, artifact in files:
            if UNLISTABLE in path.read_bytes():
                raise SourceInvalid(f"{artifact.filename} is not a package that a repository can hold")

    def checksummed(self, folder: Path) -> tuple[str, ...]:
        return (f"metadata/{(folder / 'metadata/index').read_text()}",)

    def components(self, folder: Path) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def to_sign(self, folder: Path) -> tuple[EntryFile, ...]:
        del folder
        return (EntryFile(path="metadata/index", detached="index.asc", inline="index.signed"),)

    def dated(self, folder: Path) -> datetime | None:
        del folder
        return None

    def redated(self, folder: Path, date: datetime) -> Mapping[str, bytes]:
        del date
        return {entry.path: (folder / entry.path).read_bytes() for entry in self.to_sign(folder)}

    def aggregates(self) -> bool:
        return False

    def client_file(
        self,
        *,
        name: str,
        title: str,
        url: str,
        keys: ClientKeys | None = None,
        components: Sequence[str] = (),  # noqa: ARG002
        lasting: bool = False,  # noqa: ARG002
    ) -> tuple[str, str]:
        return f"{name}.client", f"{title}\n{url}\n{'' if keys is None else keys}\n"

    def mirror_lists(self, folder: Path, url: str) -> Mapping[str, str]:
        del folder
        return {"metadata/place": url}

    def moving(self, text: str, folder: Path) -> str:
        del folder
        return text

    def client_lines(self, client_file: tuple[str, str], packages: Sequence[str]) -> str:
        return f"use {client_file[0]} for {' '.join(packages)}\n"

    def forget(self, paths: Collection[str]) -> None:
        """It keeps nothing."""
