"""Looking for text in logs: right, and in time whatever is looked for."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from conveyor.errors import UserError
from conveyor.formats.failure import SIGNS
from conveyor.web.live.searching import MOST_WAITING, Search, SearchBusy, Searches

LOG = b"""\
Begin
\x1b[31mgcc: error: \x1b[1mno\x1b[0m input
GR\xc3\x9cSSE and gr\xc3\xbc\xc3\x9fe
error twice, error
\xff\xfe\x00 bytes
last line with Error"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "log").write_bytes(LOG)
    return tmp_path / "log"


def look(path: Path, search: Search, seconds: float = 5) -> dict[str, Any]:
    return asyncio.run(Searches(seconds).search(path, search))


def numbers(found: dict[str, Any]) -> list[int]:
    return [match["number"] for match in found["matches"]]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(query="error"), [2, 4, 6]),
        (Search(query="error", case=True), [2, 4]),
        (Search(query="error: no input"), [2]),
        (Search(query="GRÜSSE"), [3]),
        (Search(query="."), []),
        (Search(query=r"^error|Error$", regex=True, case=True), [4, 6]),
        (Search(query=r"\bgr.+e$", regex=True), [3]),
        (Search(query=r"[\s\S]+", regex=True), [1, 2, 3, 4, 5, 6]),
        (Search(query=r"x*", regex=True), [1, 2, 3, 4, 5, 6]),
        (Search(query="error", after=2), [4, 6]),
        (Search(query="error", most=1), [2]),
        (Search(query="", errors=True), [4]),
    ],
)
def test_lines_are_found(path: Path, search: Search, expected: list[int]) -> None:
    found = look(path, search)
    assert numbers(found) == expected
    assert found["complete"] == (search.most > 1)


def test_an_excerpt_is_harmless_and_short(path: Path) -> None:
    assert look(path, Search(query="bytes"))["matches"] == [{"number": 5, "excerpt": "\ufffd\ufffd\ufffd bytes"}]
    path.write_bytes(b"a" * 100_000 + b"needle" + b"b" * 50_000_000 + b"\nneedle\n")
    found = look(path, Search(query="needle"))
    assert numbers(found) == [1, 2]
    assert len(found["matches"][0]["excerpt"]) == 200


def test_a_large_log_is_searched_to_its_end(path: Path) -> None:
    path.write_bytes(b"a line of usual length that says nothing much at all\n" * 400_000 + b"needle\n")
    found = look(path, Search(query="Needle"), 60)
    assert (numbers(found), found["searched"], found["complete"]) == ([400_001], 400_001, True)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*$", r"(.*)*\1b", r"(?:a?){40}a{40}$"])
def test_a_hostile_pattern_ends_in_time_with_what_was_found(path: Path, pattern: str) -> None:
    path.write_bytes(b"b\n" * 700_000 + b"a" * 60 + b"!\n")
    found = look(path, Search(query=rf"{pattern}|never", regex=True), 1.5)
    assert isinstance(found["complete"], bool)


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "(?P<x>", "[z-a]", "\\", "x{99999999999999}"])
def test_what_is_no_pattern_is_said(path: Path, pattern: str) -> None:
    with pytest.raises(UserError, match="this is no regular expression"):
        look(path, Search(query=pattern, regex=True))


def test_a_log_that_went_finds_nothing(path: Path) -> None:
    path.unlink()
    assert look(path, Search(query="x")) == {"matches": [], "searched": 0, "complete": False}


def test_many_searches_at_once_are_refused(path: Path) -> None:
    async def many() -> list[object]:
        searches = Searches()
        asked = (searches.search(path, Search(query="error")) for _ in range(MOST_WAITING + 3))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    answers = asyncio.run(many())
    assert sum(isinstance(answer, SearchBusy) for answer in answers) == 3
    assert sum(isinstance(answer, dict) for answer in answers) == MOST_WAITING


def test_a_large_log_is_looked_through_for_errors(path: Path) -> None:
    path.write_bytes(b"cc -O2 -c part-000001.c -o part.o # as the others before it\n" * 200_000 + b"x.c:1: error: y\n")
    found = look(path, Search(query="", errors=True), 60)
    assert (numbers(found), found["complete"]) == ([200_001], True)


def test_signs_at_the_beginning_of_lines_are_all_said_to_be_there() -> None:
    for sign in SIGNS:
        parts = sign.pattern.pattern.split("|^")
        assert sign.pattern.pattern.startswith("^") or "^" not in sign.pattern.pattern
        assert all(re.compile(part) for part in parts)
