"""Snapshots: written aside, made durable, renamed into place."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path

from conveyor.errors import SourceInvalid
from conveyor.model.artifact import Snapshot
from conveyor.model.target import Format
from conveyor.ports import IndexWriter
from conveyor.repository import aggregates, bitrot, files, names, pool, records
from conveyor.repository.described import Descriptions

POOL_LINK = "../../../pool"
MANIFEST = "manifest.json"
VERSIONS = "versions.csv"


def check(snapshot: Snapshot, root: Path, described: Descriptions) -> None:
    """Check that all artifacts are in the pool: metadata must not list what is not there.

    Args:
        snapshot: a new one.
        root: the target's tree, with a pool.
        described: its entries.

    Raises:
        ArtifactDamaged: the pool lacks an artifact, or it is not what its build made.
    """
    with pool.looking(root) as has:
        for each in described:
            for path, artifact in zip(each.paths, each.entry.artifacts, strict=True):
                if not has(path, artifact.size):
                    raise bitrot.lacking(snapshot, root, each.entry.package, artifact)
    bitrot.check(snapshot, root)


def publish(
    snapshot: Snapshot,
    root: Path,
    *,
    described: Descriptions,
    writer: IndexWriter,
    client: tuple[str, str],
    extras: Mapping[str, bytes],
    seal: Callable[[Path], None],
) -> None:
    """Write a snapshot into the tree of its target, `root`.

    Args:
        snapshot: a checked one that is not there yet.
        root: the target's tree.
        described: its entries.
        writer: writes the metadata.
        client: name and content of the client file.
        extras: further files by relative path.
        seal: signs what is written in a folder, where the repository is signed.
    """
    final = root / names.shard(snapshot.commit_id)
    with files.temporary_folder(root) as temporary:
        aside = temporary / "snapshot"
        aside.mkdir()
        _describe(aside, snapshot, described, writer.format)
        (aside / client[0]).write_text(client[1], encoding="utf-8")
        if writer.aggregates():
            aggregates.write(aside, client, [VERSIONS])
        writer.write(aside, snapshot, root / pool.POOL)
        seal(aside)
        _add_extras(aside, extras)
        files.settle(aside)
        files.make_folder(final.parent, below=root)
        _rename(aside, final)


def _describe(aside: Path, snapshot: Snapshot, described: Descriptions, package_format: Format) -> None:
    folder = f"{snapshot.target}/{names.shard(snapshot.commit_id)}"
    (aside / "pool").symlink_to(POOL_LINK)
    (aside / "commit.yaml").write_bytes(records.commit_yaml(snapshot, package_format, folder))
    (aside / VERSIONS).write_bytes(records.versions_csv(each.version for each in described))
    (aside / MANIFEST).write_bytes(records.manifest_json(snapshot, (each.manifest for each in described)))


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
