"""What is read of an RPM before its header: a build may have written anything there."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conveyor.repository.signing.lead import HEADER_MAGIC, LEAD_MAGIC, content_digest, has_signature

LEAD = LEAD_MAGIC + bytes(92)
CONTENT = b"header and payload"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def rpm(*tags: int, data: bytes = b"", entries: int | None = None, size: int | None = None) -> bytes:
    """An RPM as far as it matters here: lead, signature header, the rest."""
    index = b"".join(struct.pack(">IIII", tag, 7, 0, 1) for tag in tags)
    head = HEADER_MAGIC + bytes(4)
    head += struct.pack(">II", len(tags) if entries is None else entries, len(data) if size is None else size)
    signature = head + index + data
    return LEAD + signature + bytes(-len(signature) % 8) + CONTENT


@pytest.mark.parametrize(("tags", "signed"), [((), False), ((62, 269, 1004), False), ((268,), True), ((62, 267), True)])
def test_signatures_are_told_from_checksums(tmp_path: Path, tags: tuple[int, ...], signed: bool) -> None:
    path = tmp_path / "a.rpm"
    path.write_bytes(rpm(*tags))
    assert has_signature(path) is signed


@pytest.mark.parametrize("data", [b"", b"1", b"1234567", b"12345678", b"x" * 4000])
def test_the_content_is_what_comes_after_the_signature_header(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.rpm"
    path.write_bytes(rpm(62, 268, data=data))
    assert content_digest(path) == DIGEST


def test_another_file_is_its_own_content(tmp_path: Path) -> None:
    path = tmp_path / "a.deb"
    path.write_bytes(CONTENT)
    assert content_digest(path) == DIGEST
    assert not has_signature(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        LEAD_MAGIC,
        LEAD,
        LEAD + HEADER_MAGIC,
        LEAD + b"\x8e\xad\xe8\x02" + bytes(100),
        rpm(entries=2**32 - 1),
        rpm(size=2**32 - 1),
        rpm(268)[:120],
        rpm(268)[:113],
    ],
)
def test_what_is_cut_or_exaggerates_is_read_within_bounds(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.rpm"
    path.write_bytes(content)
    assert not has_signature(path)
    assert len(content_digest(path)) == 64


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=400))
def test_any_bytes_can_be_looked_at(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "a.rpm"
    path.write_bytes(LEAD + HEADER_MAGIC + bytes(4) + rest)
    assert has_signature(path) in {True, False}
    assert len(content_digest(path)) == 64
