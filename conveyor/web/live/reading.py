"""Parts of logs, as lines that can be shown: never more of a log in memory than is asked for."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from conveyor.errors import UnknownName
from conveyor.web.live.index import LineIndex
from conveyor.web.live.text import LINE_BYTES, Line, shown

# What one answer holds at most.
MOST_LINES = 1000
MOST_BYTES = 512 * 1024
PIECE = 64 * 1024
REMEMBERED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of a log.

    Attributes:
        lines: its lines; whole ones, but for a last one that is still being written.
        start: offset of its first byte.
        next: offset of the line after it.
        open: whether its last line has no end yet; `next` is that line's beginning then.
    """

    lines: tuple[Line, ...]
    start: int
    next: int
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What tells a file from another that came to be in its place."""

    device: int
    inode: int


class OpenLog:
    """A log that is open for reading, in the size that it had then.

    Args:
        file: its descriptor; whoever opened it closes it.
        index: where its lines begin.
        causes: lines that the pipeline found to be why the build failed.
    """

    def __init__(self, file: int, index: LineIndex, causes: frozenset[str] = frozenset()) -> None:
        self._file = file
        self._index = index
        self._causes = causes
        self.size = os.fstat(file).st_size

    def lines(self) -> int:
        """How many lines it has; a last one without its end counts."""
        return self._index.lines(self._file, self.size)

    def start(self, number: int) -> int | None:
        """Where a line begins; None where there are not so many."""
        return self._index.start(self._file, number, self.size)

    def line_start(self, offset: int) -> int:
        """The beginning of the line that has the byte at an offset."""
        offset = min(max(offset, 0), self.size)
        return self._index.start(self._file, self._index.line_at(self._file, offset), self.size) or 0

    def window(self, start: int, *, lines: int = MOST_LINES, size: int = MOST_BYTES) -> Window:
        """The lines from one on.

        Args:
            start: offset of the first line's first byte.
            lines: how many lines at most.
            size: about how many bytes of text at most; one line is always in it.
        """
        found: list[Line] = []
        at, number, left = start, self._index.line_at(self._file, start), size
        for raw, length, ended in self._raw(start):
            found.append(shown(raw, number=number, offset=at, length=length, causes=self._causes))
            if not ended:
                return Window(lines=tuple(found), start=start, next=at, open=True)
            at, number, left = at + length + 1, number + 1, left - len(raw)
            if len(found) >= lines or left <= 0:
                break
        return Window(lines=tuple(found), start=start, next=at)

    def _raw(self, offset: int) -> Iterator[tuple[bytes, int, bool]]:
        """Of each line its beginning, its length, and whether it has an end."""
        while offset < self.size:
            piece = os.pread(self._file, min(PIECE, self.size - offset), offset)
            if not piece:  # it was cut off meanwhile
                return
            at = 0
            while (end := piece.find(b"\n", at)) >= 0:
                yield piece[at : min(end, at + LINE_BYTES)], end - at, True
                at = end + 1
            if at == 0:
                raw, length, ended = self._long(offset, piece)
                yield raw, length, ended
                at = length + 1
            offset += at

    def _long(self, offset: int, piece: bytes) -> tuple[bytes, int, bool]:
        """The line at an offset, whose end is not in what was read."""
        after = self._index.start(self._file, self._index.line_at(self._file, offset) + 1, self.size)
        length = (self.size if after is None else after - 1) - offset
        return piece[:LINE_BYTES], length, after is not None


@dataclass(slots=True)
class _Known:
    """What is known of a log."""

    identity: Identity
    index: LineIndex = field(default_factory=LineIndex)


class Logs:
    """Opens logs, and remembers where the lines of those read last begin."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, _Known] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def open(self, path: Path, causes: frozenset[str] = frozenset()) -> Iterator[OpenLog]:
        """Open one.

        Raises:
            UnknownName: it is not there.
        """
        file = open_regular(path)
        try:
            yield OpenLog(file, self._index(path, file), causes)
        finally:
            os.close(file)

    def _index(self, path: Path, file: int) -> LineIndex:
        status = os.fstat(file)
        identity = Identity(device=status.st_dev, inode=status.st_ino)
        with self._lock:
            known = self._known.get(path)
            if known is None or known.identity != identity or known.index.covered > status.st_size:
                known = self._known[path] = _Known(identity)
            self._known.move_to_end(path)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return known.index


def open_regular(path: Path) -> int:
    """Open a regular file for reading; the caller closes the descriptor.

    Raises:
        UnknownName: there is none.
    """
    try:
        # What is no regular file could keep the caller waiting.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _gone() from error
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise _gone()


def _gone() -> UnknownName:
    return UnknownName(
        "the log is gone",
        cause="retention removes it together with the build's snapshot",
        hint="what is known of the build is in its page, and in 'conveyor why'",
    )
