"""The table of hostile packages in docs/operating.md tells of every attempt of the suite, and of its outcome."""

from __future__ import annotations

import re
from pathlib import Path

from conveyor.model.build import Outcome
from tests.hostile.attempts import ENDINGS, NAMES

PAGE = Path(__file__).parents[2] / "docs/operating.md"
ROW = re.compile(r"\| `(?P<name>[a-z-]+)` \| [^|]+ \| (?P<outcome>[^|]+) \| [^|]+ \| [^|]+ \| [^|]+ \|")


def rows() -> dict[str, str]:
    """The outcome of each attempt, as the table has it."""
    section = PAGE.read_text().partition("### Hostile packages\n")[2].partition("\n#")[0]
    found = [match for line in section.splitlines() if (match := ROW.fullmatch(line))]
    assert len(found) == len({match["name"] for match in found})
    return {match["name"]: match["outcome"] for match in found}


def test_every_attempt_has_a_row() -> None:
    assert set(rows()) == set(NAMES)


def test_the_outcomes_are_those_of_the_suite() -> None:
    told = rows()
    for ending in ENDINGS:
        expected = "succeeded" if ending.outcome is Outcome.SUCCEEDED else f"{ending.outcome}: {ending.kind}"
        assert told[ending.name] == expected
