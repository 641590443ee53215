#!/usr/bin/env python3
"""Make upstream git repositories out of real releases, for machines that cannot reach the real ones.

    python3 containers/upstreams/make.py --output DIR [--releases N] [--refresh] NAME...

The newest N final releases of each distribution become DIR/openstack/NAME.git, a bare repository with one annotated tag
for each release but the newest. README.md beside this file tells what is in it.

The source distributions come through the pip of the running Python, with its configuration (index, proxy,
certificates). Its internals are used and not `pip download`, since that runs the build backend of what it downloads:
nothing of a release is executed here.
"""

from __future__ import annotations

import argparse
import email
import email.utils
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pip._internal.commands.index import IndexCommand
from pip._internal.exceptions import PipError
from pip._internal.models.candidate import InstallationCandidate
from pip._vendor.requests.exceptions import RequestException

# Raise it when the same releases would become other commits: repositories made before are then made anew.
LAYOUT = 1
MARKER = "conveyor-releases.json"
FOLDER = "openstack"
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")

# What pbr and setuptools write into a source distribution; the project's git does not have it.
GENERATED_FILES = ("PKG-INFO", "AUTHORS", "ChangeLog", "RELEASENOTES.rst", "releasenotes/notes/reno.cache")
GENERATED_SECTION = re.compile(rb"\n\[egg_info\]\ntag_build = *\ntag_date = 0\n+\Z")
# pbr escapes what reStructuredText would take for markup in the subjects of commits.
ESCAPED = re.compile(r"\\([_*`|])")

MINUTE = 60
GIT_SECONDS = 600
CHUNK = 1 << 20


class CannotMakeError(Exception):
    """The repositories cannot be made; the message is for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One file of a tree: git's mode and its bytes."""

    mode: str
    content: bytes


Tree = dict[str, Blob]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A source distribution, unpacked.

    Attributes:
        version: its version.
        tree: its files without the generated ones, by path.
        made_at: newest change of a file, in seconds since 1970.
        author: "Name <address>" as its metadata has it.
        changes: its section of the ChangeLog: the subjects of the project's own commits.
    """

    version: str
    tree: Tree
    made_at: int
    author: str
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One commit: files to write and paths to delete."""

    subject: str
    body: str
    author: str
    at: int
    written: Tree
    deleted: tuple[str, ...]
    tag: str | None


class Index(IndexCommand):
    """pip's own way to its package index."""

    def download(self, name: str, count: int, folder: Path) -> list[tuple[str, Path]]:
        """Versions and files of the newest final source distributions, oldest first; those in `folder` are reused."""
        options, _ = self.parse_args(["--quiet"])
        with self._build_session(options) as session:
            finder = self._build_package_finder(options, session, ignore_requires_python=True)
            chosen = newest(finder.find_all_candidates(name), count)
            if not chosen:
                raise CannotMakeError("no source distribution found: the package index cannot be reached, or has none")
            found = []
            for candidate in chosen:
                path = folder / candidate.link.filename
                if not path.exists():
                    response = session.get(candidate.link.url_without_fragment, stream=True)
                    response.raise_for_status()
                    store(response.iter_content(CHUNK), path, candidate.link.hash_name, candidate.link.hash)
                found.append((str(candidate.version), path))
            return found


def newest(candidates: Iterable[InstallationCandidate], count: int) -> list[InstallationCandidate]:
    """The newest final releases that have a .tar.gz and were not withdrawn, oldest first."""
    by_version = {
        candidate.version: candidate
        for candidate in candidates
        if candidate.link.filename.endswith(".tar.gz")
        and not candidate.link.is_yanked
        and not candidate.version.is_prerelease
    }
    return [by_version[version] for version in sorted(by_version)[-count:]]


def store(chunks: Iterable[bytes], path: Path, hash_name: str | None, expected: str | None) -> None:
    """Write a download aside and rename it, once its checksum is the index's."""
    if hash_name != "sha256" or expected is None:
        raise CannotMakeError(f"{path.name}: the package index gives no sha256 for it")
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-", delete=False) as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    partial = Path(file.name)
    if digest.hexdigest() != expected:
        partial.unlink()
        raise CannotMakeError(f"{path.name}: the download's sha256 is not the one in the package index")
    partial.replace(path)


