"""Why something is as it is: the same for people, programs and pages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Subject(StrEnum):
    """What can be asked about."""

    BUILD = "build"
    COMMIT = "commit"
    PACKAGE = "package"
    TARGET = "target"
    POINTER = "pointer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """An answer. Text in it may be upstream's.

    Attributes:
        subject: what kind of thing it is about.
        name: which one: the build's number, the commit's id, the target and pointer as "target/pointer".
        about: what that is, in a few words: "nova 1a2b3c4 for debian-13-amd64"; empty where the name says it.
        state: how it stands, in one or two words: "queued", "failed", "held back".
        summary: why, in one line.
        lines: the reasons one by one.
        log: the lines of a build's log that matter.
        hint: what to do; may be empty.
        because: the answers that this one rests on, such as those of the builds of a commit.
    """

    subject: Subject
    name: str
    about: str = ""
    state: str
    summary: str
    lines: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    hint: str = ""
    because: tuple[Why, ...] = ()
