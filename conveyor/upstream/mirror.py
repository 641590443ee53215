"""Bare mirrors of upstream repositories: the port `Git`.

Questions go through GitPython (queries.py). What talks to a server or writes goes through conveyor/command.py: its
processes lead sessions of their own, which die as a whole at the time limit, and get an environment of their own.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from conveyor.errors import ConveyorError, RevisionMissing, UpstreamEmpty
from conveyor.model.commit import CommitInfo, History
from conveyor.model.packaging import PackagingFile
from conveyor.model.watch import RemoteRefs
from conveyor.upstream.archive import compress, contents, members
from conveyor.upstream.fetch import Writer, locked, make_bare
from conveyor.upstream.hardening import cleaned, environment, folder_name, protocol_of, rewritten, shown
from conveyor.upstream.history import read_commits, read_history, read_tags
from conveyor.upstream.queries import Queries
from conveyor.upstream.refs import ask_refs
from conveyor.upstream.tags import package_of
from conveyor.upstream.worktree import import_worktree

BRANCHES_AND_TAGS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
BRANCHES = "refs/heads/"
# Of git-check-ref-format(1) what matters here: nothing in a name that git's grammar of revisions gives a meaning to.
PLAIN_NAME = re.compile(r"(?!.*(\.\.|@\{))[^\x00-\x20\x7f~^:?*\[\\]+")
SHA = re.compile(r"[0-9a-f]{40}")
ABBREVIATED_SHA = re.compile(r"[0-9a-f]{4,40}")
SHOWN_BRANCHES = 5


class GitMirrors:
    """The port `Git` on bare mirrors, one folder for each URL.

    Safe for many threads and processes at once: a mirror has one writer at a time, and readers need no lock. A mirror
    appears under its name when its first fetch is complete.

    Args:
        folder: where the mirrors are; made when missing.
        rewrites: prefixes of URLs and what replaces them, for sites with mirrors of their own; the longest one wins.
        limit: seconds that a question to a mirror may take.
        fetch_limit: seconds that a fetch may take, and that one waits for another's.
        poll_limit: seconds that a server may take to say what it has.
        stop: once it is set, nobody waits for a server any more.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rewrites: Mapping[str, str] | None = None,
        limit: float = 60.0,
        fetch_limit: float = 1800.0,
        poll_limit: float = 60.0,
        stop: threading.Event | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._rewrites = dict(rewrites or {})
        self._limit = limit
        self._fetch_limit = fetch_limit
        self._poll_limit = poll_limit
        self._stop = stop

    def refs(self, url: str, *, branches: Collection[str] | None = None, tags: bool = True) -> RemoteRefs:
        """As in the port.

        Raises:
            UpstreamUnreachable: it does not answer.
            UserError: the URL is none.
            Interrupted: it was stopped.
        """
        wanted = None if branches is None else [name for name in branches if PLAIN_NAME.fullmatch(name)]
        source = rewritten(url, self._rewrites)
        return ask_refs(source, branches=wanted, tags=tags, limit=self._poll_limit, stop=self._stop)

    def update(self, url: str) -> None:
        """As in the port.

        Raises:
            UpstreamUnreachable: the repository cannot be fetched.
            UserError: the URL is none, or leads to a shallow clone.
        """
        source = rewritten(url, self._rewrites)
        protocol = protocol_of(source)
        with self._writing(url) as writer:
            writer.fetch(source, *BRANCHES_AND_TAGS, protocol=protocol)

    def resolve(self, url: str, revision: str) -> str:
        """As in the port."""
        queries = self._queries(url)
        for name in _candidates(revision):
            found = queries.try_ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            if found is not None:
                return found.decode().strip()
        raise self._missing_name(url, queries, revision)

    def commits(self, url: str, *, tip: str, after: str | None, limit: int) -> tuple[CommitInfo, ...]:
        """As in the port."""
        queries = self._queries(url, tip)
        bounded = after is not None and SHA.fullmatch(after) is not None
        bounded = bounded and queries.try_ask("merge-base", "--is-ancestor", str(after), tip) is not None
        since = [f"^{after}"] if bounded else []
        newest_first = read_commits(queries, "--first-parent", f"--max-count={limit}", tip, *since, "--")
        return newest_first[::-1]

    def contains(self, url: str, *, tip: str, sha: str) -> bool | None:
        """As in the port."""
        if not SHA.fullmatch(tip) or not self._mirror(url).exists():
            return None
        queries = self._queries(url)
        if queries.try_ask("cat-file", "-e", f"{tip}^{{commit}}") is None:
            return None
        return SHA.fullmatch(sha) is not None and queries.try_ask("merge-base", "--is-ancestor", sha, tip) is not None

    def merge_base(self, url: str, *, one: str, other: str) -> str | None:
        """As in the port."""
        queries = self._queries(url)
        if not (SHA.fullmatch(one) and SHA.fullmatch(other)):
            return None
        found = queries.try_ask("merge-base", one, other)
        return found.decode().strip() if found else None

    def tags(self, url: str) -> Mapping[str, str]:
        """As in the port."""
        return read_tags(self._queries(url))

    def history(self, url: str, sha: str) -> History:
        """As in the port; how the tag is found is told at `conveyor.upstream.history.read_history`."""
        return read_history(self._queries(url, sha), sha, package_of(url))

    def files(self, url: str, sha: str) -> tuple[str, ...]:
        """As in the port."""
        listing = self._queries(url, sha).ask("ls-tree", "-r", "-z", "--full-tree", sha)
        return tuple(sorted(_utf8_paths(listing)))

    def archive(self, url: str, sha: str, *, prefix: str, extra: Mapping[str, bytes], into: Path) -> None:
        """As in the port. An extra file replaces one of the tree."""
        queries = self._queries(url, sha)
        (commit,) = read_commits(queries, "--max-count=1", sha, "--")
        replaced = _utf8_paths(queries.ask("ls-tree", "-z", "--full-tree", sha, "--", *sorted(extra))) if extra else ()
        chosen = [".", *(f":(exclude,top,literal){path}" for path in replaced)]
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=".archive-") as folder:
            tar = Path(folder) / "tar"
            arguments = ["--format=tar", f"--prefix={prefix}/", f"--output={tar}", sha, "--"]
            # An empty tree matches no path at all, not even ".", so paths are named only where one is left out.
            queries.ask("archive", *arguments, *(chosen if len(chosen) > 1 else ()))
            compress(members(prefix, extra, int(commit.committed_at.timestamp())), tar, into)

    def read(self, url: str, sha: str) -> tuple[PackagingFile, ...]:
        """As in the port."""
        # Of a commit without files git writes a header alone, which tarfile does not read; of its tree it writes none.
        found = contents(self._queries(url, sha).ask("archive", "--format=tar", f"{sha}^{{tree}}", "--"))
        return tuple(
            PackagingFile(path=path, content=content, executable=executable)
            for path, (content, executable) in sorted(found.items())
        )

    def import_worktree(self, url: str, folder: Path) -> CommitInfo:
        """As in the port; the folder is the top of the working copy.

        Raises:
            RevisionMissing: the folder is no git working copy, or has no commit.
            UserError: it is a shallow clone.
        """
        with self._writing(url) as writer:
            sha = import_worktree(writer, folder)
        (commit,) = read_commits(self._queries(url), "--max-count=1", sha, "--")
        return commit

    def _mirror(self, url: str) -> Path:
        return self._folder / folder_name(url)

    @contextlib.contextmanager
    def _writing(self, url: str) -> Iterator[Writer]:
        """Hold the place of the mirror's one writer. A mirror that is missing appears when this ends well."""
        mirror = self._mirror(url)
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(mirror.with_suffix(".lock"), self._fetch_limit, self._stop) as lock:
            if mirror.exists():
                yield Writer(git_dir=mirror, lock=lock, limit=self._fetch_limit, stop=self._stop)
                return
            made = mirror.with_suffix(".new")
            writer = Writer(git_dir=made, lock=lock, limit=self._fetch_limit, stop=self._stop)
            try:
                make_bare(writer)
                yield writer
                writer.git_dir.rename(mirror)
            finally:
                shutil.rmtree(writer.git_dir, ignore_errors=True)

    def _queries(self, url: str, sha: str | None = None) -> Queries:
        """Questions to the mirror, which is made when missing, about a commit that must be there.

        Raises:
            RevisionMissing: the commit is not there.
        """
        mirror = self._mirror(url)
        if not mirror.exists():
            self.update(url)
        queries = Queries(git_dir=mirror, environment=environment(protocol=""), limit=self._limit)
        if sha is not None and (
            not SHA.fullmatch(sha) or queries.try_ask("cat-file", "-e", f"{sha}^{{commit}}") is None
        ):
            raise RevisionMissing(f"{shown(url)} has no commit {cleaned(sha)}")
        return queries

    def _missing_name(self, url: str, queries: Queries, revision: str) -> ConveyorError:
        """What to say of a name that is not there."""
        listing = queries.ask("for-each-ref", "--format=%(refname)", BRANCHES).decode("utf-8", "replace")
        branches = [line.removeprefix(BRANCHES) for line in listing.splitlines()]
        if not branches:
            return UpstreamEmpty(f"{shown(url)} has no commit", hint="push one, or correct the URL in repos.yaml")
        near = sorted(branches, key=lambda name: -difflib.SequenceMatcher(None, name, revision).ratio())
        names = ", ".join(cleaned(name) for name in near[:SHOWN_BRANCHES])
        return RevisionMissing(
            f"{shown(url)} has no branch, tag or commit {cleaned(revision)!r}",
            hint=f"branches there: {names}; set 'branch:' in repos.yaml",
        )


def _candidates(revision: str) -> list[str]:
    """What a name may stand for, in order. Full names, so that git guesses nothing and takes none for an option."""
    if not PLAIN_NAME.fullmatch(revision):
        return []
    names = [f"{BRANCHES}{revision}", f"refs/tags/{revision}"]
    return [*names, revision] if ABBREVIATED_SHA.fullmatch(revision) else names


def _utf8_paths(listing: bytes) -> Iterator[str]:
    """Paths of the files, without submodules, in what `ls-tree -z` prints: "<mode> <type> <sha>TAB<path>NUL"."""
    for entry in listing.split(b"\0"):
        metadata, _, path = entry.partition(b"\t")
        if b" blob " in metadata:
            with contextlib.suppress(UnicodeDecodeError):
                yield path.decode("utf-8")
