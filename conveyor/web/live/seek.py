"""Looks for text in a log: a program of its own, so that no pattern, however hostile, keeps the server from answering.

Its one argument is JSON: `path`, `query`, `kind` ("text", "regex" or "any", of which `query` is a list of patterns),
`case`, `after` (a line's number), `most` and `seconds`. It prints JSON: `matches`, each a line's number and an excerpt;
`searched`, the last line that was looked at; `complete`; `wrong`, what is wrong with the pattern.

It imports nothing of Conveyor: it starts in 20 ms.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

MEMORY = 512 * 2**20
CHUNK = 2**20
LINE = 64 * 1024
EXCERPT = 200
MARKED = 1024  # of a line that may look like an error, as the viewer marks them
BEFORE = 60
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[^\n])?")

# Finds where something is next, from a position on; a negative number for nowhere.
Find = Callable[[str, int], int]


class TooLong(Exception):
    """The time is over."""


def main() -> None:
    """Do what the argument says."""
    asked = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(asked["seconds"]) + 2,) * 2)
    found: dict[str, Any] = {"matches": [], "searched": asked["after"], "complete": False, "wrong": ""}
    # re looks for signals while it matches, so that even what would take years ends in time.
    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, asked["seconds"])
    try:
        find, prepare = finder(asked["query"], asked["kind"], case=asked["case"])
        search(asked, find, prepare, found)
    except TooLong:
        pass
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        found["wrong"] = str(error) or "it needs too much memory"
    signal.setitimer(signal.ITIMER_REAL, 0)
    json.dump(found, sys.stdout)


def _ring(_number: int, _frame: object) -> None:
    raise TooLong


def finder(query: str | list[str], kind: str, *, case: bool) -> tuple[Find, Callable[[str], str]]:
    """What finds, and what text is made into before."""
    if kind == "text" and isinstance(query, str):
        wanted = query if case else query.lower()
        return (lambda text, at: text.find(wanted, at)), (lambda text: text if case else text.lower())
    if isinstance(query, list):
        return any_of(query), lambda text: text
    pattern = re.compile(query, re.MULTILINE | (0 if case else re.IGNORECASE))

    def find(text: str, at: int) -> int:
        match = pattern.search(text, at)
        return -1 if match is None else match.start()

    return find, lambda text: text


def any_of(patterns: list[str]) -> Find:
    """Finds the next line that one of several patterns fits; most of them look at its beginning only."""
    begins = re.compile("|".join(f"(?:{each})" for each in patterns if each.startswith("^")))
    has = re.compile("|".join(f"(?:{each})" for each in patterns if not each.startswith("^")))

    def find(text: str, at: int) -> int:
        while at < len(text):
            end = text.find("\n", at)
            line = text[at : min(end, at + MARKED)]
            if begins.match(line) or has.search(line):
                return at
            at = end + 1
        return -1

    return find


def search(asked: dict[str, Any], find: Find, prepare: Callable[[str], str], found: dict[str, Any]) -> None:
    """Look through the log, and note what is found as it is found."""
    number = 1
    for text in texts(asked["path"]):
        lines = text.count("\n")
        if number + lines > asked["after"] + 1:
            for line, excerpt in matches(text, prepare(text), find, number):
                if line <= asked["after"]:
                    continue
                found["matches"].append({"number": line, "excerpt": excerpt})
                found["searched"] = line
                if len(found["matches"]) >= asked["most"]:
                    return
        number += lines
        found["searched"] = max(number - 1, asked["after"])
    found["complete"] = True


def texts(path: str) -> Iterator[str]:
    """The log in pieces of whole lines, without escape sequences. Of a line of more than 64 KiB, its beginning."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than a search may
        while content := file.read(CHUNK):
            if not content.endswith(b"\n"):
                rest = file.readline(LINE)
                content += rest
                while rest and not rest.endswith(b"\n"):
                    rest = file.readline(LINE)
                    content += b"\n" if rest.endswith(b"\n") else b""
            text = content.decode("utf-8", "replace")
            text = ESCAPES.sub("", text) if "\x1b" in text else text
            yield text if text.endswith("\n") else f"{text}\n"


def matches(text: str, prepared: str, find: Find, number: int) -> Iterator[tuple[int, str]]:
    """The lines of a piece in which something is, each once."""
    at = counted = 0
    while 0 <= (place := find(prepared, at)) < len(prepared):
        start = prepared.rfind("\n", 0, place) + 1
        number += prepared.count("\n", counted, start)
        counted = start
        end = prepared.find("\n", place)
        shown = text if len(text) == len(prepared) else prepared
        first = max(start, place - BEFORE)
        yield number, shown[first : min(end, first + EXCERPT)]
        at = end + 1


if __name__ == "__main__":
    main()