def unpack(version: str, path: Path) -> Release:
    """Read a source distribution, without writing any of it to the disk."""
    tree: Tree = {}
    made_at = 0
    with tarfile.open(path) as archive:
        for member in archive:
            inner = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if not inner.parts or {"..", ".git"} & set(inner.parts):
                continue
            made_at = max(made_at, int(member.mtime))
            if member.issym():
                tree[str(inner)] = Blob(mode="120000", content=os.fsencode(member.linkname))
            elif (file := archive.extractfile(member)) is not None:
                tree[str(inner)] = Blob(mode="100755" if member.mode & 0o100 else "100644", content=file.read())
    author, changes = author_of(tree), changes_of(version, tree)
    return Release(version=version, tree=without_generated(tree), made_at=made_at, author=author, changes=changes)


def author_of(tree: Tree) -> str:
    """The author in the distribution's metadata."""
    metadata = email.message_from_bytes(tree["PKG-INFO"].content if "PKG-INFO" in tree else b"")
    name, address = email.utils.parseaddr(metadata.get("Author-email", ""))
    name = metadata.get("Author") or name or "Upstream"
    return "{} <{}>".format(*(re.sub(r"[<>\x00-\x1f]", "", part) for part in (name, address)))


def changes_of(version: str, tree: Tree) -> tuple[str, ...]:
    """The ChangeLog's lines for one version, as pbr writes them below "version" and "-----"."""
    lines = tree["ChangeLog"].content.decode("utf-8", "replace").splitlines() if "ChangeLog" in tree else []
    if version not in lines:
        return ()
    changes = []
    for line in lines[lines.index(version) + 3 :]:
        if not line.startswith("* "):
            break
        changes.append(ESCAPED.sub(r"\1", line))
    return tuple(changes)


def without_generated(tree: Tree) -> Tree:
    """The tree as the project's git has it."""
    kept = {
        path: blob
        for path, blob in tree.items()
        if path not in GENERATED_FILES and not PurePosixPath(path).parts[0].endswith(".egg-info")
    }
    if "setup.cfg" in kept:
        setup = kept["setup.cfg"]
        kept["setup.cfg"] = Blob(mode=setup.mode, content=GENERATED_SECTION.sub(b"\n", setup.content))
    return kept


def kind_of(path: str) -> str:
    """The commit that a changed file belongs to: documentation and tests first, then the code that completes it."""
    parts = PurePosixPath(path).parts
    if parts[0] in {"doc", "releasenotes", "api-ref", "api-guide"} or path.endswith(".rst"):
        return "Documentation"
    return "Tests" if "tests" in parts else "Code"


def split(paths: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Changed paths in two or three commits, if there are two paths; all trees on the way can be built."""
    groups = [(kind, [path for path in paths if kind_of(path) == kind]) for kind in ("Documentation", "Tests", "Code")]
    groups = [group for group in groups if group[1]]
    if len(groups) == 1 and len(paths) > 1:
        kind, members = groups[0]
        middle = len(members) // 2
        return [(f"{kind}, first part", members[:middle]), (f"{kind}, second part", members[middle:])]
    return groups


def steps(releases: Sequence[Release]) -> Iterator[Step]:
    """The commits, oldest first: one for the oldest release, two or three for each later one."""
    before: Tree = {}
    at = 0
    for number, release in enumerate(releases):
        tree = release.tree
        paths = sorted({path for path in before.keys() | tree.keys() if before.get(path) != tree.get(path)})
        groups = split(paths) if number else [("All", paths)]
        at = max(release.made_at, at + len(groups) * MINUTE)
        for index, (kind, members) in enumerate(groups, start=1):
            last = index == len(groups)
            yield Step(
                subject=f"{kind} of {release.version}",
                body="\n".join(release.changes) if last else "",
                author=release.author,
                at=at - (len(groups) - index) * MINUTE,
                written={path: tree[path] for path in members if path in tree},
                deleted=tuple(path for path in members if path not in tree),
                tag=release.version if last and release is not releases[-1] else None,
            )
        before = tree


def fast_import(commits: Iterable[Step]) -> Iterator[bytes]:
    """The commits in the language of git fast-import."""
    for mark, step in enumerate(commits, start=1):
        person = f"{step.author} {step.at} +0000".encode()
        message = f"{step.subject}\n\n{step.body}".rstrip() + "\n"
        yield b"commit refs/heads/master\nmark :%d\nauthor %s\ncommitter %s\n" % (mark, person, person)
        yield data(message.encode())
        if mark > 1:
            yield b"from :%d\n" % (mark - 1)
        # Deletions first: a file may become a folder of the same name.
        for path in step.deleted:
            yield b"D %s\n" % quoted(path)
        for path, blob in sorted(step.written.items()):
            yield b"M %s inline %s\n%s" % (blob.mode.encode(), quoted(path), data(blob.content))
        if step.tag:
            yield b"tag %s\nfrom :%d\ntagger %s\n%s" % (step.tag.encode(), mark, person, data(message.encode()))
    yield b"done\n"


def data(content: bytes) -> bytes:
    """A data command, with the newline that may follow it."""
    return b"data %d\n%s\n" % (len(content), content)


def quoted(path: str) -> bytes:
    """A path in C-style quotes."""
    escaped = re.sub(rb'["\\]', rb"\\\g<0>", os.fsencode(path)).replace(b"\n", b"\\n")
    return b'"%s"' % escaped


def git(*arguments: str, content: bytes | None = None) -> None:
    """Run git on its own, without the caller's configuration and hooks."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    completed = subprocess.run(
        ["git", *arguments], input=content, env=environment, timeout=GIT_SECONDS, check=False, capture_output=True
    )
    if completed.returncode:
        raise CannotMakeError(f"git {arguments[0]} failed: {completed.stderr.decode('utf-8', 'replace').strip()}")


