"""The command lines that copy a tree to a mirror, and what rsync's output says. Pure: nothing here runs anything.

rsync(1). A client of the mirror may read at any time, so: files appear under their names whole (rsync's own temporary
names), what a pointer leads to comes before the pointer, and nothing is removed before the pointers have moved.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from conveyor.model.mirror import Mirror, Transport
from conveyor.model.promotion import is_pointer_name
from conveyor.repository import names, redating

CONNECT_SECONDS = 30
PARTIAL = ".rsync-partial"
# For files that are written anew under their name: within a second, and with the same size, rsync sees no change.
REWRITTEN = "--checksum"
# Exit codes of rsync(1) that say that a file went away while it was copied.
VANISHED = 24
_KIB = 1024
# One line of `rsync --list-only`: mode, size, date, time, name.
_LISTED = re.compile(r"([dl-])\S{9}\S*\s+[\d,.]+\s+\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (.+)")
_SENT = re.compile(r"^Number of regular files transferred: ([\d,.]+)$", re.MULTILINE)
_SIZE = re.compile(r"^Total transferred file size: ([\d,.]+) bytes$", re.MULTILINE)
_COMPLAINT = re.compile(r"^(rsync: |@ERROR|ssh: |Permission denied|.*Permission denied|Host key )")
_POOL_FOLDER = re.compile(r"pool/[0-9a-f]{2}/[0-9a-f]{64}")


def rsync(mirror: Mirror, arguments: Iterable[str], *, dry_run: bool = False) -> tuple[str, ...]:
    """One call of rsync, which dies with the process that started it.

    Args:
        mirror: whose connection options it has.
        arguments: further options, sources and destination.
        dry_run: change nothing there.
    """
    options = [
        "--times",
        "--perms",
        "--omit-dir-times",
        "--hard-links",
        f"--partial-dir={PARTIAL}",
        f"--timeout={mirror.stall_limit}",
        "--stats",
        "--no-human-readable",
    ]
    if mirror.bandwidth is not None:
        options.append(f"--bwlimit={max(1, mirror.bandwidth // _KIB)}")
    if dry_run:
        options.append("--dry-run")
    return ("setpriv", "--pdeathsig", "KILL", "--", "rsync", *options, *_connection(mirror), *arguments)


def _connection(mirror: Mirror) -> Iterator[str]:
    if mirror.transport is Transport.SSH:
        yield f"--rsh={' '.join(_ssh(mirror))}"
        yield "--protect-args"
    if mirror.transport is Transport.DAEMON:
        yield f"--contimeout={CONNECT_SECONDS}"
        if mirror.port is not None:
            yield f"--port={mirror.port}"
        if mirror.password_file is not None:
            yield f"--password-file={mirror.password_file}"


def _ssh(mirror: Mirror) -> Iterator[str]:
    """The ssh that asks nobody; rsync splits it at blanks, which no option of a mirror may have."""
    yield from ("ssh", "-oBatchMode=yes", f"-oConnectTimeout={CONNECT_SECONDS}", "-oServerAliveInterval=15")
    if mirror.port is not None:
        yield f"-p{mirror.port}"
    if mirror.identity is not None:
        yield from ("-oIdentitiesOnly=yes", f"-i{mirror.identity}")


def place(mirror: Mirror, *parts: str) -> str:
    """A folder below the mirror's destination, as rsync writes it."""
    return "/".join([mirror.destination.rstrip("/"), *parts]) + "/"


def copy_listed(root: Path, listing: Path, destination: str) -> tuple[str, ...]:
    """Arguments that copy the files and folders of a list, NUL between them, with all that is in the folders.

    What has gone meanwhile is left out: whoever asks looks afterwards whether what matters is still there.
    """
    chosen = ("--recursive", "--links", "--ignore-missing-args", "--from0", f"--files-from={listing}")
    return (*chosen, "--delay-updates", f"{root}/", destination)


def copy_rewritten(root: Path, listing: Path, destination: str) -> tuple[str, ...]:
    """Arguments that copy the files of a list which are written anew under their names, such as public keys."""
    return (REWRITTEN, *copy_listed(root, listing, destination))


def copy_pool(root: Path, destination: str) -> tuple[str, ...]:
    """Arguments that copy the whole pool."""
    return ("--recursive", "--links", "--include=/pool/***", "--exclude=*", f"{root}/", destination)


