"""Looks for text in logs, in a process of its own for each search, a few at once."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from conveyor import command
from conveyor.errors import CommandFailed, CommandTimedOut, ConveyorError, Fault, OutputTooLong, UserError
from conveyor.formats.failure import SIGNS
from conveyor.model.text import plain

PROGRAM = Path(__file__).with_name("seek.py")
SECONDS = 5.0
GRACE = 5.0
AT_ONCE = 2
MOST_WAITING = 8
MOST_MATCHES = 500
MOST_OUTPUT = 4 * 2**20
MOST_QUERY = 500


class SearchBusy(ConveyorError):
    """Too many look for something at the moment."""

    fault = Fault.NETWORK


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for.

    Attributes:
        query: the text or pattern; of no meaning where `errors` is set.
        regex: whether it is a regular expression, as Python's re has them.
        case: whether upper and lower case differ.
        errors: look for lines that look like errors instead.
        after: only lines after this one.
        most: how many lines at most.
    """

    query: str
    regex: bool = False
    case: bool = False
    errors: bool = False
    after: int = 0
    most: int = MOST_MATCHES


class Searches:
    """Searches that run.

    Args:
        seconds: how long one may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def search(self, path: Path, search: Search) -> dict[str, Any]:
        """What a search finds in a log, as JSON has it: docs/web.md.

        Raises:
            SearchBusy: too many search already.
            UserError: the pattern is none.
        """
        if self._waiting >= MOST_WAITING:
            raise SearchBusy("too many look for something in logs at the moment", hint="try it again in some seconds")
        self._waiting += 1
        try:
            async with self._turn:
                return await run_in_threadpool(self._run, path, search)
        finally:
            self._waiting -= 1

    def _run(self, path: Path, search: Search) -> dict[str, Any]:
        told = {
            "path": str(path),
            "query": [sign.pattern.pattern for sign in SIGNS] if search.errors else search.query,
            "kind": "any" if search.errors else "regex" if search.regex else "text",
            "case": search.case or search.errors,
            "after": search.after,
            "most": search.most,
            "seconds": self._seconds,
        }
        argv = (sys.executable, "-I", "-S", str(PROGRAM), json.dumps(told))
        try:
            said = command.ask(argv, timeout=self._seconds + GRACE, limit=MOST_OUTPUT)
        except (CommandTimedOut, CommandFailed, OutputTooLong):
            # It was ended by a limit of the kernel's.
            return {"matches": [], "searched": search.after, "complete": False}
        found: dict[str, Any] = json.loads(said)
        wrong = found.pop("wrong")
        if wrong:
            raise UserError("this is no regular expression", cause=plain(wrong), hint="or look for plain text")
        return {**found, "matches": [{**each, "excerpt": plain(each["excerpt"])} for each in found["matches"]]}
