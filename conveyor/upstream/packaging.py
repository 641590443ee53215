"""Packaging templates from a folder or a git repository: the port `PackagingSource`."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import assert_never

from conveyor.errors import RevisionMissing, UpstreamEmpty, UserError
from conveyor.model.commit import CommitInfo
from conveyor.model.package import Package, PackagingFolder, PackagingRepository
from conveyor.model.packaging import Packaging, PackagingFile
from conveyor.ports import Git
from conveyor.upstream.hardening import cleaned
from conveyor.upstream.stamps import SETTLE_SECONDS, Remembered
from conveyor.upstream.workingcopy import WorkingCopy, working_copy_around

SHA_DIGITS = 40
# Far more than any packaging repository has.
ALL_COMMITS = 1_000_000
BACKUP_SUFFIXES = ("~", ".swp", ".swo", ".orig", ".rej")
STATUS_PREFIX = len("XY ")


class PackagingSources:
    """The port `PackagingSource` for both kinds of packaging.

    Hidden files and an editor's backups are no packaging.

    Args:
        git: where packaging repositories are mirrored.
        limit: seconds that a question to the repository around a packaging folder may take.
        settle: seconds for which a folder must have been left alone before `sha` tells what it holds.
    """

    def __init__(self, git: Git, *, limit: float = 60.0, settle: float = SETTLE_SECONDS) -> None:
        self._git = git
        self._limit = limit
        self._shas = Remembered(settle)

    def load(self, package: Package) -> Packaging:
        """As in the port.

        A folder's sha is a hash of what it and the archetype hold; its release is the number of commits that touched
        either, plus one, and one more while there are uncommitted changes. A repository's sha is its commit's,
        hashed together with the archetype where there is one; its release is the number of commits of its branch.

        Raises:
            UserError: the folder or branch does not exist, a symbolic link leads out of it, or the folder is in a
                shallow clone.
            UpstreamUnreachable: the packaging repository cannot be fetched.
        """
        shared = read_folder(package.archetype) if package.archetype else ()
        match package.packaging:
            case PackagingFolder(path=folder):
                return self._from_folder(folder, package.archetype, shared)
            case PackagingRepository(url=url, branch=branch):
                return self._from_repository(url, branch, shared)
            case _:
                assert_never(package.packaging)

    def sha(self, package: Package, commit: str) -> str | None:
        """As in the port. Folders are only read where a file's metadata changed.

        Raises:
            UserError: as `load`.
        """
        folders = [package.archetype] if package.archetype else []
        if isinstance(package.packaging, PackagingFolder):
            folders.append(package.packaging.path)
        if not folders:
            return commit
        return self._shas.text(package.name, folders, commit, lambda: _sha(package, commit))

    def at(self, package: Package, sha: str) -> Packaging | None:
        """As in the port. A repository is only asked for more where its mirror does not have the state.

        Raises:
            UserError, UpstreamUnreachable: as `load`.
        """
        if isinstance(package.packaging, PackagingFolder):
            now = self.load(package)
            return now if now.sha == sha else None
        shared = read_folder(package.archetype) if package.archetype else ()
        url, branch = package.packaging.url, package.packaging.branch
        with contextlib.suppress(RevisionMissing, UpstreamEmpty):
            found = self._earlier(url, branch, shared, sha)
            if found is not None:
                return found
        self._git.update(url)
        return self._earlier(url, branch, shared, sha)

    def _earlier(self, url: str, branch: str, shared: tuple[PackagingFile, ...], sha: str) -> Packaging | None:
        """The state of a repository's branch that has this sha, as far as the mirror knows."""
        commits = self._commits_of(url, branch)
        for release, commit in reversed([*enumerate(commits, start=1)]):
            if _repository_sha(commit.sha, shared) == sha:
                return self._of_commit(url, commit, release, shared)
        return None

    def _from_folder(self, folder: Path, archetype: Path | None, shared: tuple[PackagingFile, ...]) -> Packaging:
        files = read_folder(folder)
        folders = [folder, archetype] if archetype else [folder]
        return Packaging(sha=_folder_sha(files, shared), release=self._release(folders), files=files, shared=shared)

    def _from_repository(self, url: str, branch: str, shared: tuple[PackagingFile, ...]) -> Packaging:
        self._git.update(url)
        commits = self._commits_of(url, branch)
        return self._of_commit(url, commits[-1], len(commits), shared)

    def _commits_of(self, url: str, branch: str) -> tuple[CommitInfo, ...]:
        tip = self._git.resolve(url, branch)
        return self._git.commits(url, tip=tip, after=None, limit=ALL_COMMITS)

    def _of_commit(self, url: str, commit: CommitInfo, release: int, shared: tuple[PackagingFile, ...]) -> Packaging:
        return Packaging(
            sha=_repository_sha(commit.sha, shared),
            release=release,
            files=tuple(file for file in self._git.read(url, commit.sha) if is_packaging(file.path)),
            shared=shared,
            commit=commit,
        )

    def _release(self, folders: Sequence[Path]) -> int:
        """Counts the changes of folders, from 1; each repository that they are in is asked once."""
        by_copy: dict[WorkingCopy, list[Path]] = {}
        for folder in folders:
            copy = working_copy_around(folder, self._limit)
            if copy is not None:
                by_copy.setdefault(copy, []).append(folder.resolve())
        counts = [self._commits(copy, paths) for copy, paths in by_copy.items()]
        changed = any(self._is_changed(copy, paths) for copy, paths in by_copy.items())
        return 1 + sum(counts) + int(changed)

    def _commits(self, copy: WorkingCopy, folders: Sequence[Path]) -> int:
        """How many commits of HEAD touched the folders; 0 before the first commit.

        With --full-history, so that the number never falls when branches are merged.
        """
        queries = copy.queries(self._limit)
        if queries.try_ask("rev-parse", "--verify", "--quiet", "HEAD") is None:
            return 0
        return int(queries.ask("rev-list", "--count", "--full-history", "HEAD", "--", *map(str, folders)))

    def _is_changed(self, copy: WorkingCopy, folders: Sequence[Path]) -> bool:
        """Whether packaging files in the folders differ from HEAD."""
        output = copy.queries(self._limit).ask(
            "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *map(str, folders)
        )
        paths = [copy.top / os.fsdecode(entry[STATUS_PREFIX:]) for entry in output.split(b"\0") if entry]
        return any(
            path.is_relative_to(folder) and is_packaging(str(path.relative_to(folder)))
            for path in paths
            for folder in folders
        )


