"""Two builds of the same, file by file: identical, or what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from conveyor.errors import SourceInvalid
from conveyor.model.contents import Contents
from conveyor.ports import Describer

# What is told of one file: whoever wants more takes diffoscope.
MAX_DIFFERENCES = 50
MAX_VALUE = 300
CHUNK = 1 << 20


class Likeness(StrEnum):
    """How a file of a build compares with that of another."""

    IDENTICAL = "identical"
    DIFFERS = "differs"
    MISSING = "missing"  # the other build did not make it
    NEW = "new"  # the other build made it in addition
    RECORD = "record"  # it tells of its build, and so is never the same
    SKIPPED = "skipped"  # there is nothing to compare it with


class Part(StrEnum):
    """Where in a package a difference is."""

    FIELD = "field"  # the control data or header
    MEMBER = "member"  # a file, link or folder in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differs.

    Attributes:
        part: where.
        name: the field's name, or the member's path.
        recorded: what the published package has; None where it has nothing.
        rebuilt: what the rebuilt one has; None likewise.
    """

    part: Part
    name: str
    recorded: str | None
    rebuilt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One file of a build, compared.

    Attributes:
        filename: its name.
        likeness: how it compares.
        offset: the first byte that differs, counted from where signatures end; None where none does.
        differences: what differs inside, as far as that is told.
        left_out: how many further differences there are.
        details: what diffoscope says; empty where it was not asked.
    """

    filename: str
    likeness: Likeness
    offset: int | None = None
    differences: tuple[Difference, ...] = ()
    left_out: int = 0
    details: str = ""


def compare(describer: Describer, recorded: Path, rebuilt: Path) -> Comparison:
    """Compare two files of one name, signatures left out.

    Raises:
        SourceInvalid: one is not what its name says.
    """
    offset = first_difference(recorded, rebuilt, describer.content_start(recorded), describer.content_start(rebuilt))
    if offset is None:
        return Comparison(filename=rebuilt.name, likeness=Likeness.IDENTICAL)
    found = tuple(_inside(describer, recorded, rebuilt))
    return Comparison(
        filename=rebuilt.name,
        likeness=Likeness.DIFFERS,
        offset=offset,
        differences=found[:MAX_DIFFERENCES],
        left_out=max(0, len(found) - MAX_DIFFERENCES),
    )


def first_difference(left: Path, right: Path, left_start: int = 0, right_start: int = 0) -> int | None:
    """How many bytes after these starts two files are the same; None where they are to their ends."""
    with left.open("rb") as one, right.open("rb") as other:
        one.seek(left_start)
        other.seek(right_start)
        return _first_difference(one, other)


def _first_difference(one: BinaryIO, other: BinaryIO) -> int | None:
    passed = 0
    while True:
        chunk, twin = one.read(CHUNK), other.read(CHUNK)
        if chunk != twin:
            same = (number for number, pair in enumerate(zip(chunk, twin, strict=False)) if pair[0] != pair[1])
            return passed + next(same, min(len(chunk), len(twin)))
        if not chunk:
            return None
        passed += len(chunk)


def _inside(describer: Describer, recorded: Path, rebuilt: Path) -> Iterator[Difference]:
    left, right = describer.contents(recorded), describer.contents(rebuilt)
    if left is None or right is None:
        return
    yield from _between(Part.FIELD, left.fields, right.fields)
    yield from _between(Part.MEMBER, _told(left), _told(right))


def _told(contents: Contents) -> dict[str, str]:
    return {
        path: f"{one.mode} {one.owner} {one.size} bytes, time {one.modified}, {one.content or 'no content'}"
        for path, one in contents.members.items()
    }


def _between(part: Part, recorded: Mapping[str, str], rebuilt: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*recorded, *rebuilt}):
        left, right = recorded.get(name), rebuilt.get(name)
        if left != right:
            yield Difference(part=part, name=name[:MAX_VALUE], recorded=_short(left), rebuilt=_short(right))


def _short(value: str | None) -> str | None:
    return value if value is None or len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}..."


def compare_all(
    describer: Describer, recorded: Mapping[str, Path], rebuilt: Mapping[str, Path]
) -> tuple[Comparison, ...]:
    """Compare the files of two builds, by name.

    A file that cannot be read counts as one that differs.
    """
    return tuple(_one(describer, name, recorded.get(name), rebuilt.get(name)) for name in sorted({*recorded, *rebuilt}))


def _one(describer: Describer, name: str, recorded: Path | None, rebuilt: Path | None) -> Comparison:
    if describer.is_record(name):
        return Comparison(filename=name, likeness=Likeness.RECORD)
    if recorded is None or rebuilt is None:
        return Comparison(filename=name, likeness=Likeness.MISSING if rebuilt is None else Likeness.NEW)
    try:
        return compare(describer, recorded, rebuilt)
    except SourceInvalid as error:
        return Comparison(filename=name, likeness=Likeness.DIFFERS, details=error.summary)
