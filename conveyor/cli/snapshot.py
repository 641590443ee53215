"""`conveyor snapshot`: what was published, what is in it, what pointed where at a time, and what lies between two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.config.moment import Moment, moment_of
from conveyor.documents.snapshots import difference_as_json, listed_as_json, places_as_json, shown_as_json
from conveyor.model.manifest import ManifestPackage
from conveyor.model.promotion import CURRENT
from conveyor.pipeline.desk import Shown, UrlOf
from conveyor.pipeline.looking.travel import Change, Difference, Listed, Then, Way

HEADINGS = ("build", "target", "package", "version", "commit", "published", "pointers")
HELD_HEADINGS = ("package", "version", "upstream", "packaging", "component")
SHORT_COMMIT = 12
SHORT_SHA = 7
DEFAULT_LIMIT = 20
MINUTE = "%Y-%m-%d %H:%M"
NAMED = "A pointer, a build's number, a commit's id, or the beginning of one."

app = typer.Typer(help="Look at what was published, now and then.", no_args_is_help=True, rich_markup_mode=None)

TargetOption = Annotated[str | None, typer.Option(help="Of this target.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="snapshot")


@app.command("list")
def list_(
    context: typer.Context,
    target: TargetOption = None,
    package: Annotated[str | None, typer.Option(help="Only those that a build of this package caused.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of each target.")] = DEFAULT_LIMIT,
    as_json: JsonOption = False,
) -> None:
    """List snapshots, of each target the one published last first."""
    given: Context = context.obj
    with given.desk() as desk:
        found = desk.snapshots(target, package, limit)
        if as_json:
            _print_json(listed_as_json(desk.url, found))
        elif found:
            print_table(given.output, HEADINGS, [_row(each) for each in found])
        else:
            given.output.print("nothing was published yet")


@app.command()
def show(
    context: typer.Context,
    snapshot: Annotated[str, typer.Argument(help=NAMED)],
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a snapshot holds, its URL, and the lines that make a client use it."""
    given: Context = context.obj
    with given.desk() as desk:
        shown = desk.snapshot(snapshot, target)
        if as_json:
            _print_json(shown_as_json(desk.url, shown))
            return
        _print_shown(given, desk.url, shown)
        _print_lines(given, "to stay at this snapshot:", shown.lines)
        if shown.follow is not None:
            _print_lines(given, f"to follow {snapshot}:", shown.follow)


@app.command()
def at(
    context: typer.Context,
    time: Annotated[
        str,
        typer.Argument(
            help="ISO 8601, in local time where no zone is written; a date alone is the end of that day; '2d ago'."
        ),
    ],
    target: TargetOption = None,
    pointer: Annotated[str, typer.Option(help="Of this pointer.")] = CURRENT,
    as_json: JsonOption = False,
) -> None:
    """Tell where a pointer was at a time, as the snapshot's own URL, which never changes."""
    given: Context = context.obj
    moment = moment_of(time, datetime.now(UTC))
    with given.desk() as desk:
        found, missing = desk.places(target, moment.at, pointer)
        for each in missing:
            given.errors.print(f"conveyor: {plain(each.summary)}", markup=False, soft_wrap=True)
        if as_json:
            _print_json(places_as_json(desk.url, moment.at, pointer, found, missing))
            return
        _print_moment(given, moment)
        for then in found:
            _print_then(given, desk.url, then)