def is_packaging(path: str) -> bool:
    """Whether a relative path is part of the packaging: not hidden, and no editor's backup."""
    parts = PurePosixPath(path).parts
    return not any(part.startswith(".") for part in parts) and not path.endswith(BACKUP_SUFFIXES)


def read_folder(folder: Path) -> tuple[PackagingFile, ...]:
    """The packaging files below a folder, sorted by path; symbolic links are followed.

    Raises:
        UserError: there is no such folder, a symbolic link leads out of it, or a name is not UTF-8.
    """
    if not folder.is_dir():
        raise UserError(f"the packaging folder {folder} does not exist", hint="correct 'packaging:' in repos.yaml")
    top = folder.resolve()
    paths = {str(path.relative_to(top)): path for path in top.rglob("*") if not path.is_dir() or path.is_symlink()}
    return tuple(_read(top, name, path) for name, path in sorted(paths.items()) if is_packaging(name))


def _read(top: Path, name: str, path: Path) -> PackagingFile:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{top}: the file name {cleaned(ascii(name))} is not UTF-8") from error
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a link to nothing; a link to itself, before Python 3.13
        target = None
    if target is None or not target.is_relative_to(top) or not target.is_file():
        raise UserError(f"{path} is no file, or a symbolic link out of its folder", hint="copy the file itself there")
    return PackagingFile(path=name, content=target.read_bytes(), executable=bool(target.stat().st_mode & 0o100))


def _sha(package: Package, commit: str) -> str:
    """The sha of packaging that is a folder, or a repository's commit."""
    shared = read_folder(package.archetype) if package.archetype else ()
    match package.packaging:
        case PackagingFolder(path=folder):
            return _folder_sha(read_folder(folder), shared)
        case PackagingRepository():
            return _repository_sha(commit, shared)
        case _:
            assert_never(package.packaging)


def _folder_sha(files: tuple[PackagingFile, ...], shared: tuple[PackagingFile, ...]) -> str:
    return _hash([*_parts(files), *_parts(shared)])


def _repository_sha(commit_sha: str, shared: tuple[PackagingFile, ...]) -> str:
    return _hash([commit_sha.encode(), *_parts(shared)]) if shared else commit_sha


def _parts(files: Iterable[PackagingFile]) -> list[bytes]:
    """All that there is to files, as parts of a hash; an empty part ends them."""
    parts = [(file.path.encode(), b"x" if file.executable else b"-", file.content) for file in files]
    return [part for file in parts for part in file] + [b""]


def _hash(parts: Iterable[bytes]) -> str:
    """A hash of parts, each with its length, so that no two lists have the same bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()[:SHA_DIGITS]
