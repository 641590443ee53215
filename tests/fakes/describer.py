"""The port Describer for the packages of the fake toolchain: lines of words, such as "depends NAME"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conveyor.model.contents import Contents, Member, PackageFacts
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import Format, Target
from tests.fakes.toolchain import SUFFIX, steps

RECORD = "record"
SIGNED = b"signed"


class FakeDescriber:
    """See `conveyor.ports.Describer`. A first line that begins with "signed" is a signature."""

    format = Format.DEB
    tool = "python3"

    def purl(self, package: InstalledPackage, target: Target) -> str:
        return f"pkg:fake/{target.naming}/{package.name}@{package.version}?arch={package.architecture}"

    def is_record(self, filename: str) -> bool:
        return filename == RECORD

    def buildroot(self, files: Sequence[Path]) -> tuple[InstalledPackage, ...] | None:
        found = [path for path in files if path.name == RECORD]
        if not found:
            return None
        return (InstalledPackage(name=found[0].read_text().strip(), version="1", architecture="all"),)

    def facts(self, path: Path) -> PackageFacts:
        said = dict(steps(path.read_bytes()))
        return PackageFacts(
            summary=said.get("summary", ""),
            licence=said.get("licence", ""),
            homepage=said.get("homepage", ""),
            requires=tuple(rest for word, rest in steps(path.read_bytes()) if word == "depends"),
        )

    def abi(self, path: Path) -> tuple[str, ...]:
        said = [rest for word, rest in steps(path.read_bytes()) if word == "abi"]
        return tuple(sorted({path.name.partition("_")[0], *said}))

    def content_start(self, path: Path) -> int:
        content = path.read_bytes()
        return content.index(b"\n") + 1 if content.startswith(SIGNED) else 0

    def contents(self, path: Path) -> Contents | None:
        if path.suffix != SUFFIX:
            return None
        content = path.read_bytes()[self.content_start(path) :]
        member = Member(mode="-rw-r--r--", owner="root:root", size=len(content), modified=0, content=content.hex())
        return Contents(fields={"first": content.decode().partition("\n")[0]}, members={"/content": member})
