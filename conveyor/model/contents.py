"""What is in a package file, as far as people and comparisons want to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """What a binary package says of itself. All of it may be upstream's text: hostile, never trusted.

    Attributes:
        summary: one line.
        licence: as the package has it; empty where its format has no field for it.
        homepage: the upstream's address; may be empty.
        requires: what it needs of others, in the format's words, sorted.
    """

    summary: str
    licence: str
    homepage: str
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file, link, folder or node in a package.

    Attributes:
        mode: type and permissions, as ls(1) shows them.
        owner: "user:group", by name where the package has names.
        size: bytes of its content.
        modified: seconds since the epoch.
        content: hex sha256 of its content, or what a link points at; empty where it has none.
    """

    mode: str
    owner: str
    size: int
    modified: int
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that is in a package.

    Attributes:
        fields: the control data or header, by the field's name; signatures are left out.
        members: by path; maintainer scripts and the like begin with "control:".
        complete: False where the package is too large, or packed in a way that is not read.
    """

    fields: Mapping[str, str]
    members: Mapping[str, Member]
    complete: bool = True
