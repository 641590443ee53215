"""Mirrors and archives on a disk without room."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.errors import DiskFull
from conveyor.upstream.mirror import GitMirrors
from tests.support.upstream import GitUpstream

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def upstream(tmp_path: Path) -> GitUpstream:
    upstream = GitUpstream(tmp_path / "nova.git")
    upstream.commit("one", files={"big": random.Random(1).randbytes(1 << 20)})
    return upstream


def test_a_fetch(small_disk: Path, upstream: GitUpstream) -> None:
    with pytest.raises(DiskFull):
        GitMirrors(small_disk / "mirrors").update(upstream.url)
    assert [path.suffix for path in (small_disk / "mirrors").iterdir()] == [".lock"]


@pytest.mark.parametrize("part", ["git", "ours"])
def test_an_archive(small_disk: Path, upstream: GitUpstream, tmp_path: Path, part: str) -> None:
    mirrors = GitMirrors(tmp_path / "mirrors")
    sha = mirrors.resolve(upstream.url, "master")
    extra: dict[str, bytes] = {}
    if part == "ours":
        sha = upstream.commit("small", files={"big": b""})
        mirrors.update(upstream.url)
        extra = {"PKG-INFO": random.Random(2).randbytes(1 << 20)}
    with pytest.raises(DiskFull):
        mirrors.archive(upstream.url, sha, prefix="x", extra=extra, into=small_disk / "x.tar.gz")
    assert not list(small_disk.iterdir())