@app.command()
def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help=NAMED)],
    after: Annotated[str, typer.Argument(help="Likewise.")],
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what differs between two snapshots of a target, with the upstream commits between."""
    given: Context = context.obj
    with given.desk() as desk:
        difference = desk.difference(before, after, target)
        if as_json:
            _print_json(difference_as_json(desk.url, difference))
        else:
            _print_difference(given, difference)


def _print_json(content: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(content, indent=2))


def _print(given: Context, text: str) -> None:
    given.output.print(plain(text), markup=False, soft_wrap=True)


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime(MINUTE)


def _row(listed: Listed) -> tuple[str, ...]:
    snapshot = listed.snapshot
    gone = snapshot.collected_at
    return (
        str(snapshot.build),
        snapshot.target,
        snapshot.package,
        plain(snapshot.version),
        snapshot.commit[:SHORT_COMMIT],
        _local(snapshot.published_at),
        f"collected {_local(gone)}" if gone else ", ".join(listed.pointers),
    )


def _print_shown(given: Context, url: UrlOf, shown: Shown) -> None:
    snapshot = shown.snapshot
    _print(given, f"{snapshot.target}: {snapshot.package} {snapshot.version}, build {snapshot.build}")
    _print(given, f"  commit     {snapshot.commit}")
    _print(given, f"  published  {_local(snapshot.published_at)}")
    _print(given, f"  pointers   {', '.join(shown.pointers) or 'none'}")
    _print(given, f"  url        {url(snapshot)}")
    given.output.print()
    print_table(given.output, HELD_HEADINGS, [_package_row(each) for each in shown.packages])


def _print_lines(given: Context, why: str, lines: str) -> None:
    given.output.print()
    _print(given, f"# {why}")
    for line in lines.splitlines():
        _print(given, line)


def _package_row(package: ManifestPackage) -> tuple[str, ...]:
    return (
        plain(package.package),
        plain(package.version),
        plain(package.upstream_sha[:SHORT_SHA]) or "-",
        plain(package.packaging_sha[:SHORT_SHA]) or "-",
        plain(package.component) or "-",
    )


def _print_moment(given: Context, moment: Moment) -> None:
    zone = ", local time" if moment.local else ""
    universal = moment.at.astimezone(UTC)
    _print(given, f"at {moment.at.astimezone():%Y-%m-%d %H:%M:%S %Z}{zone} ({universal:%Y-%m-%dT%H:%M:%SZ})")


def _print_then(given: Context, url: UrlOf, then: Then) -> None:
    snapshot = then.snapshot
    what = f"{snapshot.package} {snapshot.version}, build {snapshot.build}"
    _print(given, f"{snapshot.target}: {then.pointer} was {what}, since {_local(then.since)}")
    if snapshot.collected_at is None:
        _print(given, f"  {url(snapshot)}")
        return
    _print(given, f"  {snapshot.commit} is not there any more: collected {_local(snapshot.collected_at)}")
    for word, near in (("before", then.older), ("after", then.newer)):
        if near is None:
            _print(given, f"  none that was published {word} it is there")
        else:
            _print(given, f"  the nearest {word} it, {_local(near.published_at)}: {url(near)}")


def _print_difference(given: Context, difference: Difference) -> None:
    before, after = difference.before, difference.after
    for sign, each in (("-", before), ("+", after)):
        told = f"{each.package} {each.version}, build {each.build}, {_local(each.published_at)}"
        _print(given, f"{sign}{sign}{sign} {each.target} {each.commit[:SHORT_COMMIT]}  {told}")
    for package in difference.removed:
        _print(given, f"- {package.package} {package.version}")
    for package in difference.added:
        _print(given, f"+ {package.package} {package.version}")
    for change in difference.changed:
        _print_change(given, change)
    if not (difference.removed or difference.added or difference.changed):
        _print(given, "they hold the same packages")


def _print_change(given: Context, change: Change) -> None:
    before, after = change.before, change.after
    _print(given, f"! {after.package} {before.version} -> {after.version}")
    _print(given, f"    {_way(change)}")
    for commit in reversed(change.commits):
        when = commit.committed_at.astimezone().strftime("%Y-%m-%d")
        _print(given, f"    {commit.sha[:SHORT_SHA]} {when} {plain(commit.author)}: {plain(commit.subject)}")
    if change.more:
        _print(given, "    and older ones")


def _way(change: Change) -> str:
    old, new = change.before.upstream_sha[:SHORT_SHA], change.after.upstream_sha[:SHORT_SHA]
    old_packaging, new_packaging = change.before.packaging_sha, change.after.packaging_sha
    packaging = ""
    if old_packaging != new_packaging and old_packaging and new_packaging:
        packaging = f"; packaging {old_packaging[:SHORT_SHA]} -> {new_packaging[:SHORT_SHA]}"
    more = "more than " if change.more else ""
    told = {
        Way.FORWARD: f"{old} -> {new}, {more}{len(change.commits)} upstream commits",
        Way.BACK: f"{old} -> {new}, back by {more}{len(change.commits)} upstream commits:",
        Way.SAME: f"the same upstream commit, {new}",
        Way.REWRITTEN: f"{old} -> {new}, neither in the history of the other: the upstream was force-pushed or changed",
        Way.UNKNOWN: f"{old or '?'} -> {new or '?'}, the commits between cannot be told: {change.why}",
    }
    return told[change.way] + packaging
