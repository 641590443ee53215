"""What stands before an RPM's header: lead and signature header, which signing changes while all else stays.

https://rpm-software-management.github.io/rpm/manual/format_v4.html
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path
from typing import IO

LEAD_MAGIC = b"\xed\xab\xee\xdb"
HEADER_MAGIC = b"\x8e\xad\xe8\x01"
LEAD = 96
ENTRY = 16
ALIGNMENT = 8
# What rpm itself allows a signature header: lib/header.c and lib/package.c.
MAX_ENTRIES = 0xFFFF
MAX_DATA = 64 << 20
# RPMSIGTAG_DSA, RPMSIGTAG_RSA, RPMSIGTAG_OPENPGP: signatures of the header.
SIGNATURES = frozenset({267, 268, 278})
_CHUNK = 1 << 20


def content_digest(path: Path) -> str:
    """The sha256 of a file; of an RPM without lead and signature header, which signing changes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(_content_start(file))
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def has_signature(path: Path) -> bool:
    """Whether an RPM carries a signature of its header."""
    with path.open("rb") as file:
        entries, _ = _signature_header(file)
        index = file.read(entries * ENTRY)
    tags = (struct.unpack_from(">I", index, offset)[0] for offset in range(0, len(index) - ENTRY + 1, ENTRY))
    return any(tag in SIGNATURES for tag in tags)


def signed_like(published: Path, made: Path, into: Path) -> bool:
    """Write a copy of one RPM with lead and signature header of another; False where one of them is no RPM."""
    with published.open("rb") as first, made.open("rb") as second:
        head, rest = _content_start(first), _content_start(second)
        if not head or not rest:
            return False
        first.seek(0)
        second.seek(rest)
        with into.open("xb") as copy:
            copy.write(first.read(head))
            shutil.copyfileobj(second, copy, _CHUNK)
    return True


def _content_start(file: IO[bytes]) -> int:
    """Where an RPM's header begins; 0 in what is none."""
    entries, data = _signature_header(file)
    if not entries:
        return 0
    end = LEAD + ENTRY + entries * ENTRY + data
    return end + -end % ALIGNMENT


def _signature_header(file: IO[bytes]) -> tuple[int, int]:
    """Number of entries, and bytes of their data; the file stands at the first entry. 0, 0 in what is no RPM."""
    start = file.read(LEAD + ENTRY)
    if len(start) < LEAD + ENTRY or start[:4] != LEAD_MAGIC or start[LEAD : LEAD + 4] != HEADER_MAGIC:
        return 0, 0
    entries, data = struct.unpack_from(">II", start, LEAD + 8)
    return (entries, data) if entries <= MAX_ENTRIES and data <= MAX_DATA else (0, 0)
