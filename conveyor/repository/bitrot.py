"""Files of the pool whose bytes have changed: found by reading them, remembered, and never listed again.

A mark is a file in `.damaged` of the target's tree, named by the hash of the path in the pool and holding that path. So
marks can be made and removed by several processes at once, each in one step, and the usual case is a missing folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from conveyor.errors import ArtifactDamaged
from conveyor.model.artifact import Artifact, Snapshot
from conveyor.repository import files
from conveyor.repository.pool import POOL, is_whole

MARKS = ".damaged"


def mark(root: Path, pool_path: str) -> None:
    """Remember, durably, that a file of the pool is damaged."""
    marks = root / MARKS
    files.make_folder(marks, below=root)
    with files.temporary_folder(root) as temporary:
        new = temporary / "mark"
        new.write_text(f"{pool_path}\n", encoding="utf-8")
        files.settle(temporary)
        new.rename(marks / _name(pool_path))
    files.sync_folder(marks)


def unmark(root: Path, pool_path: str) -> None:
    """Forget that a file of the pool was damaged: it is whole again, or gone."""
    (root / MARKS / _name(pool_path)).unlink(missing_ok=True)


def check(snapshot: Snapshot, root: Path) -> None:
    """See that a new snapshot lists nothing that is damaged, as far as it can be known without reading the whole pool.

    The own artifacts are read back, since no snapshot has shown them yet; of the others counts what was found when
    they were read last.

    Raises:
        ArtifactDamaged: a file is not what its build made.
    """
    marks = _marks(root)
    for entry in snapshot.entries if marks else ():  # most pools have none
        for artifact in entry.artifacts:
            if _name(artifact.pool_path) in marks:
                raise _damaged(snapshot, root, artifact.pool_path, entry.package)
    for artifact in snapshot.own.artifacts:
        if not is_whole(root / POOL / artifact.pool_path, artifact.sha256):
            mark(root, artifact.pool_path)
            raise _damaged(snapshot, root, artifact.pool_path, snapshot.package)


def lacking(snapshot: Snapshot, root: Path, package: str, artifact: Artifact) -> ArtifactDamaged:
    """The error for a file of a snapshot's that the pool has not, or with another size."""
    return ArtifactDamaged(
        f"the pool of {snapshot.target} lacks {artifact.filename} of {package}",
        cause="it is not there, or cut off",
        hint=_hint(snapshot, root, artifact.pool_path, package),
    )


def _damaged(snapshot: Snapshot, root: Path, pool_path: str, package: str) -> ArtifactDamaged:
    return ArtifactDamaged(
        f"{pool_path.rpartition('/')[2]} of {package} is damaged in the pool of {snapshot.target}",
        cause=f"its bytes do not have the sha256 {pool_path.split('/')[1]} any more",
        hint=_hint(snapshot, root, pool_path, package),
    )


def _hint(snapshot: Snapshot, root: Path, pool_path: str, package: str) -> str:
    return (
        f"'conveyor scrub --repair --target {snapshot.target}' builds it again; or bring {root / POOL / pool_path} "
        f"back from a backup or a mirror, then run that without --repair; or build a newer commit: 'conveyor build "
        f"{package}'"
    )


def _marks(root: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in (root / MARKS).iterdir())
    except FileNotFoundError:
        return frozenset()


def _name(pool_path: str) -> str:
    return hashlib.sha256(pool_path.encode()).hexdigest()
