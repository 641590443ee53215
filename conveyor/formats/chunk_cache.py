"""What is worked out once for each artifact and kept: pieces of metadata, by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from conveyor.model.artifact import Artifact

_DIGEST_SIZE = hashlib.sha256().digest_size


class ChunkCache:
    """Bytes by artifact, on disk. Safe to delete at any time; what is damaged is worked out again.

    Args:
        folder: where it lives; made when missing.
        schema: what the chunks are and the version of their making, such as "rpm-1". Those of others are not seen.
    """

    def __init__(self, folder: Path, schema: str) -> None:
        self._folder = folder / schema

    def get(self, artifact: Artifact, make: Callable[[], bytes]) -> bytes:
        """The artifact's chunk, made and kept when it is not there."""
        path = self._path(artifact.pool_path)
        kept = read(path)
        if kept is not None:
            return bytes(kept)
        chunk = make()
        write(path, chunk)
        return chunk

    def forget(self, pool_paths: Iterable[str]) -> None:
        """Remove the chunks of artifacts that are gone; of those that had none, nothing."""
        for pool_path in pool_paths:
            self._path(pool_path).unlink(missing_ok=True)

    def _path(self, pool_path: str) -> Path:
        # The file's name is a part of the chunk; hashed, it need not be fit for a path.
        key = hashlib.sha256(pool_path.encode()).hexdigest()
        return self._folder.joinpath(key[:2], key)


def read(path: Path) -> memoryview | None:
    """What `write` has written; None where it is missing or damaged."""
    try:
        content = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    digest, chunk = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    return chunk if hashlib.sha256(chunk).digest() == digest else None


def write(path: Path, chunk: bytes) -> None:
    """Keep a chunk with its digest in front: it tells a whole chunk from one that was, or is just being, cut off.

    So there is no temporary name, which a kill would leave for ever.
    """
    with suppress(FileNotFoundError):  # somebody deletes the cache
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(hashlib.sha256(chunk).digest() + chunk)
