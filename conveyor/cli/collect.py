"""`conveyor collect`: removes what retention does not keep; `conveyor scrub`: reads back what is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import human_size, plain
from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import error_as_json
from conveyor.errors import ConveyorError, Interrupted, UserError
from conveyor.model.published import Flaw, PoolFinding, PoolReport, PublishedSnapshot, Removal, Retention
from conveyor.pipeline.keeping.repair import Repaired
from conveyor.wiring import (
    Conveyor,
    gain_root,
    make_collect,
    make_repair,
    make_scrub,
    require_programs,
    require_room,
)

HEADINGS = ("target", "snapshots", "files", "builds", "size")
GOING = ("target", "package", "version", "published", "commit")
ROTTEN = ("target", "flaw", "package", "path")
EXIT_ROTTEN = 1
MINUTE = "%Y-%m-%d %H:%M"

Targets = Annotated[list[str] | None, typer.Option("--target", help="Only of this target; repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What became of one target.

    Attributes:
        target: its name.
        removal: what goes; None where nothing does.
        error: what kept it from being found out or done.
    """

    target: str
    removal: Removal | None
    error: ConveyorError | None = None


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.command()(collect)
    parent.command()(scrub)


def collect(
    context: typer.Context,
    target: Targets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the snapshots that 'retention' of repos.yaml does not keep, and what only they needed."""
    given: Context = context.obj
    policies = given.configuration.retention
    chosen = [name for name in _chosen(given, target) if policies[name].newest is not None]
    with given.opened() as conveyor:
        run = make_collect(conveyor).run
        results = []
        for name in chosen:
            try:
                results.append(Collected(target=name, removal=run(name, dry_run=dry_run)))
            except Interrupted:
                raise
            except ConveyorError as error:
                results.append(Collected(target=name, removal=None, error=error))
    if as_json:
        typer.echo(json.dumps(collected_as_json(results, policies, dry_run=dry_run), indent=2))
    else:
        _print_collected(given, results, dry_run=dry_run)
    raise typer.Exit(max((result.error.exit_code for result in results if result.error), default=0))


def scrub(
    context: typer.Context,
    target: Targets = None,
    bytes_per_second: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Read no faster than this on average, such as 20M.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Build again what made them, and put back what comes out the same.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every published file, and name those that are not what they were."""
    given: Context = context.obj
    pace = None if bytes_per_second is None else _size(bytes_per_second)
    if repair:
        gain_root(given.site)
    with given.opened(given.progress(silent=as_json)) as conveyor:
        scrubbing = make_scrub(conveyor)
        reports = [scrubbing.run(name, bytes_per_second=pace) for name in _chosen(given, target)]
        repaired = _repair(given, conveyor, reports) if repair else ()
    if as_json:
        typer.echo(json.dumps(scrubbed_as_json(reports, repaired), indent=2))
    else:
        _print_scrubbed(given, reports, repaired)
    raise typer.Exit(EXIT_ROTTEN if _unmended(reports, repaired) else 0)


def _repair(given: Context, conveyor: Conveyor, reports: Sequence[PoolReport]) -> tuple[Repaired, ...]:
    findings = [each for report in reports for each in report.findings]
    if not findings:
        return ()
    names = sorted({each.target for each in findings})
    require_programs(conveyor, [given.configuration.target(name) for name in names])
    require_room(conveyor.settings)
    return make_repair(conveyor).run(findings)


def _unmended(reports: Sequence[PoolReport], repaired: Sequence[Repaired]) -> list[PoolFinding]:
    """What is still not as it has to be."""
    mended = [each.finding for each in repaired if each.good]
    return [each for report in reports for each in report.findings if each not in mended]


def collected_as_json(
    results: Sequence[Collected], policies: Mapping[str, Retention], *, dry_run: bool
) -> dict[str, Any]:
    """What goes in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "dry_run": dry_run,
        "size": sum(result.removal.size for result in results if result.removal),
        "targets": [_target_as_json(result, policies[result.target]) for result in results],
    }


def _target_as_json(result: Collected, policy: Retention) -> dict[str, Any]:
    removal = result.removal
    return {
        "target": result.target,
        "newest": policy.newest,
        "younger_than": policy.younger_than,
        "grace": policy.grace,
        "snapshots": [_snapshot_as_json(each) for each in removal.snapshots] if removal else [],
        "files": list(files_of(removal)) if removal else [],
        "builds": list(removal.builds) if removal else [],
        "size": removal.size if removal else 0,
        "error": error_as_json(result.error),
    }


def _snapshot_as_json(snapshot: PublishedSnapshot) -> dict[str, Any]:
    return {
        "build": snapshot.build,
        "package": snapshot.package,
        "version": snapshot.version,
        "commit_id": snapshot.commit,
        "published_at": snapshot.published_at.isoformat(),
    }


def scrubbed_as_json(reports: Sequence[PoolReport], repaired: Sequence[Repaired] = ()) -> dict[str, Any]:
    """What was read in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "targets": [
            {
                "target": report.target,
                "files": report.files,
                "size": report.size,
                "findings": [
                    {"path": each.path, "flaw": each.flaw, "package": each.package or None} for each in report.findings
                ],
                "repairs": [_repaired_as_json(each) for each in repaired if each.finding.target == report.target],
            }
            for report in reports
        ],
    }


