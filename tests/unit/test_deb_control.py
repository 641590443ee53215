"""Control data of packages that somebody made by hand, to harm."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from conveyor.errors import SourceInvalid
from conveyor.formats.deb.control_member import MAX_CONTROL, MAX_UNPACKED, read_control
from conveyor.formats.deb.describe import DebDescriber
from conveyor.formats.deb.payload import risky_files
from conveyor.formats.deb.stanza import binary_stanza, source_stanza
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.ports import RiskyFiles
from tests.support.published import artifact_of

CONTROL = b"Package: hello\nVersion: 1-1\nArchitecture: all\nDescription: a greeting\n"


def tar_of_all(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as members:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def tar_of(name: str, content: bytes, *, link: bool = False) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as members:
        member = tarfile.TarInfo(name)
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/shadow"
            members.addfile(member)
        else:
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def ar_member(name: str, content: bytes, size: str | None = None) -> bytes:
    written = size if size is not None else str(len(content))
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{written:<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)


def header(name: str, *, kind: bytes = b"0", size: bytes = b"00000000000", mode: bytes = b"0000644") -> bytes:
    """One tar header, as somebody writes it who means no good."""
    fields = {0: name.encode(), 100: mode, 124: size, 156: kind, 257: b"ustar  "}
    block = bytearray(512)
    for start, content in fields.items():
        block[start : start + len(content)] = content
    return bytes(block)


def deb(path: Path, *members: bytes) -> Path:
    path.write_bytes(b"!<arch>\n" + b"".join(members))
    return path


def deb_with(tmp_path: Path, control: bytes) -> Path:
    tar = gzip.compress(tar_of("./control", control))
    return deb(tmp_path / "hello_1-1_all.deb", ar_member("debian-binary", b"2.0\n"), ar_member("control.tar.gz", tar))


def hello(path: Path, *, kind: ArtifactKind = ArtifactKind.BINARY, architecture: str = "all") -> Artifact:
    return artifact_of(path, kind=kind, name="hello", version="1-1", architecture=architecture)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("control.tar", tar_of("control", CONTROL)),
        ("control.tar.gz", gzip.compress(tar_of("./control", CONTROL))),
        ("control.tar.xz", lzma.compress(tar_of("./control", CONTROL))),
        ("control.tar.xz/", lzma.compress(tar_of("./control", CONTROL))),
    ],
)
def test_every_way_of_the_archive_to_compress_it(tmp_path: Path, name: str, content: bytes) -> None:
    path = deb(tmp_path / "x.deb", ar_member("debian-binary", b"2.0\n"), ar_member(name, content))
    assert read_control(path) == CONTROL


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ([], "no control.tar"),
        ([ar_member("debian-binary", b"2.0\n", size="-60")], "no control.tar"),
        ([ar_member("control.tar.gz", b"", size="99999999999"[:10])], "bytes"),
        ([ar_member("control.tar.gz", b"nonsense")], ""),
        ([ar_member("control.tar.xz", b"nonsense")], ""),
        ([ar_member("control.tar.zst", b"nonsense")], "not compressed with gzip or xz"),
        ([ar_member("control.tar", tar_of("./other", b""))], "no control file"),
        ([ar_member("control.tar", tar_of("./control", b"", link=True))], "no control file"),
        ([ar_member("control.tar", tar_of("./control", b"x" * (MAX_CONTROL + 1)))], "bytes"),
        (
            [ar_member("control.tar.xz", lzma.compress(tar_of("./other", bytes(MAX_UNPACKED + 1)), preset=0))],
            "unpacks to more",
        ),
        ([ar_member("control.tar.gz", gzip.compress(tar_of("./other", bytes(MAX_UNPACKED + 1))))], "unpacks to more"),
        ([ar_member(f"x{number}", b"") for number in range(20)], "no control.tar"),
        ([ar_member("control.tar", header("./x", size=b"-0000000512") * 9)], "a number that is none"),
        ([ar_member("control.tar", header("./x", size=b"\xff" * 12) * 9)], "a number that is none"),
        ([ar_member("control.tar", header("././@LongLink", kind=b"L") * 20_000)], "no control file"),
        ([ar_member("control.tar", header("././@LongLink", kind=b"L", size=b"77777777777"))], "bytes"),
        ([ar_member("control.tar", header("./PaxHeaders/x", kind=b"x"))], "a member of type b'x'"),
        ([ar_member("control.tar", header("./control")[:300])], "broken"),
        ([ar_member("control.tar", b"x" * 512)], "broken"),
    ],
)
def test_a_harmful_archive_is_refused(tmp_path: Path, members: list[bytes], cause: str) -> None:
    with pytest.raises(SourceInvalid, match=r"x\.deb is not a Debian package") as raised:
        read_control(deb(tmp_path / "x.deb", *members))
    assert cause in raised.value.cause


def test_what_is_no_ar_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"")
    with pytest.raises(SourceInvalid, match="not a Debian package"):
        read_control(tmp_path / "x.deb")


@pytest.mark.parametrize(
    "control",
    [
        CONTROL + b"\nPackage: bash\nVersion: 999\n",
        CONTROL + b" \nPackage: bash\n",
        CONTROL + b"X: \x00\n",
        CONTROL + b"X: \r\rPackage: bash\n",
        CONTROL + b"X: \xff\n",
        b"",
        b"no field",
        CONTROL.replace(b"hello", b"../hello"),
        CONTROL.replace(b"1-1", b"1-2"),
        CONTROL.replace(b"all", b"amd64"),
    ],
)
def test_harmful_control_data_is_refused(tmp_path: Path, control: bytes) -> None:
    path = deb_with(tmp_path, control)
    with pytest.raises(SourceInvalid, match=r"hello_1-1_all\.deb"):
        binary_stanza(path, hello(path))


def test_a_stanza_keeps_the_order_and_adds_where_it_is(tmp_path: Path) -> None:
    path = deb_with(tmp_path, CONTROL)
    artifact = hello(path)
    assert binary_stanza(path, artifact) == (
        f"{CONTROL.decode()}Filename: pool/{artifact.pool_path}\nSize: {artifact.size}\nSHA256: {artifact.sha256}\n"
    )


DSC = """\
Format: 3.0 (native)
Source: hello
Binary: hello
Version: 1-1
Files:
 {md5} 10 hello_1-1.tar.xz
