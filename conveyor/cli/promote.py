"""`conveyor promote`, `conveyor vote` and `conveyor votes`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli import mirror
from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.documents.ledger import entries_as_json
from conveyor.documents.votes import newest_votes_as_json, votes_as_json
from conveyor.errors import UserError
from conveyor.model.promotion import LedgerEntry, Vote, VotesWanted
from conveyor.pipeline.desk import Promotion
from conveyor.pipeline.pointing.voting import Ballot

HEADINGS = ("at", "job", "target", "says", "user", "url", "notes")
# The sha of the upstream commit, as far as it tells one from another.
SHORT_COMMIT = 12
COLOURS = {True: "green", False: "red", None: "cyan"}


class Says(StrEnum):
    """What a test says."""

    SUCCESS = "success"
    FAILURE = "failure"
    RUNNING = "running"


SUCCESS = {Says.SUCCESS: True, Says.FAILURE: False, Says.RUNNING: None}
WORDS = {success: says for says, success in SUCCESS.items()}

Commit = Annotated[str, typer.Argument(help="A commit's id, the beginning of its sha, or a pointer that leads to it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (promote, vote, votes):
        app.command()(command)


def promote(
    context: typer.Context,
    commit: Commit,
    name: Annotated[str, typer.Argument(help="The promotion, such as tested.")],
    target: Annotated[list[str] | None, typer.Option(help="Only on this target; repeatable.")] = None,
    note: Annotated[str, typer.Option(help="Words for the ledger.")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the snapshots from retention, for ever.")] = False,
    actor: Annotated[str | None, typer.Option(help="Who does it; you, if not given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ledger's entries as JSON.")] = False,
) -> None:
    """Move a promotion to the snapshots of a commit, if it has all that repos.yaml asks for."""
    given: Context = context.obj
    if dry_run and as_json:
        raise UserError("--dry-run and --json exclude each other", hint="--json tells what was moved")
    promotion = Promotion(
        commit=commit, name=name, targets=tuple(target or ()), actor=given.actor(actor), note=note, keep=keep
    )
    with given.desk() as desk:
        if dry_run:
            _print_plan(given, name, desk.plan(promotion))
            return
        moved = desk.promote(promotion)
        if as_json:
            typer.echo(json.dumps(entries_as_json(moved), indent=2))
        else:
            _print_moved(given, name, moved)
        mirror.follow(given)


def _print_plan(given: Context, name: str, plan: Mapping[str, tuple[str | None, str]]) -> None:
    for target, (before, after) in plan.items():
        given.output.print(f"would move {_told(name, target, before, after)}", markup=False, soft_wrap=True)


def _print_moved(given: Context, name: str, moved: tuple[LedgerEntry, ...]) -> None:
    if not moved:
        given.output.print(f"{name} is there already, nothing was moved", markup=False, soft_wrap=True)
    for entry in moved:
        told = _told(name, entry.step.target, entry.step.before, entry.step.after)
        given.output.print(f"moved {told} (ledger {entry.number})", markup=False, soft_wrap=True)


def _told(name: str, target: str, before: str | None, after: str) -> str:
    return f"{name} of {target}: {before or '-'} -> {after}"


def vote(
    context: typer.Context,
    commit: Commit,
    job: Annotated[str, typer.Argument(help="The test's name.")],
    says: Annotated[Says, typer.Argument(help="What it says.")],
    target: Annotated[str | None, typer.Option(help="The target that was tested; all, if not given.")] = None,
    url: Annotated[str, typer.Option(help="Where its log is.")] = "",
    notes: Annotated[str, typer.Option(help="Its words.")] = "",
    user: Annotated[str | None, typer.Option(help="Who votes; you, if not given.")] = None,
) -> None:
    """Say what a test found on a published commit."""
    given: Context = context.obj
    ballot = Ballot(
        commit=commit,
        target=target,
        job=job,
        success=SUCCESS[says],
        url=url,
        notes=notes,
        user=given.voter(user),
    )
    with given.desk() as desk:
        voted, problems = desk.vote(ballot)
        given.output.print(f"{voted.job} on {voted.subject}: {says}", markup=False, soft_wrap=True)
        for problem in problems:
            given.errors.print(f"conveyor: a promotion did not move: {plain(problem.summary)}", markup=False)


def votes(
    context: typer.Context,
    commit: Annotated[
        str | None,
        typer.Argument(
            help="A commit's id, the beginning of its sha, or a pointer that leads to it; all commits if none."
        ),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Only what counts for this target.")] = None,
    job: Annotated[str | None, typer.Option(help="Of all commits: only of this test.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Of all commits: how many at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """Show what tests said of a published commit, oldest first; or of all commits of a target, the latest first."""
    given: Context = context.obj
    if commit is None:
        _newest_votes(given, target, job, limit, as_json=as_json)
        return
    if job is not None:
        raise UserError("--job goes with the votes on all commits only", hint="leave it out, or the commit")
    with given.desk() as desk:
        subject, found = desk.votes(commit, target)
    if as_json:
        typer.echo(json.dumps(votes_as_json(subject, found), indent=2))
    elif found:
        print_table(given.output, HEADINGS, [_row(each) for each in found])
    else:
        given.output.print(f"nobody has voted on {subject}", markup=False, soft_wrap=True)


def _newest_votes(given: Context, target: str | None, job: str | None, limit: int, *, as_json: bool) -> None:
    if target is None:
        raise UserError("which votes are meant is not clear", hint="name a commit, or a target: --target NAME")
    with given.desk() as desk:
        found = desk.newest_votes(VotesWanted(target=target, job=job, limit=limit))
    if as_json:
        typer.echo(json.dumps(newest_votes_as_json(found), indent=2))
    elif found:
        print_table(given.output, ("commit", *HEADINGS), [(each.subject[:SHORT_COMMIT], *_row(each)) for each in found])
    else:
        given.output.print(f"nobody has voted on what was published for {target}", markup=False, soft_wrap=True)


def _row(vote: Vote) -> tuple[Text | str, ...]:
    return (
        vote.at.astimezone().strftime("%Y-%m-%d %H:%M"),
        plain(vote.job),
        vote.target or "all",
        Text(WORDS[vote.success], COLOURS[vote.success]),
        plain(vote.user),
        plain(vote.url) or "-",
        plain(vote.notes),
    )
