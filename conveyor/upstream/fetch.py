"""Writing to a bare mirror: one writer at a time, retries, and what a failed fetch means."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from conveyor.command import Completed, run
from conveyor.errors import (
    CommandFailed,
    CommandTimedOut,
    ConveyorError,
    Interrupted,
    UpstreamUnreachable,
    UserError,
)
from conveyor.upstream.hardening import (
    ATTRIBUTES,
    CREDENTIALS,
    LOCAL_UPLOAD_PACK,
    check_disk,
    cleaned,
    environment,
    shown,
)

ATTEMPTS = 3
LOCK_POLL_SECONDS = 0.05
# Stands in a mirror while git writes to it; what it finds there, the next writer knows to have been killed.
BUSY = "conveyor-busy"
LEFT_BY_KILLED_GIT = ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*", "objects/tmp_*", "objects/info/**/*.lock")

TRY_AGAIN = "check the URL in repos.yaml and the way to its server, then run the same command again"
UNTRUSTED = "compare the host's key, and make it known to the user that Conveyor runs as: docs/operating.md tells how"

TRANSIENT = re.compile(
    r"could not resolve host|temporary failure in name resolution|timed out|connection (refused|reset|closed)"
    r"|failed to connect|early eof|rpc failed|unexpected disconnect|hung up unexpectedly|gnutls|ssl_|http/2 stream"
    r"|returned error: (429|5\d\d)",
    re.IGNORECASE,
)
# git only warns where every branch of an upstream ends at the cut, and fetches nothing.
SHALLOW = re.compile(r"shallow (update|roots are) not allowed")
HOST_KEY = re.compile(r"^Host key verification failed")
# ssh says this a line before, and much else before that.
OTHER_KEY = re.compile(r"^Host key for .* has changed")
# git ends with these when an earlier line has already said what was wrong.
SAYS_NOTHING = re.compile(r"Could not read from remote repository|index-pack failed|invalid index-pack output")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """The one who writes to a repository of ours.

    Attributes:
        git_dir: the repository.
        lock: descriptor of the locked file. git inherits it: should this process be killed, the lock lives as long
            as the git process that it has started.
        limit: seconds that one command may take.
        stop: once it is set, the command is killed.
    """

    git_dir: Path
    lock: int
    limit: float
    stop: threading.Event | None = None

    def git(
        self, *arguments: str, protocol: str = "", env: Mapping[str, str] | None = None, check: bool = True
    ) -> Completed:
        """Run git in the repository.

        Raises:
            DiskFull: the disk has no room left.
            CommandFailed, CommandMissing, CommandTimedOut, Interrupted: as conveyor.command.run.
        """
        try:
            return run(
                ["git", *arguments],
                env=environment(protocol=protocol, extra={"GIT_DIR": str(self.git_dir), **(env or {})}),
                timeout=self.limit,
                pass_fds=(self.lock,),
                check=check,
                stop=self.stop,
            )
        except CommandFailed as error:
            check_disk(self.git_dir, error.details)
            raise

    def fetch(self, url: str, *refspecs: str, protocol: str) -> None:
        """Fetch, and tidy up if anything came.

        Args:
            url: where from, checked and rewritten already.
            refspecs: what to fetch, and to where.
            protocol: what the URL speaks.

        Raises:
            UpstreamUnreachable: it cannot be fetched.
            UserError: it is a shallow clone.
            DiskFull: the disk has no room left.
        """
        arguments = ["fetch", "--prune", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
        arguments += ["--no-auto-maintenance", "--no-auto-gc"]
        if protocol == "file":
            arguments.append(f"--upload-pack={LOCAL_UPLOAD_PACK}")
        again = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=0.5, max=4),
            retry=retry_if_exception(_is_transient),
            reraise=True,
        )
        with self._busy():
            try:
                completed = again(self.git, *arguments, "--", url, *refspecs, protocol=protocol)
            except CommandTimedOut as error:
                cause = f"it took longer than {self.limit:g} s"
                raise UpstreamUnreachable(f"{shown(url)} cannot be fetched", cause=cause, hint=TRY_AGAIN) from error
            except CommandFailed as error:
                raise _explained(url, error) from error
            if SHALLOW.search(completed.output):
                raise _is_shallow(url)
            # These only make later calls quicker, so their failure is none of ours.
            if completed.output.strip():
                self.git("commit-graph", "write", "--reachable", "--split", "--no-progress", check=False)
                self.git("gc", "--auto", "--quiet", check=False)

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        """Note that git is writing; sweep up first after one that was killed at it."""
        marker = self.git_dir / BUSY
        if marker.exists():
            for pattern in LEFT_BY_KILLED_GIT:
                for left in self.git_dir.glob(pattern):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        marker.touch()
        yield
        marker.unlink()


@contextlib.contextmanager
def locked(path: Path, limit: float, stop: threading.Event | None = None) -> Iterator[int]:
    """Hold a lock file, across threads and processes; gives its descriptor.

    Raises:
        CommandTimedOut: another process held it for longer than `limit` seconds.
        Interrupted: `stop` was set while another one held it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + limit
    try:
        while not _try_lock(descriptor):
            if stop is not None and stop.is_set():
                raise Interrupted(f"nobody waits for {path.stem} any more")
            if time.monotonic() > deadline:
                raise CommandTimedOut(f"{path.stem} has been locked by another process for {limit:g} s")
            time.sleep(LOCK_POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_bare(writer: Writer) -> None:
    """Make an empty bare repository, in the place of a half-made one."""
    shutil.rmtree(writer.git_dir, ignore_errors=True)
    # An empty template: no hooks, and no info/exclude.
    writer.git("init", "--quiet", "--bare", "--template=", "--initial-branch=master")
    info = writer.git_dir / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text(ATTRIBUTES)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, CommandFailed) and any(TRANSIENT.search(line) for line in error.details)


def _explained(url: str, error: CommandFailed) -> ConveyorError:
    """What a failed fetch means."""
    if any(map(SHALLOW.search, error.details)):
        return _is_shallow(url)
    cause, details = said(error)
    hint = advice(details)
    return UpstreamUnreachable(f"{shown(url)} cannot be fetched", cause=cause, hint=hint, details=details)


def advice(details: Iterable[str]) -> str:
    """What to do about what git said, line by line."""
    return UNTRUSTED if any(map(HOST_KEY.search, details)) else TRY_AGAIN


def said(error: CommandFailed) -> tuple[str, tuple[str, ...]]:
    """What git said of why it failed: the line that matters, without a password, and all lines."""
    lines = [cleaned(line) for line in error.details]
    fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    # ssh has its say before git.
    before = itertools.takewhile(lambda line: not line.startswith("fatal: "), lines)
    telling = [line for line in fatal if not SAYS_NOTHING.search(line)] or [line for line in before if line]
    telling += [line for line in lines if OTHER_KEY.search(line)]
    return CREDENTIALS.sub("***@", telling[-1]) if telling else "", tuple(filter(None, lines))


def _is_shallow(url: str) -> UserError:
    return UserError(
        f"{shown(url)} is a shallow clone",
        cause="its history was cut off, so versions would be wrong",
        hint="run 'git fetch --unshallow' there",
    )