Checksums-Sha256:
 {sha256} 10 hello_1-1.tar.xz
"""


def dsc_at(tmp_path: Path, text: str) -> tuple[Path, Artifact]:
    path = tmp_path / "hello_1-1.dsc"
    path.write_text(text)
    return path, hello(path, kind=ArtifactKind.SOURCE, architecture="source")


@pytest.mark.parametrize("signed", [False, True])
def test_a_source_stanza_lists_the_dsc_too(tmp_path: Path, signed: bool) -> None:
    text = DSC.format(md5="a" * 32, sha256="b" * 64)
    if signed:
        text = (
            f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}\n"
            "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
        )
    path, artifact = dsc_at(tmp_path, text)
    stanza = source_stanza(path, artifact)
    assert stanza.startswith("Package: hello\nFormat: 3.0 (native)\n")
    assert f"Directory: pool/{artifact.sha256[:2]}/{artifact.sha256}\n" in stanza
    assert f" {artifact.sha256} {artifact.size} hello_1-1.dsc\n {'b' * 64} 10 hello_1-1.tar.xz\n" in stanza


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Source: hello\nVersion: 1-1\n",
        DSC.format(md5="a" * 32, sha256="b" * 63),
        DSC.format(md5="a" * 32, sha256="b" * 64).replace(" hello_1-1.tar.xz", " ../x"),
        DSC.format(md5="a" * 32, sha256="b" * 64).replace("Source: hello", "Source: bash"),
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSource: hello\n",
        "Source: hello\n" + "X: y\n" * (1 << 18),
    ],
)
def test_a_harmful_dsc_is_refused(tmp_path: Path, text: str) -> None:
    path, artifact = dsc_at(tmp_path, text)
    with pytest.raises(SourceInvalid, match=r"hello_1-1\.dsc"):
        source_stanza(path, artifact)


def deb_of(path: Path, data: bytes, name: str = "data.tar") -> Path:
    return deb(
        path,
        ar_member("debian-binary", b"2.0\n"),
        ar_member("control.tar", tar_of("control", CONTROL)),
        ar_member(name, data),
    )


def test_files_that_give_rights_are_listed(tmp_path: Path) -> None:
    long = b"./usr/bin/" + b"x" * 200
    data = (
        header("./usr/bin/su", mode=b"0004755", size=b"00000000003")
        + b"abc".ljust(512, b"\0")
        + header("./usr/bin/plain")
        + header("./var/mail", kind=b"5", mode=b"0002775")
        + header("./dev/sda", kind=b"4")
        + header("./dev/null", kind=b"3")
        + header("././@LongLink", kind=b"L", size=b"%011o" % len(long))
        + long.ljust(512, b"\0")
        + header("./usr/bin/xxx", mode=b"0002755")
        + bytes(1024)
    )
    found = risky_files(deb_of(tmp_path / "x.deb", data))
    assert found == RiskyFiles(privileged=("./usr/bin/su", long.decode()), devices=("./dev/sda", "./dev/null"))


def test_what_is_too_large_or_compressed_otherwise_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conveyor.formats.deb.payload.MAX_UNPACKED", 3 << 19)
    large = header("./usr/bin/su", mode=b"0004755") + tar_of("./x", bytes(3 << 20)) + header("./y", mode=b"0004755")
    assert risky_files(deb_of(tmp_path / "x.deb", lzma.compress(large), "data.tar.xz")) == RiskyFiles(
        privileged=("./usr/bin/su",), complete=False
    )
    assert risky_files(deb_of(tmp_path / "x.deb", b"", "data.tar.zst")) == RiskyFiles(complete=False)


@pytest.mark.parametrize("data", [b"x" * 512, header("./x", kind=b"g"), b"\xfd7zXZ"])
def test_a_broken_payload_is_refused(tmp_path: Path, data: bytes) -> None:
    name = "data.tar.xz" if data.startswith(b"\xfd") else "data.tar"
    content = data + b"nonsense" if name.endswith("xz") else data
    with pytest.raises(SourceInvalid, match="not a Debian package"):
        risky_files(deb_of(tmp_path / "x.deb", content, name))


SHLIBS = b"libhello 2 libhello2 (>= 1.1)\nudeb: libhello 2 libhello2-udeb\n# a comment\n\nodd\n"
SYMBOLS = b"""libhello.so.2 libhello2 #MINVER#
* Build-Depends-Package: libhello-dev
| libhello2 #MINVER#, libold
 hello@Base 1.0
 hello_loud@HELLO_2 1.1
