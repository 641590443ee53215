"""Where a path of a request leads in the published tree, and how what is there is to be served."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath

from conveyor.errors import UnknownName

# What has a name once never changes: files of snapshots under their own path, and of the pool.
_IMMUTABLE = re.compile(r"[^/]+/(pool/[0-9a-f]{2}|[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{40}_[^/]+)/.+")
FOR_EVER = "max-age=31536000, immutable"
# Asked for each time, and answered with 304 where nothing has moved.
ASK = "no-cache"
MOST_LISTED = 10_000

_TEXT = "text/plain; charset=utf-8"
# Nothing that a browser would run: a build chooses the names of its files.
_TYPES = {
    ".asc": "text/plain",
    ".bz2": "application/x-bzip2",
    ".csv": _TEXT,
    ".deb": "application/vnd.debian.binary-package",
    ".dsc": _TEXT,
    ".gz": "application/gzip",
    ".json": "application/json",
    ".log": _TEXT,
    ".md5": "text/plain",
    ".repo": _TEXT,
    ".rpm": "application/x-rpm",
    ".sources": _TEXT,
    ".udeb": "application/vnd.debian.binary-package",
    ".xml": "text/xml",
    ".xz": "application/x-xz",
    ".yaml": _TEXT,
    ".zst": "application/zstd",
}
_NAMED = dict.fromkeys(("InRelease", "Packages", "Release", "Sources", "mirrorlist", "versions.csv"), _TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An entry of a folder.

    Attributes:
        name: its name, with a slash at the end of a folder's.
        size: bytes; None for folders.
        changed: when, in UTC.
    """

    name: str
    size: int | None
    changed: datetime


def find(root: Path, path: str) -> Path:
    """The file or folder that a path leads to, all symlinks followed.

    Args:
        root: the published tree.
        path: as the request has it, decoded.

    Raises:
        UnknownName: there is none, it is hidden, or it is outside of the tree.
    """
    segments = path.rstrip("/").split("/") if path else []
    # Locks and temporary folders begin with a dot, and so do "." and "..".
    if any(not segment or segment.startswith(".") or "\0" in segment for segment in segments):
        raise _missing(path)
    try:
        real = root.joinpath(*segments).resolve(strict=True)
        inside = real.is_relative_to(root.resolve(strict=True))
    except (OSError, RuntimeError) as error:
        raise _missing(path) from error
    if not inside or not (real.is_file() or real.is_dir()):
        raise _missing(path)
    return real


def media_type(name: str) -> str:
    """The type of a file, by its name."""
    return _NAMED.get(name) or _TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")


def caching(path: str, *, public: bool) -> str:
    """How long a file may be kept, as Cache-Control has it."""
    return f"{'public' if public else 'private'}, {FOR_EVER}" if _IMMUTABLE.fullmatch(path) else ASK


def listed(folder: Path) -> tuple[tuple[Listed, ...], bool]:
    """What is in a folder, folders first, sorted; and whether that is all."""
    paths = list(islice((each for each in folder.iterdir() if not each.name.startswith(".")), MOST_LISTED + 1))
    entries = [entry for path in paths[:MOST_LISTED] if (entry := _entry(path)) is not None]
    entries.sort(key=lambda entry: (entry.size is not None, entry.name))
    return tuple(entries), len(paths) <= MOST_LISTED


def _entry(path: Path) -> Listed | None:
    try:
        status = path.stat()
    except OSError:  # it was removed meanwhile, or leads nowhere
        return None
    folder = path.is_dir()
    return Listed(
        name=f"{path.name}/" if folder else path.name,
        size=None if folder else status.st_size,
        changed=datetime.fromtimestamp(status.st_mtime, UTC),
    )


def _missing(path: str) -> UnknownName:
    return UnknownName(f"nothing is published at {path[:200]!r}", hint="/repos/ lists what is")
