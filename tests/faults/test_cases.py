"""The tables of docs/operating.md and docs/daemon.md tell what the suites try, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.cases import CASES, OF_THE_DAEMON, Case

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
HEAD = "| injected | what happened |\n|---|---|\n"


@pytest.mark.parametrize(("document", "cases"), [("operating.md", CASES), ("daemon.md", OF_THE_DAEMON)])
def test_the_table_is_that_of_the_suite(document: str, cases: Sequence[Case]) -> None:
    table = (DOCS / document).read_text().partition(HEAD)[2].partition("\n\n")[0]
    assert table.splitlines() == [f"| {case.injected} | {case.happened} |" for case in cases]


@pytest.mark.parametrize(
    ("files", "cases"),
    [(["test_faults.py", "test_continuous_clients.py"], CASES), (["test_daemon_*.py"], OF_THE_DAEMON)],
)
def test_each_test_of_the_suite_is_in_the_table(files: Sequence[str], cases: Sequence[Case]) -> None:
    sources = [path.read_text() for pattern in files for path in HERE.glob(pattern)]
    tests = [name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)]
    assert sorted(tests) == sorted(case.test for case in cases)
