"""A `Git` in memory. Passes the same contract suite as the real one."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from packaging.version import InvalidVersion, Version

from conveyor.errors import ConveyorError, RevisionMissing, UpstreamEmpty, UpstreamUnreachable
from conveyor.model.commit import CommitInfo, History
from conveyor.model.packaging import PackagingFile
from conveyor.model.watch import RemoteRefs

FIRST_COMMIT_AT = 1_700_000_000
NO_FILES: Mapping[str, bytes] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCommit:
    """A commit with all that it holds."""

    info: CommitInfo
    parents: tuple[str, ...]
    files: Mapping[str, bytes]
    body: str


@dataclass(slots=True)
class FakeUpstream:
    """An upstream repository: tests add commits and tags to it."""

    objects: dict[str, FakeCommit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

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
        if parents is None:
            parents = [self.branches[branch]] if branch in self.branches else []
        at = datetime.fromtimestamp(FIRST_COMMIT_AT + 60 * len(self.objects), UTC)
        tree = {**(self.objects[parents[0]].files if parents else {}), **files}
        sha = hashlib.sha256(repr((subject, at, tuple(parents), tree, body)).encode()).hexdigest()[:40]
        info = CommitInfo(sha=sha, committed_at=at, author="Ada", subject=subject)
        self.objects[sha] = FakeCommit(info=info, parents=tuple(parents), files=tree, body=body)
        self.branches[branch] = sha
        return sha

    def tag(self, name: str, sha: str, *, annotated: bool = True) -> None:
        """Tag a commit; annotated or not is the same here."""
        del annotated
        self.tags[name] = sha

    def set_branch(self, name: str, sha: str) -> None:
        """Force a branch to a commit."""
        self.branches[name] = sha

    def delete_branch(self, name: str) -> None:
        """Remove a branch."""
        del self.branches[name]

    def ancestry(self, sha: str) -> Iterator[str]:
        """A commit and all before it."""
        seen, waiting = set[str](), [sha]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += self.objects[current].parents
                yield current


class FakeGit:
    """The port `Git`: `upstreams` by URL; `update` copies what is there, and a URL that is not cannot be reached.

    `worktrees` holds what `import_worktree` gives for a folder. `asked` and `updated` are the URLs that `refs` and
    `update` were called with. Both raise what `failures` has for a URL, and `update` what `unfetchable` has.
    """

    def __init__(self, upstreams: Mapping[str, FakeUpstream]) -> None:
        self.upstreams = dict(upstreams)
        self.asked: list[str] = []
        self.updated: list[str] = []
        self.failures: dict[str, ConveyorError] = {}
        self.unfetchable: dict[str, ConveyorError] = {}
        self.worktrees: dict[Path, CommitInfo] = {}
        self._mirrors: dict[str, FakeUpstream] = {}

    def refs(self, url: str, *, branches: Collection[str] | None = None, tags: bool = True) -> RemoteRefs:
        """As in the port."""
        self.asked.append(url)
        if url in self.failures:
            raise self.failures[url]
        if url not in self.upstreams:
            raise UpstreamUnreachable(f"{url} cannot be polled", cause="there is none")
        upstream = self.upstreams[url]
        chosen = {name: sha for name, sha in upstream.branches.items() if branches is None or name in branches}
        return RemoteRefs(branches=chosen, tags=dict(upstream.tags) if tags else {})

    def update(self, url: str) -> None:
        """As in the port."""
        self.updated.append(url)
        if url in (failures := {**self.unfetchable, **self.failures}):
            raise failures[url]
        if url not in self.upstreams:
            raise UpstreamUnreachable(f"{url} cannot be fetched")
        kept = self._mirrors[url].objects if url in self._mirrors else {}
        fetched = copy.deepcopy(self.upstreams[url])
        self._mirrors[url] = replace(fetched, objects={**kept, **fetched.objects})

    def resolve(self, url: str, revision: str) -> str:
        """As in the port."""
        mirror = self._mirror(url)
        if not mirror.branches:
            raise UpstreamEmpty(f"{url} has no commit")
        found = mirror.branches.get(revision) or mirror.tags.get(revision)
        for sha in mirror.objects:
            if found is None and len(revision) >= 4 and sha.startswith(revision):
                found = sha
        if found is None:
            raise RevisionMissing(f"{url} has no {revision!r}", hint=f"branches there: {', '.join(mirror.branches)}")
        return found

    def commits(self, url: str, *, tip: str, after: str | None, limit: int) -> tuple[CommitInfo, ...]:
        """As in the port."""
        mirror = self._mirror(url, tip)
        bounded = after is not None and after in mirror.ancestry(tip)
        known = set(mirror.ancestry(after)) if bounded and after else set()
        newest_first: list[CommitInfo] = []
        current: str | None = tip
        while current is not None and current not in known and len(newest_first) < limit:
            commit = mirror.objects[current]
            newest_first.append(commit.info)
            current = commit.parents[0] if commit.parents else None
        return tuple(reversed(newest_first))

    def contains(self, url: str, *, tip: str, sha: str) -> bool | None:
        """As in the port."""
        mirror = self._mirrors.get(url)
        return sha in mirror.ancestry(tip) if mirror is not None and tip in mirror.objects else None

    def merge_base(self, url: str, *, one: str, other: str) -> str | None:
        """As in the port."""
        mirror = self._mirror(url)
        if one not in mirror.objects or other not in mirror.objects:
            return None
        common = set(mirror.ancestry(one)) & set(mirror.ancestry(other))
        # A commit was made before those that have it in their ancestry.
        return next((sha for sha in reversed(mirror.objects) if sha in common), None)

    def tags(self, url: str) -> Mapping[str, str]:
        """As in the port."""
        return dict(self._mirror(url).tags)

    def history(self, url: str, sha: str) -> History:
        """As in the port, for tags that are plain versions or have a "v" before them."""
        mirror = self._mirror(url, sha)
        ancestry = set(mirror.ancestry(sha))
        versions = {name: version for name in mirror.tags if (version := _version(name)) is not None}
        reachable = {mirror.tags[name] for name in versions} & ancestry
        dominated = {old for new in reachable for old in mirror.ancestry(new) if old != new}
        nearest = [name for name in versions if mirror.tags[name] in reachable - dominated]
        tag = max(nearest, key=lambda name: versions[name], default=None)
        since = ancestry - set(mirror.ancestry(mirror.tags[tag])) if tag else ancestry
        lines = [line for one in since for line in mirror.objects[one].body.splitlines()]
        values = [line.partition(":")[2] for line in lines if line.lower().startswith("sem-ver:")]
        seen = since | {mirror.tags[tag]} if tag else since
        return History(
            commit=mirror.objects[sha].info,
            tag=tag,
            tag_version=str(versions[tag]) if tag else None,
            commits_since=len(since),
            footers=tuple(sorted({part.strip().lower() for value in values for part in value.split(",")})),
            ignored_tags=tuple(sorted(name for name, at in mirror.tags.items() if name not in versions and at in seen)),
        )

    def files(self, url: str, sha: str) -> tuple[str, ...]:
        """As in the port."""
        return tuple(sorted(self._mirror(url, sha).objects[sha].files))

    def archive(self, url: str, sha: str, *, prefix: str, extra: Mapping[str, bytes], into: Path) -> None:
        """As in the port."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for path, data in sorted({**self._mirror(url, sha).objects[sha].files, **extra}.items()):
                member = tarfile.TarInfo(f"{prefix}/{path}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        into.write_bytes(gzip.compress(content.getvalue(), mtime=0))

    def read(self, url: str, sha: str) -> tuple[PackagingFile, ...]:
        """As in the port."""
        files = self._mirror(url, sha).objects[sha].files
        return tuple(
            PackagingFile(path=path, content=content, executable=False) for path, content in sorted(files.items())
        )

    def import_worktree(self, url: str, folder: Path) -> CommitInfo:
        """What a test put into `worktrees`; it becomes a commit of the mirror, with the files of master."""
        if folder not in self.worktrees:
            raise RevisionMissing(f"{folder} is no git working copy")
        mirror, info = self._mirror(url), self.worktrees[folder]
        head = mirror.objects[mirror.branches["master"]]
        mirror.objects.setdefault(info.sha, replace(head, info=info, parents=(head.info.sha,)))
        return info

    def _mirror(self, url: str, sha: str | None = None) -> FakeUpstream:
        if url not in self._mirrors:
            self.update(url)
        if sha is not None and sha not in self._mirrors[url].objects:
            raise RevisionMissing(f"{url} has no commit {sha}")
        return self._mirrors[url]


def _version(name: str) -> Version | None:
    try:
        return Version(name.removeprefix("v"))
    except InvalidVersion:
        return None