def make(name: str, found: Sequence[tuple[str, Path]], folder: Path, marker: dict[str, object]) -> None:
    """Make the repository aside and put it in the place of an older one."""
    releases = [unpack(version, path) for version, path in found]
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}-"))
    try:
        # mkdtemp made it for its owner alone; others read these repositories too.
        aside.chmod(0o755)
        git("init", "--quiet", "--bare", "--template=", "--initial-branch=master", str(aside))
        stream = b"".join(fast_import(steps(releases)))
        git("--git-dir", str(aside), "fast-import", "--quiet", "--done", content=stream)
        (aside / MARKER).write_text(json.dumps(marker, indent=2) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def made(folder: Path) -> dict[str, object]:
    """What an earlier run noted in a repository; nothing if there is none."""
    try:
        marker = json.loads((folder / MARKER).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return marker if isinstance(marker, dict) else {}


def ensure(name: str, count: int, output: Path, refresh: bool) -> str:
    """Have the repository of one distribution; returns what was done, for people."""
    folder = output / FOLDER / f"{name}.git"
    before = made(folder)
    if not refresh and before.get("layout") == LAYOUT and before.get("asked") == count:
        return "is there"
    found = Index("index", "Look for source distributions.").download(name, count, output / ".downloads")
    marker: dict[str, object] = {"layout": LAYOUT, "asked": count, "versions": [version for version, _ in found]}
    if before == marker:
        return "is there, with the newest releases"
    make(name, found, folder, marker)
    return f"made of {', '.join(version for version, _ in found)}"


def arguments_of(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make upstream git repositories out of real releases.")
    parser.add_argument("--output", type=Path, required=True, help="folder for openstack/NAME.git and the downloads")
    parser.add_argument("--releases", type=int, default=3, help="how many of the newest releases (default 3)")
    parser.add_argument("--refresh", action="store_true", help="look for newer releases")
    parser.add_argument("names", nargs="+", metavar="NAME", help="a Python distribution, such as oslo.utils")
    arguments = parser.parse_args(argv)
    if arguments.releases < 1:
        parser.error("--releases must be at least 1")
    for name in arguments.names:
        if not NAME.fullmatch(name):
            parser.error(f"{name!r} is no name of a Python distribution")
    return arguments


def main(argv: Sequence[str]) -> int:
    """Make what is missing; returns the exit code: 0, or 3 if the index cannot be reached or git fails."""
    arguments = arguments_of(argv)
    # pip warns of each configured index that lacks a name, though another one has it.
    logging.getLogger("pip").setLevel(logging.ERROR)
    for name in arguments.names:
        try:
            print(f"{name}: {ensure(name, arguments.releases, arguments.output, arguments.refresh)}", flush=True)
        except (CannotMakeError, PipError, RequestException, OSError, subprocess.TimeoutExpired) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
