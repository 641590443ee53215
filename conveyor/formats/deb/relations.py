"""Relations between Debian packages, as control files have them (Policy, chapter 7)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from debian.deb822 import Deb822

from conveyor.model.packaging import PackagingFile
from conveyor.model.queue import Relations

CONTROL = "debian/control"
BUILD_FIELDS = ("Build-Depends", "Build-Depends-Indep", "Build-Depends-Arch")
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*", re.IGNORECASE)


def split_relations(field: str) -> tuple[str, ...]:
    """The relations of a dependency field, each in one line (Policy 7.1)."""
    return tuple(text for part in field.split(",") if (text := " ".join(part.split())))


def names_of(relation: str) -> Iterator[str]:
    """The package names in a relation: one for each alternative."""
    for alternative in relation.split("|"):
        if match := NAME.match(alternative.strip()):
            yield match[0]


def declared(files: Sequence[PackagingFile]) -> Relations:
    """What debian/control declares. Substitution variables are left out: what they stand for, only a build knows."""
    content = next((file.content for file in files if file.path == CONTROL), b"")
    requires: set[str] = set()
    provides: set[str] = set()
    # Lines end where a control file's do: not at each character that Unicode knows for it.
    lines = content.decode("utf-8", "replace").split("\n")
    for stanza in Deb822.iter_paragraphs(lines, use_apt_pkg=False):
        requires.update(name for field in BUILD_FIELDS for name in _names(stanza, field))
        provides.update(name for field in ("Package", "Provides") for name in _names(stanza, field))
    return Relations(
        requires=tuple(sorted(requires)),
        provides=tuple(sorted(provides)),
        fingerprint=hashlib.sha256(content).hexdigest(),
    )


def _names(stanza: Deb822, field: str) -> Iterator[str]:
    for relation in split_relations(str(stanza.get(field, ""))):
        yield from names_of(relation)
