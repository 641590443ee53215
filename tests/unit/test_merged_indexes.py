"""Files that are put together of parts: readable by the tools of each compression, the same whatever was kept."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import random
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from conveyor.formats.compression import Codec, Gzip, Part, Xz, Zstd
from conveyor.formats.merged import Merger, Piece
from conveyor.model.artifact import Artifact, ArtifactKind
from tests.support.published import need

CODECS: list[tuple[Codec, str]] = [(Gzip(), "gzip"), (Xz(), "xz"), (Zstd(), "zstd")]
CONTENTS: list[list[bytes]] = [
    [],
    [b""],
    [b"one"],
    [b"", b"one", b"", b"two" * 100_000, bytes(range(256)) * 300, b""],
    [bytes([number % 256]) * number for number in range(600)],
]


def whole(codec: Codec, contents: Sequence[bytes]) -> bytes:
    return b"".join(bytes(piece) for piece in codec.whole([Part(raw, codec.pack(raw)) for raw in contents]))


class TestCompression:
    @pytest.mark.parametrize("contents", CONTENTS)
    @pytest.mark.parametrize(("codec", "tool"), CODECS)
    def test_the_real_tool_reads_it(self, codec: Codec, tool: str, contents: list[bytes]) -> None:
        need(tool)
        done = subprocess.run([tool, "-dc"], input=whole(codec, contents), capture_output=True, check=True)
        assert done.stdout == b"".join(contents)
        assert done.stderr == b""

    @pytest.mark.parametrize(("codec", "tool"), CODECS)
    def test_the_real_tool_finds_a_flaw(self, codec: Codec, tool: str) -> None:
        need(tool)
        content = bytearray(whole(codec, [b"one" * 100, b"two" * 100]))
        content[len(content) // 2] ^= 1
        assert subprocess.run([tool, "-dc"], input=bytes(content), capture_output=True, check=False).returncode != 0

    def test_one_gzip_member_and_one_xz_stream(self) -> None:
        """What reads the first only, as some do, has it all."""
        contents = [b"one" * 1000, b"two" * 1000]
        unpacker = zlib.decompressobj(wbits=31)
        assert unpacker.decompress(whole(Gzip(), contents)) == b"".join(contents)
        assert unpacker.eof
        assert unpacker.unused_data == b""
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        assert stream.decompress(whole(Xz(), contents)) == b"".join(contents)
        assert stream.eof
        assert stream.unused_data == b""


def artifact(number: int, version: str = "1") -> Artifact:
    name = f"library{number:04}"
    return Artifact(
        filename=f"{name}-{version}.rpm",
        sha256=hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
        size=1,
        kind=ArtifactKind.BINARY,
        name=name,
        version=version,
        architecture="noarch",
    )


class Index:
    """Merges two files of each artifact, and counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.merger = Merger(folder, "test-1", [Gzip()])
        self.asked: list[str] = []
        self.forgotten: list[str] = []

    def fragments(self, one: Artifact) -> tuple[bytes, bytes]:
        self.asked.append(one.name)
        return f"{one.filename} first\n".encode(), f"{one.filename} second\n".encode()

    def write(self, artifacts: Sequence[Artifact], place: str = "target/binary") -> tuple[bytes, bytes]:
        self.asked.clear()
        groups = self.merger.merge(place, artifacts, self.fragments, self.forgotten.extend)
        first, second = (self._file([group[number] for group in groups]) for number in (0, 1))
        return first, second

    def _file(self, pieces: Sequence[Piece]) -> bytes:
        head = self.merger.piece(b"head\n")
        return b"".join(bytes(part) for part in self.merger.whole(0, [head, *pieces]))


ALL = [artifact(number) for number in range(1000)]


def expected(artifacts: Sequence[Artifact], which: str) -> bytes:
    return b"head\n" + "".join(f"{one.filename} {which}\n" for one in artifacts).encode()


class TestMerger:
    def test_all_of_it_in_order(self, tmp_path: Path) -> None:
        first, second = Index(tmp_path).write(ALL)
        assert gzip.decompress(first) == expected(ALL, "first")
        assert gzip.decompress(second) == expected(ALL, "second")

    def test_nothing_is_an_index_too(self, tmp_path: Path) -> None:
        assert gzip.decompress(Index(tmp_path).write([])[0]) == b"head\n"

    def test_one_new_version_asks_for_its_neighbours_only(self, tmp_path: Path) -> None:
        index = Index(tmp_path)
        index.write(ALL)
        assert len(index.asked) == len(ALL)
        changed = [artifact(number, "2" if number == 500 else "1") for number in range(1000)]
        first, _ = index.write(changed)
        assert gzip.decompress(first) == expected(changed, "first")
        assert "library0500" in index.asked
        assert len(index.asked) < 300
        assert index.forgotten == [ALL[500].pool_path]
        index.write(changed)
        assert index.asked == []

    def test_what_was_kept_makes_no_difference(self, tmp_path: Path) -> None:
        chance = random.Random(4)
        kept = Index(tmp_path / "kept")
        there = list(ALL)
        for turn in range(20):
            there.pop(chance.randrange(len(there)))
            number = chance.randrange(len(there))
            there[number] = artifact(int(there[number].name[-4:]), f"1.{turn}")
            right = Index(tmp_path / f"new{turn}").write(there)
            assert kept.write(there) == right
            assert Index(tmp_path / "kept").write(there) == right

    def test_what_is_in_memory_is_not_read_again(self, tmp_path: Path) -> None:
        index = Index(tmp_path)
        right = index.write(ALL)
        for path in tmp_path.rglob("*"):
            if path.is_file():
                path.unlink()
        assert index.write(ALL) == right
        assert index.asked == []
        assert Index(tmp_path).write(ALL) == right

    def test_damage_of_any_byte_is_found_out(self, tmp_path: Path) -> None:
        few = ALL[:20]
        right = Index(tmp_path).write(few)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        chance = random.Random(4)
        for _ in range(100):
            path = chance.choice(files)
            content = bytearray(path.read_bytes())
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            path.write_bytes(content)
            index = Index(tmp_path)
            assert index.write(few) == right
            assert index.asked != []

    def test_groups_of_another_index_are_left_alone(self, tmp_path: Path) -> None:
        index = Index(tmp_path)
        index.write(ALL[:100], "one/binary")
        index.write(ALL[100:200], "other/binary")
        for one in (index, Index(tmp_path)):
            one.write(ALL[:100], "one/binary")
            assert one.asked == []

    def test_what_a_killed_writer_left_goes_with_the_next_change(self, tmp_path: Path) -> None:
        index = Index(tmp_path)
        index.write(ALL[:10])
        folder = next(path for path in tmp_path.rglob("*") if path.is_file()).parent
        (folder / "tmpx").write_bytes(b"half")
        index.write(ALL[:11])
        assert [path.name for path in folder.iterdir() if path.name.startswith("tmp")] == []
