"""What `conveyor doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that a format needs on the host.

    Attributes:
        name: the program.
        package: the Debian package that has it.
    """

    name: str
    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what it is about.
        good: whether a build can go on.
        detail: what was found.
        remedy: the command or change that mends it; empty where nothing is wrong.
    """

    subject: str
    good: bool
    detail: str
    remedy: str = ""
