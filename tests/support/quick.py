"""A builder that makes real, small debs in no root at all, in milliseconds: for tests of what is around builds.

What a build does says the file `behaviour` of the upstream's commit, a word and its argument on each line:

    sleep SECONDS   it takes so long
    until FILE      it takes until the data directory has such a file
    fail            the build fails: the package's fault
    error           it errors: nobody knows why
    error-until N   it errors in the first attempts: as long as the data directory has less than N files `tried-*`
    error-once NAME it errors the first time that any build is told this name
    die             the process is killed
    die-once NAME   it is killed the first time that any build is told this name
    need FILE       it errors while the data directory has no such file: a mirror that is gone
    binary NAME     its package is called so
    large MIB       its package is that large
    provides NAMES  its package provides this: several names are separated by commas

The root holds, of what the packaging build-depends on, what the trunk has; what begins with "trunk-" has to be there.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import signal
import tarfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from conveyor.config import Repos, Settings
from conveyor.errors import BuildDependencyMissing, BuildFailed, MirrorUnreachable
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import BuilderKind, Target
from conveyor.ports import BuildPlan, PreparedRoot, Progress, SourcePlan, Trunk
from conveyor.wiring import Conveyor, open_conveyor
from conveyor.wiring.builders import Builders, make_builders
from tests.support.site import wait_for

PACKAGES = (InstalledPackage(name="base-files", version="1", architecture="amd64"),)
CONTROL = """\
Package: {name}
Version: {version}
Architecture: all
Maintainer: Ada <ada@example.org>
{provides}Section: misc
Priority: optional
Description: A greeting
 Says hello.
