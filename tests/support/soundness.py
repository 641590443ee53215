"""What a client of a published tree may rely on, looked at file by file: everything named is there, and is what it was
said to be."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from debian.deb822 import Deb822

from conveyor.model.promotion import LEDGER_HEAD
from conveyor.repository.pointers import RECENT
from conveyor.repository.redating import FOLDER
from tests.support.keys import gpgv

SPACE = {
    "repo": "http://linux.duke.edu/metadata/repo",
    "common": "http://linux.duke.edu/metadata/common",
}


def problems(repos: Path) -> list[str]:
    """All that is wrong with a tree, as a client may see it at any moment."""
    repos = repos.resolve()
    targets = [path for path in sorted(repos.iterdir()) if path.is_dir()] if repos.is_dir() else []
    return [f"{target.name}: {each}" for target in targets for each in _of_target(target)]


def left_over(data: Path) -> list[str]:
    """Temporary names below a data directory."""
    marks = (".tmp", "tmp", ".new", ".gone")
    return [
        f"left over: {path.relative_to(data)}"
        for path in sorted(data.rglob("*"))
        if path.name.startswith(marks) or path.name.endswith((".new", ".tmp", "~"))
    ]


def not_signed(repos: Path, key: bytes, scratch: Path) -> list[str]:
    """The entry files of all snapshots whose signatures gpgv does not take."""
    signed = [
        *((path,) for path in repos.glob("*/??/??/*/dists/*/InRelease")),
        *((path, path.with_suffix("")) for path in repos.glob("*/??/??/*/dists/*/Release.gpg")),
        *((path, path.with_suffix("")) for path in repos.glob("*/??/??/*/repodata/repomd.xml.asc")),
    ]
    snapshots = len(list(repos.glob("*/??/??/*_*")))
    few = [] if len(signed) >= snapshots else [f"{len(signed)} signatures of {snapshots} snapshots"]
    return few + [f"{files[0]} is not signed" for files in signed if gpgv(key, scratch, *files).returncode != 0]


def content_of(folder: Path) -> dict[str, str]:
    """What each file and symlink of a tree is, by its path.

    Less what a fault and its repair rightly change: how often pointers were moved (the ledger's head, the list of the
    last moves, the metadata of other snapshots that is kept readable below one, what stands in for a snapshot below a
    pointer that moved back), and which attempt made a build.
    """
    return {
        str(path.relative_to(folder)): f"-> {path.readlink().name}" if path.is_symlink() else sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and not _tells_of_events(path)
    }


def _tells_of_events(path: Path) -> bool:
    if FOLDER in path.parts or path.is_symlink():
        return FOLDER in path.parts
    if path.name in {LEDGER_HEAD, RECENT} or path.name.endswith(".intoto.json"):
        return True
    if path.parent.name == "repodata" and not path.name.startswith("repomd.xml"):
        return path.name not in (path.parent / "repomd.xml").read_text()
    if "by-hash" in path.parts:
        suite = next(folder for folder in path.parents if (folder / "Release").is_file())
        return path.name not in (suite / "Release").read_text()
    return False


def touched(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, number of links and time of change of everything: nothing can be written without changing these."""
    return {
        str(path.relative_to(folder)): (found.st_ino, found.st_nlink, found.st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        for found in [path.lstat()]
    }


def sha256_of(path: Path) -> str:
    """A file's checksum."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_target(target: Path) -> Iterator[str]:
    snapshots = {path.name: path for path in target.glob("??/??/*_*") if path.is_dir()}
    stand_ins = {f"{path.name} of {path.parent.name}": path for path in target.glob(f"{FOLDER}/*/*")}
    for path in sorted(target.iterdir()):
        if path.is_symlink() and path.resolve() not in {*snapshots.values(), *stand_ins.values()}:
            yield f"{path.name} points at {path.readlink()}, which is no snapshot"
    for commit, folder in sorted({**snapshots, **stand_ins}.items()):
        yield from (f"{commit[:7]}: {each}" for each in _of_snapshot(folder))
    for path in sorted(target.glob("pool/??/*/*")):
        if not path.exists():
            yield f"{path.name} in the pool leads nowhere"
        elif not path.is_symlink() and sha256_of(path) != path.parent.name:
            yield f"{path.name} in the pool is not what its name says"


def _of_snapshot(folder: Path) -> Iterator[str]:
    try:
        for artifact in _listed(json.loads((folder / "manifest.json").read_text())):
            yield from _differs(folder / artifact["path"], artifact["sha256"], artifact["size"])
        if (folder / "repodata").is_dir():
            yield from _of_rpm(folder)
        else:
            yield from _of_deb(folder)
    except (OSError, ValueError, KeyError, ET.ParseError, StopIteration) as error:
        yield f"cannot be read: {error!r}"


def _listed(document: object) -> Iterator[dict[str, Any]]:
    """The artifacts of a manifest: all that has a path and a checksum, wherever it stands."""
    if isinstance(document, dict) and {"path", "sha256", "size"} <= document.keys():
        yield document
    elif isinstance(document, (dict, list)):
        for each in document.values() if isinstance(document, dict) else document:
            yield from _listed(each)


def _differs(path: Path, sha256: str, size: int) -> Iterator[str]:
    if not path.is_file():
        yield f"{path.name} is missing"
    elif path.stat().st_size != size or sha256_of(path) != sha256:
        yield f"{path.name} is not what was said"


def _of_rpm(folder: Path) -> Iterator[str]:
    if not (folder / "mirrorlist").read_text().endswith(f"/{folder.name}/\n"):
        yield "its mirror list leads elsewhere"
    root = ET.parse(folder / "repodata/repomd.xml").getroot()
    kinds = set()
    for data in root.findall("repo:data", SPACE):
        kinds.add(data.attrib["type"])
        path = folder / _found(data, "repo:location").attrib["href"]
        yield from _differs(path, _text(data, "repo:checksum"), int(_text(data, "repo:size")))
        content = unpacked(path)
        if hashlib.sha256(content).hexdigest() != _text(data, "repo:open-checksum"):
            yield f"{path.name} unpacks to something else"
        if data.attrib["type"] == "primary":
            yield from _of_primary(folder, content)
    if not kinds >= {"primary", "filelists", "other"}:
        yield f"repomd.xml has {sorted(kinds)} only"


def _of_primary(folder: Path, content: bytes) -> Iterator[str]:
    root = ET.fromstring(content)
    packages = root.findall("common:package", SPACE)
    if int(root.attrib["packages"]) != len(packages):
        yield "primary has another number of packages than it says"
    for package in packages:
        path = folder / _found(package, "common:location").attrib["href"]
        size = int(_found(package, "common:size").attrib["package"])
        yield from _differs(path, _text(package, "common:checksum"), size)


def _found(element: ET.Element, name: str) -> ET.Element:
    return next(element.iterfind(name, SPACE))


def _text(element: ET.Element, name: str) -> str:
    return _found(element, name).text or ""


def unpacked(path: Path) -> bytes:
    """The content of a file that may be compressed."""
    match path.suffix:
        case ".gz":
            return gzip.decompress(path.read_bytes())
        case ".xz":
            return lzma.decompress(path.read_bytes())
        case ".zst":
            return subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
        case _:
            return path.read_bytes()


def _of_deb(folder: Path) -> Iterator[str]:
    for suite in sorted((folder / "dists").iterdir()):
        release = Deb822((suite / "Release").read_text())
        listed = [line.split() for line in release["SHA256"].splitlines() if line.strip()]
        for sha256, size, name in listed:
            by_hash = (suite / name).parent / "by-hash/SHA256" / sha256
            yield from _differs(by_hash, sha256, int(size))
            if (suite / name).exists():
                yield from _differs(suite / name, sha256, int(size))
            yield from _of_index(folder, name, unpacked_as(by_hash, name))


def unpacked_as(path: Path, name: str) -> bytes:
    """The content of a file that is compressed as another name says."""
    content = path.read_bytes()
    match Path(name).suffix:
        case ".gz":
            return gzip.decompress(content)
        case ".xz":
            return lzma.decompress(content)
        case _:
            return content


def _of_index(folder: Path, name: str, content: bytes) -> Iterator[str]:
    kind = name.rpartition("/")[2].partition(".")[0]
    for stanza in Deb822.iter_paragraphs(content, use_apt_pkg=False) if kind in {"Packages", "Sources"} else ():
        if kind == "Packages":
            yield from _differs(folder / stanza["Filename"], stanza["SHA256"], int(stanza["Size"]))
        else:
            for line in filter(None, stanza["Checksums-Sha256"].splitlines()):
                sha256, size, filename = line.split()
                yield from _differs(folder / stanza["Directory"] / filename, sha256, int(size))
