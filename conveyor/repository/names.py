"""Names that come from outside, checked before they become part of a path.

Each pattern excludes "/", control characters, blanks, and a leading "." or "-"; so no name can leave its folder, hide,
or be read as an option.
"""

from __future__ import annotations

import re

from conveyor.errors import SourceInvalid, UnknownName
from conveyor.model.artifact import Artifact
from conveyor.model.promotion import TAKEN, is_pointer_name

_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}_[0-9a-f]{8}(?:_[A-Za-z0-9][A-Za-z0-9._-]{0,99})?")
KEY_SUFFIX = ".asc"  # of the file with the public keys, which lies beside the pointers
_SHARD = re.compile(r"[0-9a-f]{2}")
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~^%=@,:-]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_target(target: str) -> str:
    """Returns the target's name.

    Raises:
        UnknownName: no target can be called that.
    """
    if not _TARGET.fullmatch(target):
        raise UnknownName(f"{target!r} cannot be a target's name", hint="use letters, digits, '.', '_', '+' and '-'")
    return target


def is_shard(name: str) -> bool:
    """Whether it is a folder of snapshots."""
    return bool(_SHARD.fullmatch(name))


def is_commit_id(name: str) -> bool:
    """Whether it has the form of a commit's id."""
    return bool(_COMMIT_ID.fullmatch(name))


def check_commit_id(commit_id: str) -> str:
    """Returns the commit's id.

    Raises:
        UnknownName: it is not of the form `<40 hex digits>_<8 hex digits>[_<extended>]`.
    """
    if not is_commit_id(commit_id):
        raise UnknownName(
            f"{commit_id!r} is not the id of a commit",
            hint="an id is <upstream sha, 40 digits>_<packaging sha, 8 digits>[_<extended hash>]",
        )
    return commit_id


def check_pointer(pointer: str) -> str:
    """Returns the pointer's name.

    Raises:
        UnknownName: no pointer can be called that.
    """
    if not is_pointer_name(pointer):
        raise UnknownName(
            f"{pointer!r} cannot be a pointer's name",
            hint=f"use letters, digits, '.', '_' and '-'; two hex digits, {', '.join(TAKEN)} are taken",
        )
    return pointer


def check_artifact(artifact: Artifact) -> Artifact:
    """Returns the artifact.

    Raises:
        SourceInvalid: its file name or checksum is not fit for the pool.
    """
    if not _FILENAME.fullmatch(artifact.filename):
        raise SourceInvalid(
            f"a build made a file called {artifact.filename!r}, which cannot be published",
            cause="a package's file name has letters, digits and any of ._+~^%=@,:- only",
            hint="look for an unusual name or version in the packaging",
        )
    if not _SHA256.fullmatch(artifact.sha256):
        raise SourceInvalid(f"{artifact.filename} has no valid sha256: {artifact.sha256!r}")
    return artifact


def check_extra(path: str) -> tuple[str, ...]:
    """Returns the parts of the relative path of a further file in a snapshot.

    Raises:
        SourceInvalid: a part is not a plain file name.
    """
    parts = tuple(path.split("/"))
    if not all(_FILENAME.fullmatch(part) for part in parts):
        raise SourceInvalid(f"{path!r} cannot be the path of a file in a repository")
    return parts


def shard(commit_id: str) -> str:
    """The path of a commit's snapshot below its target: `ab/cd/<commit id>`, as DLRN shards them."""
    check_commit_id(commit_id)
    return f"{commit_id[:2]}/{commit_id[2:4]}/{commit_id}"
