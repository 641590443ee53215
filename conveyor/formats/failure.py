"""Finding the lines of a log that matter: shared by the formats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

CONTEXT = 6
LAST_LINES = 12
LISTED_LINES = 3
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
# pytest puts this before each line of the exception that ended a test.
PYTEST_MARK = re.compile(r"^E\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What a compiler, interpreter or build system says when something is wrong.

    Attributes:
        pattern: how such a line looks.
        last: take the last such line, as of exceptions one may be logged, or be the cause of another; of a compiler's
            errors the first one brings about the others.
    """

    pattern: re.Pattern[str]
    last: bool = False


# The most telling first.
SIGNS = (
    Sign(pattern=re.compile(r"^(?:E\s+|\s*)(?:ModuleNotFoundError|ImportError): "), last=True),
    Sign(pattern=re.compile(r"^(?:E\s+|\s*)[A-Za-z_][\w.]*(?:Error|Exception): (?!.*Command '\[)"), last=True),
    Sign(pattern=re.compile(r"^\S+:\d+(?::\d+)?: (?:fatal )?error: ")),
    Sign(pattern=re.compile(r": undefined reference to ")),
    Sign(pattern=re.compile(r"^\d+ out of \d+ hunks? FAILED|^can't find file to patch")),
    Sign(pattern=re.compile(r"^\S+:\d+: \*\*\* ")),
    Sign(pattern=re.compile(r"^dpkg-\w+: warning: \S*debian/\w+\(l\d+\): ")),
    Sign(pattern=re.compile(r"^E\s{2,}\S")),
    Sign(pattern=re.compile(r"^(?:ERROR|error|fatal)[: ](?!\s*Bad exit status from )")),
    Sign(
        pattern=re.compile(r"^(?!\+ )\S+: (?:line )?(?:\d+: )?.*(?:[Nn]ot found|No such file or directory|denied)$"),
    ),
    Sign(pattern=re.compile(r"^(?!\+ )\S+: .*(?:[Cc]annot|[Cc]an't) \S")),
    Sign(pattern=re.compile(r"^make(?:\[\d+\])?: \*\*\* ")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a format's own tools write around the output of what they run.

    Attributes:
        final: what is said at the end, the most telling first; the first group is the failing step.
        beginning: what is said when a command begins: what the ones before it wrote is none of its failure.
        command: how a command is told before it runs, itself as the first group; None where it is not.
    """

    final: tuple[re.Pattern[str], ...]
    beginning: re.Pattern[str] | None = None
    command: re.Pattern[str] | None = None


def clean(line: str) -> str:
    """A line without colours and control characters."""
    return CONTROL.sub("", line).rstrip()


def telling_lines(log: Sequence[str], marks: Marks) -> tuple[str, tuple[str, ...]]:
    """The failure in one line, and the lines around it.

    Args:
        log: the failed stage's log.
        marks: what the format's own tools write.
    """
    lines = [clean(line) for line in log]
    failing = _final(lines, marks.final)
    end = len(lines) if failing is None else failing + 1
    start = _last(lines[:end], marks.beginning) or 0
    told = _sign(lines, start, end)
    at = failing if told is None else told
    if at is None:
        last = [line for line in lines if line][-LAST_LINES:]
        return (last[-1] if last else "no output", tuple(last))
    summary = _summary(lines, at, start, marks, told=told is not None)
    if failing is not None and failing != at:
        summary = f"{summary} (in: {_group(lines[failing], marks.final)})"
    context = lines[max(0, at - CONTEXT) : at + CONTEXT // 2 + 1]
    return summary, tuple(line for line in context if line)


def with_list(lines: Sequence[str], at: int) -> str:
    """A line in full: one that ends with a colon goes on with the indented lines below it."""
    line = PYTEST_MARK.sub("", lines[at]).strip()
    if not line.endswith(":"):
        return line
    below = []
    for other in lines[at + 1 :]:
        if not other.startswith((" ", "\t")):
            break
        below.append(other.strip())
    more = ", …" if len(below) > LISTED_LINES else ""
    return f"{line} {', '.join(below[:LISTED_LINES])}{more}".strip()


def _summary(lines: Sequence[str], at: int, start: int, marks: Marks, *, told: bool) -> str:
    command = marks.command.match(lines[start]) if marks.command is not None and not told else None
    step = _group(lines[at], marks.final) if command is not None else ""
    return f"{command[1]!r} failed (in: {step})" if command and step.startswith("%") else with_list(lines, at)


def _final(lines: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> int | None:
    for pattern in patterns:
        for number, line in enumerate(lines):
            if pattern.search(line):
                return number
    return None


def _last(lines: Sequence[str], pattern: re.Pattern[str] | None) -> int | None:
    found = [number for number, line in enumerate(lines) if pattern is not None and pattern.search(line)]
    return found[-1] if found else None


def _sign(lines: Sequence[str], start: int, end: int) -> int | None:
    for sign in SIGNS:
        found = [number for number in range(start, end) if sign.pattern.search(lines[number])]
        if found:
            return found[-1 if sign.last else 0]
    return None


def _group(line: str, patterns: Sequence[re.Pattern[str]]) -> str:
    return next((match[1] for pattern in patterns if (match := pattern.search(line))), "")