libother.so.1 libhello2 #MINVER#
 hello@Base 1.0
"""


def test_what_others_link_to(tmp_path: Path) -> None:
    control = CONTROL + b"Provides: hello-abi-1, hello-compat (= 2)\n"
    tar = tar_of_all({"./control": control, "./shlibs": SHLIBS, "./symbols": SYMBOLS})
    path = deb(tmp_path / "x.deb", ar_member("debian-binary", b"2.0\n"), ar_member("control.tar", tar))
    assert set(DebDescriber().abi(path)) == {
        "hello",
        "hello-abi-1",
        "hello-compat",
        "libhello.so.2",
        "libhello.so.2:hello@Base",
        "libhello.so.2:hello_loud@HELLO_2",
        "libother.so.1:hello@Base",
    }


@pytest.mark.parametrize("garbage", [b"\xff\xfe", b" lonely\n", b"\n\n \n", b": x\n", bytes(range(256))])
def test_garbage_in_its_library_files_is_read_as_text(tmp_path: Path, garbage: bytes) -> None:
    tar = tar_of_all({"./control": CONTROL, "./shlibs": garbage, "./symbols": garbage})
    path = deb(tmp_path / "x.deb", ar_member("debian-binary", b"2.0\n"), ar_member("control.tar", tar))
    assert "hello" in DebDescriber().abi(path)