def _repaired_as_json(done: Repaired) -> dict[str, Any]:
    return {"path": done.finding.path, "build": done.build, "repaired": done.good, "reason": done.detail or None}


def files_of(removal: Removal) -> tuple[str, ...]:
    """The files of the pool that go, without the folders that their going empties."""
    return tuple(path for path in removal.files if path.count("/") > 1)


def _chosen(given: Context, named: Sequence[str] | None) -> list[str]:
    return [given.configuration.target(name).name for name in named or given.configuration.targets]


def _size(text: str) -> int:
    # Here, because Pydantic takes longer to import than `--help` takes.
    from conveyor.config.human import parse_size  # noqa: PLC0415

    try:
        return parse_size(text)
    except ValueError as error:
        raise UserError(f"--bytes-per-second: {error}", hint="leave it out to read as fast as it goes") from error


def _print_collected(given: Context, results: Sequence[Collected], *, dry_run: bool) -> None:
    for result in results:
        if result.error is not None:
            given.errors.print(
                f"conveyor: {result.target}: nothing was removed: {plain(result.error.summary)}", markup=False
            )
            if result.error.hint:
                given.errors.print(f"  next: {plain(result.error.hint)}", markup=False)
    removals = [result.removal for result in results if result.removal is not None]
    if not results:
        given.output.print("everything is kept: 'retention' of repos.yaml says for none of these targets what stays")
        return
    going = [_going_row(each) for removal in removals for each in removal.snapshots]
    if dry_run and going:
        print_table(given.output, GOING, going)
    if removals:
        print_table(given.output, HEADINGS, [_removal_row(removal) for removal in removals])
        total = human_size(sum(removal.size for removal in removals))
        given.output.print(f"{total} would be freed; nothing was removed" if dry_run else f"{total} freed")


def _going_row(snapshot: PublishedSnapshot) -> tuple[str, ...]:
    at = snapshot.published_at.astimezone().strftime(MINUTE)
    return snapshot.target, plain(snapshot.package), plain(snapshot.version), at, snapshot.commit


def _removal_row(removal: Removal) -> tuple[str, ...]:
    counts = (len(removal.snapshots), len(files_of(removal)), len(removal.builds))
    return removal.target, *map(str, counts), human_size(removal.size)


def _print_scrubbed(given: Context, reports: Sequence[PoolReport], repaired: Sequence[Repaired]) -> None:
    findings = [each for report in reports for each in report.findings]
    if findings:
        rows = [(each.target, each.flaw.value, plain(each.package) or "-", plain(each.path)) for each in findings]
        print_table(given.output, ROTTEN, rows)
    for report in reports:
        state = f"{len(report.findings)} not as they have to be" if report.findings else "all as they have to be"
        given.output.print(f"{report.target}: {report.files} files, {human_size(report.size)} read, {state}")
    for done in repaired:
        what = f"{done.finding.target} {done.finding.path}"
        said = f"{what}: repaired by build {done.build}" if done.good else f"{what}: not repaired: {done.detail}"
        given.output.print(plain(said), markup=False, soft_wrap=True)
    for hint in dict.fromkeys(_next(each) for each in _unmended(reports, repaired)):
        given.errors.print(f"  next: {hint}", markup=False, soft_wrap=True)


def _next(finding: PoolFinding) -> str:
    if finding.flaw is Flaw.FOREIGN:
        return "what is foreign was put there by somebody else, and goes by hand"
    if not finding.package:
        return f"bring {plain(finding.path)} back from a backup or a mirror"
    return (
        f"conveyor scrub --repair builds the files of {plain(finding.package)} again; what it cannot repair comes back "
        "from a backup or a mirror; "
        f"new snapshots are whole again as soon as a newer commit was built: conveyor build {plain(finding.package)}"
    )
