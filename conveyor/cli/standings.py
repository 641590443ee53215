"""Where pointers stand, for `conveyor status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console

from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.pipeline.pointing.evidence import told_seconds
from conveyor.pipeline.pointing.standings import Standing

HEADINGS = ("target", "pointer", "commit", "published")
SHOWN_DIGITS = 12


def print_standings(console: Console, standings: Sequence[Standing]) -> None:
    """The pointers that there are, or that are waited for, then what holds them back, each thing once."""
    shown = [each for each in standings if each.commit is not None or each.held_back]
    if shown:
        print_table(console, HEADINGS, [_row(each) for each in shown])
    told: dict[str, list[str]] = {}
    for each in shown:
        lines = told.setdefault(each.pointer, [])
        lines += [line for line in each.held_back if line not in lines]
    for pointer, lines in told.items():
        for line in lines:
            console.print(f"{pointer} is held back: {plain(line)}", markup=False, soft_wrap=True)


def _row(standing: Standing) -> tuple[str, ...]:
    commit = standing.commit[:SHOWN_DIGITS] if standing.commit else "-"
    age = "-" if standing.published_at is None else f"{_age(standing.published_at)} ago"
    return standing.target, standing.pointer, commit, age


def _age(at: datetime) -> str:
    return told_seconds(max(0, int((datetime.now(UTC) - at).total_seconds())))