def copy_folders(root: Path, destination: str) -> tuple[str, ...]:
    """Arguments that copy the folders that are neither pool nor snapshots, such as components, without their links.

    A link is a pointer: it is copied with the pointers.
    """
    left_out = ("--exclude=.*", "--exclude=/pool/", "--exclude=/[0-9a-f][0-9a-f]/", "--include=/*/", "--exclude=/*")
    return ("--recursive", "--no-links", REWRITTEN, *left_out, f"{root}/", destination)


def copy_stand_ins(root: Path, destination: str) -> tuple[str, ...]:
    """Arguments that copy what stands in for snapshots below pointers that moved back."""
    chosen = (f"--include=/{redating.FOLDER}/***", "--exclude=*")
    return ("--recursive", "--links", *chosen, f"{root}/", destination)


def copy_pointers(staged: Path, destination: str) -> tuple[str, ...]:
    """Arguments that set the pointers that stand in a folder; rsync replaces each by a rename."""
    return ("--recursive", "--links", REWRITTEN, "--delay-updates", f"{staged}/", destination)


def list_there(destination: str, target: str) -> tuple[str, ...]:
    """Arguments that list what a mirror has of a target, down to snapshots and artifacts; nothing if it has none.

    Args:
        destination: the mirror's own.
        target: the target's name.
    """
    chosen = (f"--exclude=/{target}/*/*/*/*", f"--include=/{target}/***", "--exclude=*")
    return ("--list-only", "--recursive", "--links", *chosen, destination)


def remove_listed(parents: Path, listing: Path, destination: str) -> tuple[str, ...]:
    """Arguments that remove what a list names, NUL between, and nothing else.

    Args:
        parents: a folder that has the folders which what is listed lies in, and nothing else.
        listing: the list.
        destination: the target's folder there.
    """
    chosen = ("--recursive", "--force", "--delete-missing-args", "--from0", f"--files-from={listing}")
    return (*chosen, f"{parents}/", destination)


def superfluous(listed: str, target: str, *, here: Collection[str], pointers: Collection[str]) -> tuple[str, ...]:
    """What a mirror has of a target and should not have, sorted.

    It is snapshots, what stood in for them, artifacts' folders and pointers. Only what has the form of one of these is
    ever named: a mirror's other files are its own.

    Args:
        listed: what `list_there` printed.
        target: the target's name.
        here: paths of the snapshots, of what stands in for them, and of artifacts' folders that are here.
        pointers: names of the pointers that are here.
    """
    matches = filter(None, map(_LISTED.fullmatch, listed.splitlines()))
    found = [(match[1], match[2].removeprefix(f"{target}/")) for match in matches]
    folders = {path for kind, path in found if kind == "d" and (_is_place(path) or _POOL_FOLDER.fullmatch(path))}
    links = {tuple(said.split(" -> ")) for kind, said in found if kind == "l"}
    moved = {link[0] for link in links if is_pointer_name(link[0]) and _is_place(link[-1])}
    return tuple(sorted((folders - set(here)) | (moved - set(pointers))))


def _is_place(path: str) -> bool:
    """Whether a pointer can lead there: a snapshot, or what stands in for one."""
    folder, _, commit_id = path.rpartition("/")
    return names.is_commit_id(commit_id) and (
        path == names.shard(commit_id) or redating.STAND_INS.fullmatch(folder) is not None
    )


def tally(output: str) -> tuple[int, int]:
    """How many files a call with `--stats` sent, and their bytes."""
    return _number(_SENT, output), _number(_SIZE, output)


def _number(pattern: re.Pattern[str], output: str) -> int:
    found = pattern.search(output)
    return int(re.sub(r"\D", "", found[1])) if found else 0


def complaint(output: str, returncode: int) -> str:
    """What rsync, ssh or the server says went wrong, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if _COMPLAINT.match(line)]
    return (told or lines[-1:] or [f"rsync ended with code {returncode}"])[0]


def pool_folders(shas: Iterable[str]) -> tuple[str, ...]:
    """The folders of artifacts in a pool, sorted; a folder may hold more than the artifact that it is named after."""
    return tuple(sorted({f"pool/{sha[:2]}/{sha}" for sha in shas}))


def joined(paths: Sequence[str]) -> bytes:
    """A list as rsync's `--files-from --from0` reads it."""
    return b"".join(path.encode() + b"\0" for path in paths)