"""
DSC = """\
Format: 3.0 (quilt)
Source: {name}
Binary: {name}
Architecture: all
Version: {version}
Maintainer: Ada <ada@example.org>
Standards-Version: 4.6.2
Build-Depends: {needs}
Checksums-Sha256:
{checksums}
Files:
{files}
"""


class QuickBuilder:
    """See `conveyor.ports.Builder`.

    Args:
        data: the data directory, where attempts are counted.
    """

    def __init__(self, data: Path) -> None:
        self._data = data

    def bootstrap(self, target: Target, log: Path) -> None:
        del target, log

    def make_source(
        self, target: Target, plan: SourcePlan, archive: Path, results: Path, log: Path
    ) -> tuple[Path, ...]:
        del target, log
        changelog = next(file.content.decode() for file in plan.files if file.path == "debian/changelog")
        name, version = re.match(r"(\S+) \((\S+)\)", changelog).groups()  # type: ignore[union-attr]
        original = results / plan.archive
        original.write_bytes(archive.read_bytes())
        packaging = results / f"{name}_{version}.debian.tar.xz"
        packaging.write_bytes(_tar({file.path: file.content for file in plan.files}, "xz"))
        made = [original, packaging]
        checksums = "\n".join(
            f" {hashlib.sha256(p.read_bytes()).hexdigest()} {p.stat().st_size} {p.name}" for p in made
        )
        files = "\n".join(f" {hashlib.md5(p.read_bytes()).hexdigest()} {p.stat().st_size} {p.name}" for p in made)
        dsc = results / f"{name}_{version}.dsc"
        control = next(file.content.decode() for file in plan.files if file.path == "debian/control")
        needs = re.search(r"^Build-Depends: (.*)$", control, re.MULTILINE)
        listed = needs[1] if needs else "base-files"
        dsc.write_text(DSC.format(name=name, version=version, needs=listed, checksums=checksums, files=files))
        return tuple(sorted([dsc, *made]))

    def prepare(self, target: Target, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> PreparedRoot:
        del log
        made = {artifact.name: artifact.version for artifact in (trunk.binaries if trunk else ())}
        missing = [name for name in requirements if name.startswith("trunk-") and name not in made]
        if missing:
            raise BuildDependencyMissing(f"a dependency cannot be satisfied on {target.name}", cause=missing[0])
        installed = (
            InstalledPackage(name=name, version=made[name], architecture="all") for name in requirements if name in made
        )
        return PreparedRoot(target=target, packages=(*PACKAGES, *installed))

    def build(
        self, root: PreparedRoot, plan: BuildPlan, source: Sequence[Path], results: Path, log: Path, keep: Path | None
    ) -> tuple[Path, ...]:
        del root, plan, keep
        dsc = next(path for path in source if path.suffix == ".dsc")
        name, version = dsc.stem.split("_", 1)
        with log.open("a") as file:
            file.write(f"building {name} {version}\n")
        told = {"binary": name, "large": "0", "provides": ""}
        with tarfile.open(next(path for path in source if ".orig." in path.name)) as archive:
            for member in archive:
                if member.name.endswith("/behaviour"):
                    for line in archive.extractfile(member).read().decode().splitlines():  # type: ignore[union-attr]
                        word, *arguments = line.split()
                        if word in told:
                            told[word] = arguments[0]
                        else:
                            self._behave(word, *arguments)
        deb = results / f"{told['binary']}_{version}_all.deb"
        deb.write_bytes(_deb(told["binary"], version, int(told["large"]), told["provides"]))
        return (deb,)

    def check_install(
        self, target: Target, packages: Sequence[Path], requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> None:
        del target, packages, requirements, trunk, log

    def shell(self, target: Target, keep: Path, argv: Sequence[str]) -> int:
        del target, keep, argv
        return 0

    def _behave(self, word: str, argument: str = "") -> None:  # noqa: C901, PLR0912 - a row for each word
        match word:
            case "sleep":
                time.sleep(float(argument))
            case "until":
                wait_for((self._data / argument).exists, argument)
            case "fail":
                raise BuildFailed("the build failed with code 1", cause="it was told to")
            case "error":
                raise MirrorUnreachable("the mirror does not answer")
            case "error-until":
                tried = len(list(self._data.glob("tried-*")))
                (self._data / f"tried-{tried}").touch()
                if tried < int(argument):
                    raise MirrorUnreachable("the mirror does not answer")
            case "error-once":
                if self._is_new(argument):
                    raise MirrorUnreachable("the mirror does not answer")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "die-once":
                if self._is_new(argument):
                    os.kill(os.getpid(), signal.SIGKILL)
            case "need":
                if not (self._data / argument).exists():
                    raise MirrorUnreachable("the mirror does not answer")
            case _:
                raise AssertionError(word)

    def _is_new(self, name: str) -> bool:
        """Whether a build is told this name for the first time."""
        told = self._data / f"told-{name}"
        if told.exists():
            return False
        told.touch()
        return True


def make_quick_builders(settings: Settings, repos: Repos) -> Builders:
    """The builders of a site, but quick."""
    quick = QuickBuilder(settings.data_dir)
    return replace(make_builders(settings, repos), by_kind=dict.fromkeys(BuilderKind, quick))


def open_quick(
    settings: Settings, repos: Repos, progress: Progress, stages_only: Callable[[], AbstractContextManager[None]]
) -> Conveyor:
    """What a worker works with."""
    opened: Callable[..., Conveyor] = partial(open_conveyor, builders=make_quick_builders)
    return opened(settings, repos, progress, stages_only=stages_only)


def _listed(paths: Sequence[Path], algorithm: str) -> str:
    contents = {path.name: path.read_bytes() for path in paths}
    return "\n".join(
        f" {hashlib.new(algorithm, made).hexdigest()} {len(made)} {name}" for name, made in contents.items()
    )


def _deb(name: str, version: str, mebibytes: int, provides: str) -> bytes:
    field = f"Provides: {provides}\n" if provides else ""
    control = _tar({"./control": CONTROL.format(name=name, version=version, provides=field).encode()}, "gz")
    ballast = {f"./usr/share/{name}/ballast": os.urandom(mebibytes * 2**20)} if mebibytes else {}
    data = _tar({f"./usr/share/{name}/greeting": version.encode(), **ballast}, "gz")
    members = {"debian-binary": b"2.0\n", "control.tar.gz": control, "data.tar.gz": data}
    return b"!<arch>\n" + b"".join(_member(path, content) for path, content in members.items())


def _member(path: str, content: bytes) -> bytes:
    header = f"{path:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)


def _tar(files: dict[str, bytes], compression: str) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w:xz" if compression == "xz" else "w:") as archive:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return plain.getvalue() if compression == "xz" else gzip.compress(plain.getvalue(), mtime=0)
