"""From a commit back: the commits of a branch, and the nearest tag that is a version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from packaging.version import Version

from conveyor.model.commit import CommitInfo, History
from conveyor.upstream.hardening import cleaned
from conveyor.upstream.queries import Queries
from conveyor.upstream.tags import version_of_tag

TAGS = "refs/tags/"
COMMIT_FORMAT = "%H%x00%ct%x00%an%x00%s%x00"
COMMIT_FIELDS = 4
# The last second of the year 9999: datetime knows no later one, git does.
LAST_SECOND = 253402300799
# Most tags are nearer than this; only where they are not, git has to list the whole history.
NEAR = 2000
SEM_VER = re.compile(r"^sem-ver:(.*)$", re.IGNORECASE | re.MULTILINE)
SYMBOL = re.compile(r"[a-z][a-z-]*")

Row = tuple[str, list[str]]


def read_commits(queries: Queries, *arguments: str) -> tuple[CommitInfo, ...]:
    """The commits that `git log` lists with these arguments, in its order."""
    output = queries.ask(
        "log", "--no-show-signature", "--encoding=UTF-8", f"--format=tformat:{COMMIT_FORMAT}", *arguments
    )
    fields = output.decode("utf-8", "replace").split("\0")
    starts = range(0, len(fields) - COMMIT_FIELDS, COMMIT_FIELDS)
    return tuple(_commit(*fields[start : start + COMMIT_FIELDS]) for start in starts)


def _commit(sha: str, seconds: str, author: str, subject: str) -> CommitInfo:
    at = min(max(int(seconds or 0), 0), LAST_SECOND)
    return CommitInfo(
        # Each record ends with a newline, which is the beginning of the next one.
        sha=sha.strip(),
        committed_at=datetime.fromtimestamp(at, UTC),
        author=cleaned(author),
        subject=cleaned(subject),
    )


def read_history(queries: Queries, sha: str, package: str) -> History:
    """What version schemes need to know of the past of `sha`.

    The tag is found as a person would: of the version tags in the ancestry of `sha`, all parents considered, those
    are nearest that are in the ancestry of no other one; of these the highest version counts. So a release branch that
    is merged after a newer release changes nothing, and the old numbering of a project (2015.1.0 before 12.0.0)
    is forgotten with the next tag. pbr takes the first tagged commit in the order of dates, which clocks can disturb.
    """
    (commit,) = read_commits(queries, "--max-count=1", sha)
    tags = read_tags(queries)
    versions = {name: version for name in tags if (version := version_of_tag(name, package)) is not None}
    tag = _nearest(queries, sha, tags, versions)
    # Full names: a branch or tag may have any name, options and other tags' shas included.
    since = [f"{TAGS}{tag}..{sha}"] if tag else [sha]
    shas = set(queries.ask("rev-list", *since, "--").decode().split())
    seen = shas | {tags[tag]} if tag else shas
    return History(
        commit=commit,
        tag=tag,
        tag_version=versions[tag] if tag else None,
        commits_since=len(shas),
        footers=_footers(queries, since),
        ignored_tags=tuple(sorted(cleaned(name) for name in tags if name not in versions and tags[name] in seen)),
    )


def read_tags(queries: Queries) -> dict[str, str]:
    """The commit, or other object, that each tag leads to in the end, by the tag's name."""
    output = queries.try_ask("show-ref", "--tags", "--dereference")
    tags = {}
    # The line of what an annotated tag leads to follows the tag's own: "<sha> refs/tags/<name>^{}".
    for line in (output or b"").decode("utf-8", "surrogateescape").splitlines():
        sha, _, name = line.partition(" ")
        tags[name.removeprefix(TAGS).removesuffix("^{}")] = sha
    return tags


def _nearest(queries: Queries, sha: str, tags: Mapping[str, str], versions: Mapping[str, str]) -> str | None:
    """Name of the version tag that counts for `sha`."""
    tagged = {tags[name] for name in versions}
    if not tagged:
        return None
    listing = ("rev-list", "--topo-order", "--parents")
    rows = _rows(queries.ask(*listing, f"--max-count={NEAR}", sha, "--"))
    found, complete = nearest_tagged(rows, tagged)
    if not complete and len(rows) == NEAR:
        found, _ = nearest_tagged(_rows(queries.ask(*listing, sha, "--")), tagged)
    candidates = [name for name in versions if tags[name] in found]
    return max(candidates, key=lambda name: (Version(versions[name]), name), default=None)


def _rows(output: bytes) -> list[Row]:
    return [(shas[0], shas[1:]) for shas in map(str.split, output.decode().splitlines())]


def nearest_tagged(rows: Iterable[Row], tagged: set[str]) -> tuple[set[str], bool]:
    """Of the tagged commits those that are in the ancestry of no other one.

    Args:
        rows: commits with their parents, each before its parents, the first being where the search begins.
        tagged: the tagged commits.

    Returns:
        The commits, and whether the rows were enough to be sure.
    """
    found: set[str] = set()
    behind: set[str] = set()  # in the ancestry of a tagged commit
    ahead: set[str] = set()  # not known to be, and not seen yet
    for sha, parents in rows:
        ahead.discard(sha)
        if sha in behind or sha in tagged:
            if sha not in behind:
                found.add(sha)
            behind.update(parents)
            ahead.difference_update(parents)
        else:
            ahead.update(parent for parent in parents if parent not in behind)
        if not ahead:
            return found, True
    return found, False


def _footers(queries: Queries, since: list[str]) -> tuple[str, ...]:
    """Values of "Sem-Ver:" lines, as pbr reads them: anywhere in a message, separated by commas."""
    messages = queries.ask(
        "log", "--regexp-ignore-case", "--grep=^sem-ver:", "--encoding=UTF-8", "--format=%B", *since, "--"
    ).decode("utf-8", "replace")
    symbols = {symbol.strip().lower() for line in SEM_VER.findall(messages) for symbol in line.split(",")}
    return tuple(sorted(symbol for symbol in symbols if SYMBOL.fullmatch(symbol)))
