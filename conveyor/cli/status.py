"""`conveyor status`: how everything stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from conveyor.cli import mirror
from conveyor.cli.context import Context
from conveyor.cli.results import COLOURS
from conveyor.cli.standings import print_standings
from conveyor.cli.table import print_table
from conveyor.cli.text import plain, say
from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import build_as_json
from conveyor.documents.mirrors import standing_as_json
from conveyor.documents.pointers import pointers_as_json, standings_as_json
from conveyor.documents.queue import daemon_as_json, running_as_json
from conveyor.model.build import Build
from conveyor.pipeline.explaining.build import stage_words
from conveyor.pipeline.explaining.places import daemon_words
from conveyor.pipeline.explaining.queueview import Glance
from conveyor.pipeline.explaining.words import count, named
from conveyor.pipeline.flakiness import flaky
from conveyor.pipeline.keeping.mirror import MirrorStanding
from conveyor.pipeline.pointing.standings import Standing
from conveyor.ports import Store
from conveyor.wiring import make_queue_view, make_standings, unsigned_note

HEADINGS = ("build", "package", "target", "version", "state", "finished", "why")
# How many of the newest builds are looked through for those that are no part of the trunk.
LOOKED_AT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How everything stands.

    Attributes:
        builds: the trunk's latest build of each package on each of its targets.
        flaky: numbers of those of them that had another outcome for the same input.
        copies: builds that are no part of the trunk, and newer than those.
        queue: what runs, and how many wait.
        standings: where pointers stand.
        mirrors: how mirrors stand.
    """

    builds: tuple[Build, ...]
    flaky: frozenset[int]
    copies: tuple[Build, ...]
    queue: Glance
    standings: tuple[Standing, ...]
    mirrors: tuple[MirrorStanding, ...]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    context: typer.Context,
    package: Annotated[str | None, typer.Argument(help="Only this package.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the latest build of each package on each target, the pointers, what runs and how many wait."""
    given: Context = context.obj
    if package is not None:
        given.configuration.package(package)
    found = _look(given, package)
    if as_json:
        typer.echo(json.dumps(_as_json(given, found), indent=2))
    else:
        _print(given, found)


def _look(given: Context, package: str | None) -> Status:
    with given.records() as records:
        builds = tuple(_latest(given, records.store, package))
        return Status(
            builds=builds,
            flaky=frozenset(build.id for build in builds if _is_flaky(records.store, build)),
            copies=tuple(_copies(given, records.store, package, builds)),
            queue=make_queue_view(given.site, given.configuration, records).glance(),
            standings=make_standings(records, given.configuration).of(tuple(given.configuration.targets)),
            mirrors=tuple(mirror.standings(given, records)),
        )


def _latest(given: Context, store: Store, package: str | None) -> Iterator[Build]:
    for name, entry in given.configuration.packages.items():
        if package in {None, name}:
            for target in entry.targets:
                yield from store.builds(package=name, target=target, trunk=True, limit=1)


def _is_flaky(store: Store, build: Build) -> bool:
    return build.attempt > 1 and flaky(store.attempts(build.id)) is not None


def _copies(given: Context, store: Store, package: str | None, builds: Sequence[Build]) -> Iterator[Build]:
    """Of each package on each target the newest build that is no part of the trunk, if it is newer than the trunk's."""
    latest = {(build.commit.package, build.target): build.id for build in builds}
    for copy in store.builds(package=package, limit=LOOKED_AT):
        place = (copy.commit.package, copy.target)
        if copy.commit.trunk:
            continue
        if copy.target in given.configuration.built_for(copy.commit.package) and copy.id > latest.get(place, 0):
            latest[place] = copy.id
            yield copy


def _as_json(given: Context, found: Status) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "builds": [build_as_json(build) for build in found.builds],
        "flaky": sorted(found.flaky),
        "working_copies": [build_as_json(build) for build in found.copies],
        "daemon": daemon_as_json(found.queue.daemon),
        "running": [running_as_json(each) for each in found.queue.running],
        "waiting": found.queue.waiting,
        "pointers": pointers_as_json(found.standings),
        "standings": standings_as_json(found.standings),
        "mirrors": [standing_as_json(standing) for standing in found.mirrors],
        "signed_by": given.site.signing.key,
    }


def _print(given: Context, found: Status) -> None:
    place = {name: number for number, name in enumerate(given.configuration.packages)}
    shown = sorted([*found.builds, *found.copies], key=lambda build: place[build.commit.package])
    if shown:
        print_table(given.output, HEADINGS, [_row(build, found) for build in shown])
    else:
        given.output.print("nothing has been built yet: conveyor build PACKAGE")
    print_standings(given.output, found.standings)
    for line in _queue(found.queue):
        say(given.output, line)
    say(given.output, unsigned_note(given.site.signing) or f"signed by {given.site.signing.key}")
    mirror.print_standings(given, found.mirrors)


def _row(build: Build, found: Status) -> tuple[Text | str, ...]:
    copy = "" if build.commit.trunk else " (not part of the trunk)"
    flaky_mark = " (flaky)" if build.id in found.flaky else ""
    return (
        str(build.id),
        build.commit.package,
        build.target,
        plain(build.version or "-"),
        Text(build.outcome or build.state, COLOURS[build.outcome] if build.outcome else "cyan") + copy + flaky_mark,
        build.finished_at.astimezone().strftime("%Y-%m-%d %H:%M") if build.finished_at else "-",
        plain(build.cause.summary) if build.cause else "",
    )


def _queue(glance: Glance) -> Iterator[str]:
    yield daemon_words(glance.daemon, glance.at)
    for each in glance.running:
        yield f"running: {named(each.build)}: {stage_words(each.work, glance.at)}"
    if glance.waiting:
        yield f"{count(glance.waiting, 'build')} waiting: conveyor queue"
