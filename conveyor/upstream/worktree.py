"""A working copy, uncommitted changes included, as a commit in a mirror.

Files are taken as they lie on the disk: the mirror's attributes switch every conversion and filter off, and its empty
configuration every hook. The index is a temporary one, so neither the working copy nor its repository changes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from conveyor.errors import RevisionMissing
from conveyor.model.commit import SHORT_SHA_DIGITS
from conveyor.upstream.fetch import Writer
from conveyor.upstream.workingcopy import WorkingCopy, working_copy_around

# Out of refs/heads and refs/tags, so that no fetch prunes them; they keep the commits from being collected.
IMPORTED = "refs/conveyor/imported"


def import_worktree(writer: Writer, folder: Path) -> str:
    """Store a working copy as a commit in the writer's repository.

    Returns:
        The commit's sha: HEAD's own where nothing is changed.

    Raises:
        RevisionMissing: the folder is not the top of a git working copy, or that has no commit.
        UserError: it is a shallow clone.
    """
    copy = _working_copy(folder, writer.limit)
    queries = copy.queries(writer.limit)
    head = (queries.try_ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}") or b"").decode().strip()
    if not head:
        raise RevisionMissing(f"{folder} has no commit", hint="commit something there first")
    writer.fetch(copy.top.as_uri(), f"+HEAD:{IMPORTED}/{head}", protocol="file")
    seconds = queries.ask("log", "-1", "--format=%ct", head).decode().strip()
    sha = _commit(writer, copy, head, seconds)
    writer.git("update-ref", f"{IMPORTED}/{sha}", sha)
    return sha


def _working_copy(folder: Path, limit: float) -> WorkingCopy:
    """The working copy whose top is `folder`."""
    copy = working_copy_around(folder, limit) if folder.is_dir() else None
    if copy is None:
        raise RevisionMissing(f"{folder} is no git working copy", hint="run 'git init' and commit there first")
    if copy.top != folder.resolve():
        raise RevisionMissing(f"{folder} lies within the git working copy {copy.top}", hint=f"name {copy.top}")
    return copy


def _commit(writer: Writer, copy: WorkingCopy, head: str, seconds: str) -> str:
    """Make the commit from the files as they are, on top of `head`; or `head` itself where that has the same tree."""
    own_ignores = copy.queries(writer.limit).ask("rev-parse", "--path-format=absolute", "--git-path", "info/exclude")
    person = {"NAME": "Conveyor", "EMAIL": "conveyor@localhost", "DATE": f"@{seconds} +0000"}
    variables = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}
    with tempfile.TemporaryDirectory(prefix="conveyor-index-") as folder:
        variables |= {"GIT_WORK_TREE": str(copy.top), "GIT_INDEX_FILE": f"{folder}/index"}

        def git(*arguments: str) -> str:
            return writer.git("-C", str(copy.top), *arguments, env=variables).output.strip()

        git("read-tree", head)
        git("-c", f"core.excludesFile={os.fsdecode(own_ignores).strip()}", "add", "--all", "--", ".")
        tree = git("write-tree")
        if tree == git("rev-parse", f"{head}^{{tree}}"):
            return head
        return git("commit-tree", tree, "-p", head, "-m", f"Working copy on top of {head[:SHORT_SHA_DIGITS]}")
