"""Snapshots: written aside, made durable, renamed into place."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path

from conveyor.errors import SourceInvalid
from conveyor.model.artifact import Snapshot
from conveyor.ports import IndexWriter
from conveyor.repository import aggregates, bitrot, files, names, pool, records

POOL_LINK = "../../../pool"
MANIFEST = "manifest.json"


def check(snapshot: Snapshot, root: Path) -> None:
    """Check the names of all artifacts, and that they are in the pool: metadata must not list what is not there.

    Raises:
        SourceInvalid: a name is not fit to be published.
        ArtifactDamaged: the pool lacks an artifact, or it is not what its build made.
    """
    for entry in snapshot.entries:
        for artifact in entry.artifacts:
            if pool.missing(root, names.check_artifact(artifact)):
                raise bitrot.lacking(snapshot, root, entry.package, artifact)
    bitrot.check(snapshot, root)


def publish(
    snapshot: Snapshot,
    root: Path,
    *,
    writer: IndexWriter,
    client: tuple[str, str],
    extras: Mapping[str, bytes],
    seal: Callable[[Path], None],
) -> None:
    """Write a snapshot into the tree of its target, `root`.

    Args:
        snapshot: a checked one that is not there yet.
        root: the target's tree.
        writer: writes the metadata.
        client: name and content of the client file.
        extras: further files by relative path.
        seal: signs what is written in a folder, where the repository is signed.
    """
    final = root / names.shard(snapshot.commit_id)
    with files.temporary_folder(root) as temporary:
        aside = temporary / "snapshot"
        aside.mkdir()
        _fill(aside, snapshot, root, writer, client)
        seal(aside)
        _add_extras(aside, extras)
        files.settle(aside)
        files.make_folder(final.parent, below=root)
        _rename(aside, final)


def _fill(aside: Path, snapshot: Snapshot, root: Path, writer: IndexWriter, client: tuple[str, str]) -> None:
    folder = f"{snapshot.target}/{names.shard(snapshot.commit_id)}"
    (aside / "pool").symlink_to(POOL_LINK)
    (aside / client[0]).write_text(client[1], encoding="utf-8")
    (aside / "commit.yaml").write_bytes(records.commit_yaml(snapshot, writer.format, folder))
    (aside / "versions.csv").write_bytes(records.versions_csv(snapshot))
    (aside / MANIFEST).write_bytes(records.manifest_json(snapshot))
    if writer.aggregates():
        aggregates.write(aside, client, ["versions.csv"])
    writer.write(aside, snapshot, root / "pool")


def _add_extras(aside: Path, extras: Mapping[str, bytes]) -> None:
    taken = {path.name for path in aside.iterdir()}
    for path, content in sorted(extras.items()):
        parts = names.check_extra(path)
        if parts[0] in taken:
            raise SourceInvalid(f"{path!r} cannot be added to a repository: {parts[0]!r} is a part of every one")
        file = aside.joinpath(*parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _rename(aside: Path, final: Path) -> None:
    try:
        aside.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another writer was faster with the same snapshot
            raise
    files.sync_folder(final.parent)
