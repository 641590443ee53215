"""Where the lines of a log begin, so that a part of a large one is found without reading all of it."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from threading import Lock

# How much is read to find a line; the index has a number for each of these.
BLOCK = 64 * 1024


class LineIndex:
    """Knows how many lines end before each block of a file that is only added to.

    Memory: 8 bytes for each 64 KiB of the file.
    """

    def __init__(self) -> None:
        self._before = array("Q", [0])
        self._lock = Lock()

    @property
    def covered(self) -> int:
        """Bytes of the file that are known."""
        return (len(self._before) - 1) * BLOCK

    def lines(self, file: int, size: int) -> int:
        """How many lines there are in the first `size` bytes; a last one without its end counts.

        Args:
            file: descriptor of the file.
            size: bytes that it has.
        """
        if not size:
            return 0
        ended = self._ended_before(file, size)
        return ended if os.pread(file, 1, size - 1) == b"\n" else ended + 1

    def line_at(self, file: int, offset: int) -> int:
        """The number of the line that has the byte at an offset, from 1."""
        return self._ended_before(file, offset) + 1

    def start(self, file: int, number: int, size: int) -> int | None:
        """Where a line begins; None where there are not so many."""
        if number <= 1:
            return 0
        wanted = number - 1  # the line begins after the end of so many
        self._cover(file, size)
        with self._lock:
            block = bisect_left(self._before, wanted) - 1
            missing = wanted - self._before[block]
        content = os.pread(file, min(BLOCK, size - block * BLOCK), block * BLOCK)
        at = -1
        for _ in range(missing):
            at = content.find(b"\n", at + 1)
            if at < 0:
                return None
        return block * BLOCK + at + 1

    def _ended_before(self, file: int, offset: int) -> int:
        self._cover(file, offset)
        block = min(offset // BLOCK, len(self._before) - 1)
        return self._before[block] + os.pread(file, offset - block * BLOCK, block * BLOCK).count(b"\n")

    def _cover(self, file: int, size: int) -> None:
        """Look at all whole blocks of the file's beginning that were not looked at yet."""
        with self._lock:
            while self.covered + BLOCK <= size:
                content = os.pread(file, BLOCK, self.covered)
                if len(content) < BLOCK:  # it was cut off meanwhile
                    return
                self._before.append(self._before[-1] + content.count(b"\n"))
