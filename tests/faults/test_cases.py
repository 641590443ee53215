"""The table of docs/operating.md tells what the suite tries, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.cases import CASES

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs/operating.md"
HEAD = "| injected | what happened |\n|---|---|\n"


def test_the_table_is_that_of_the_suite() -> None:
    table = DOCUMENT.read_text().partition(HEAD)[2].partition("\n\n")[0]
    assert table.splitlines() == [f"| {case.injected} | {case.happened} |" for case in CASES]


def test_each_test_of_the_suite_is_in_the_table() -> None:
    sources = [HERE / "test_faults.py", HERE / "test_continuous_clients.py"]
    tests = [name for path in sources for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)]
    assert sorted(tests) == sorted(case.test for case in CASES)
