"""Upstream repositories that tests make as they need them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

FIRST_COMMIT_AT = 1_700_000_000
NO_FILES: Mapping[str, bytes] = {}


class Upstream(Protocol):
    """What the contract suite does to an upstream, real or fake. Each commit is a minute younger than the last."""

    def commit(
        self,
        subject: str,
        *,
        branch: str = "master",
        parents: Sequence[str] | None = None,
        files: Mapping[str, bytes] = NO_FILES,
        body: str = "",
    ) -> str:
        """Add a commit to a branch, on its tip or on `parents`, with `files` written over its tree; gives the sha."""

    def tag(self, name: str, sha: str, *, annotated: bool = True) -> None:
        """Tag a commit."""

    def set_branch(self, name: str, sha: str) -> None:
        """Force a branch to a commit."""

    def delete_branch(self, name: str) -> None:
        """Remove a branch."""


def git(folder: Path, *arguments: str, content: bytes | None = None) -> str:
    """Run git in a folder as a developer would, but for the configuration of this machine."""
    person = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in PERSON.items()}
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, **person}
    completed = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],
        cwd=folder,
        env=environment,
        input=content,
        capture_output=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr.decode()
    return completed.stdout.decode().strip()


PERSON = {"NAME": "Ada", "EMAIL": "ada@example.org", "DATE": f"@{FIRST_COMMIT_AT} +0000"}


class GitUpstream:
    """A bare git repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file://{folder}"
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--bare", "--template=", "--initial-branch=master")
        self._commits = 0

    @property
    def head(self) -> str:
        """The newest commit of master."""
        return git(self.folder, "rev-parse", "refs/heads/master")

    def commit(
        self,
        subject: str,
        *,
        branch: str = "master",
        parents: Sequence[str] | None = None,
        files: Mapping[str, bytes] = NO_FILES,
        body: str = "",
    ) -> str:
        """As in `Upstream`. Names may be any bytes (surrogateescape)."""
        if parents is None:
            listed = git(self.folder, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
            parents = listed.split()
        message = (f"{subject}\n\n{body}" if body else subject).encode()
        at = FIRST_COMMIT_AT + 60 * self._commits
        self._commits += 1
        stream = [b"commit refs/heads/%s\n" % branch.encode(), b"committer Ada <ada@example.org> %d +0000\n" % at]
        stream.append(b"data %d\n%s\n" % (len(message), message))
        # fast-import continues the branch by itself; a new root must be asked for.
        stream += [b"%s %s\n" % (b"merge" if n else b"from", sha.encode()) for n, sha in enumerate(parents)]
        for path, content in files.items():
            name = os.fsencode(path)
            mode, kept = (b"120000", content[2:]) if content.startswith(b"->") else (b"100644", content)
            stream.append(b'M %s inline "%s"\ndata %d\n%s\n' % (mode, name, len(kept), kept))
        stream.append(b"done\n")
        git(self.folder, "fast-import", "--quiet", "--done", "--force", content=b"".join(stream))
        return git(self.folder, "rev-parse", f"refs/heads/{branch}")

    def flood(self, count: int) -> list[str]:
        """So many commits at once on master; their shas, the oldest first."""
        before = self.head
        stream = []
        for number in range(count):
            at = FIRST_COMMIT_AT + 60 * self._commits
            self._commits += 1
            stream.append(f"commit refs/heads/master\ncommitter Ada <ada@example.org> {at} +0000\ndata 2\nx\n".encode())
            stream += [f"from {before}\n".encode()] if number == 0 else []
            stream.append(b'M 100644 inline "number"\ndata %d\n%d\n' % (len(str(number)), number))
        git(self.folder, "fast-import", "--quiet", "--done", "--force", content=b"".join([*stream, b"done\n"]))
        return git(self.folder, "rev-list", "--reverse", f"{before}..master").split()

    def tag(self, name: str, sha: str, *, annotated: bool = True) -> None:
        """As in `Upstream`; the name may be one that `git tag` refuses."""
        if annotated:
            content = f"object {sha}\ntype commit\ntag {name}\ntagger Ada <ada@example.org> 0 +0000\n\nx\n".encode()
            sha = git(self.folder, "hash-object", "-t", "tag", "-w", "--stdin", content=content)
        git(self.folder, "update-ref", f"refs/tags/{name}", sha)

    def set_branch(self, name: str, sha: str) -> None:
        """As in `Upstream`."""
        git(self.folder, "update-ref", f"refs/heads/{name}", sha)

    def delete_branch(self, name: str) -> None:
        """As in `Upstream`."""
        git(self.folder, "update-ref", "-d", f"refs/heads/{name}")
