"""What a repository has, as its server says: one `git ls-remote`, which fetches nothing and needs no mirror."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Collection

from conveyor.command import ask
from conveyor.errors import (
    CommandFailed,
    CommandMissing,
    CommandTimedOut,
    ConveyorError,
    HostUnreachable,
    OutputTooLong,
    UpstreamUnreachable,
)
from conveyor.model.watch import RemoteRefs
from conveyor.upstream.fetch import TRY_AGAIN, advice, said
from conveyor.upstream.hardening import LOCAL_UPLOAD_PACK, environment, protocol_of, shown

BRANCHES, TAGS = "refs/heads/", "refs/tags/"
PEELED = "^{}"
NO_SHA = "0" * 40  # what git tells of a name that it does not take for one
SHA, SHA_256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
# What a server may make us hold: some 500,000 names here, and in git itself a little more than a million.
OUTPUT_BYTES = 32 * 2**20
GIT_BYTES = 384 * 2**20
# prlimit(1): git has a limit of its own for nothing that it only collects. The limit is for what it holds, not for
# files that it maps, such as the packs of a local repository.
BOUNDED = ("prlimit", f"--data={GIT_BYTES}")
NO_GIT = "failed to execute git"
# What a server says of itself, or the way to it, rather than of one repository.
SILENT = re.compile(
    r"could not resolve host|name resolution|timed out|connection (refused|reset|closed)|failed to connect"
    r"|couldn't connect|no route to host|network is unreachable|gnutls|ssl_|certificate|returned error: (429|50[234])",
    re.IGNORECASE,
)


def ask_refs(
    url: str, *, branches: Collection[str] | None, tags: bool, limit: float, stop: threading.Event | None = None
) -> RemoteRefs:
    """What a repository has.

    Args:
        url: the repository, rewritten already.
        branches: the branches that are asked for; None for all.
        tags: whether tags are asked for.
        limit: seconds that it may take.
        stop: once it is set, nobody waits for the answer any more.

    Raises:
        UserError: the URL is none.
        UpstreamUnreachable: it does not answer, or what it answers makes no sense or is too long.
        Interrupted: it was stopped.
    """
    protocol = protocol_of(url)
    # No repository's configuration counts, wherever this process was started.
    variables = environment(protocol=protocol, extra={"GIT_DIR": os.devnull})
    argv = [*BOUNDED, "git", *_arguments(protocol, branches, tags=tags), "--", url, *_patterns(branches, tags=tags)]
    what = f"{shown(url)} cannot be polled"
    try:
        output = ask(argv, timeout=limit, env=variables, limit=OUTPUT_BYTES, stop=stop)
    except CommandTimedOut as error:
        raise HostUnreachable(what, cause=f"it took longer than {limit:g} s", hint=TRY_AGAIN) from error
    except OutputTooLong as error:
        cause = f"its list of branches and tags is longer than {OUTPUT_BYTES // 2**20} MiB"
        raise UpstreamUnreachable(what, cause=cause) from error
    except CommandFailed as error:
        raise _explained(what, error) from error
    try:
        return _read(output, branches)
    except ValueError as error:
        raise UpstreamUnreachable(what, cause=str(error), hint=TRY_AGAIN) from error


def _arguments(protocol: str, branches: Collection[str] | None, *, tags: bool) -> list[str]:
    """Servers that speak git's protocol 2 send no more than these kinds."""
    arguments = ["ls-remote", "--quiet"]
    if branches is None or branches or not tags:
        arguments.append("--heads")
    if tags:
        arguments.append("--tags")
    if protocol == "file":
        arguments.append(f"--upload-pack={LOCAL_UPLOAD_PACK}")
    return arguments


def _patterns(branches: Collection[str] | None, *, tags: bool) -> list[str]:
    """What git prints of what it was sent, where that is not all; it takes each for the end of a name."""
    if branches is None:
        return []
    return [*(f"{BRANCHES}{name}" for name in sorted(branches)), *([f"{TAGS}*"] if tags else [])]


def _read(output: bytes, wanted: Collection[str] | None) -> RemoteRefs:
    """What git printed.

    Raises:
        ValueError: it makes no sense.
    """
    branches: dict[str, str] = {}
    tags: dict[str, str] = {}
    for line in output.decode("utf-8", "replace").split("\n"):
        sha, _, name = line.partition("\t")
        if sha == NO_SHA:
            continue
        if name.startswith(BRANCHES):
            branches[name.removeprefix(BRANCHES)] = _checked(sha)
        elif name.startswith(TAGS):
            # The line of what an annotated tag leads to follows the tag's own.
            tags[name.removeprefix(TAGS).removesuffix(PEELED)] = _checked(sha)
    if wanted is not None:
        branches = {name: branches[name] for name in wanted if name in branches}
    return RemoteRefs(branches=branches, tags=tags)


def _checked(sha: str) -> str:
    if SHA.fullmatch(sha):
        return sha
    raise ValueError("its objects are named by SHA-256" if SHA_256.fullmatch(sha) else "its answer makes no sense")


def _explained(what: str, error: CommandFailed) -> ConveyorError:
    """Why there is no answer."""
    if any(NO_GIT in line for line in error.details):
        return CommandMissing("git is not installed", hint="run 'conveyor doctor': it names the package to install")
    kind = HostUnreachable if any(map(SILENT.search, error.details)) else UpstreamUnreachable
    cause, details = said(error)
    return kind(what, cause=cause, hint=advice(details), details=details)
