"""`conveyor buildroot`: what builds start from, and how it is looked after."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from conveyor.buildroot.stock import Buildroots, StockItem, StockKind, shares
from conveyor.cli.context import Context
from conveyor.cli.inspect import SHELL
from conveyor.cli.table import print_table
from conveyor.cli.text import human_size, plain
from conveyor.documents import FORMAT_VERSION
from conveyor.errors import CommandFailed, CommandMissing, ConveyorError, Interrupted, SandboxUnusable, UserError
from conveyor.model.target import BuilderKind, Target
from conveyor.wiring import Conveyor, gain_root, require_programs, upkeep

HEADINGS = ("target", "builder", "what", "size", "age", "last use", "in use by", "id")
KINDS = tuple(StockKind)
AGES = (("d", 86400), ("h", 3600), ("min", 60))

app = typer.Typer(help="Look after what builds start from.", no_args_is_help=True, rich_markup_mode=None)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="buildroot")


@app.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what is kept between builds."""
    given: Context = context.obj
    with given.opened() as conveyor:
        items = stocked(given, conveyor)
    limit = given.site.buildroot_limit
    if as_json:
        typer.echo(json.dumps(stock_as_json(items, limit), indent=2))
        return
    if not items:
        given.output.print("nothing is kept yet: conveyor build PACKAGE")
        return
    print_table(given.output, HEADINGS, [row(item, time.time()) for item in items])
    total = sum(item.size for item in items)
    given.output.print(f"{human_size(total)} in all, of {human_size(limit)} ('buildroot_limit')", soft_wrap=True)


@app.command()
def refresh(
    context: typer.Context,
    targets: Annotated[
        list[str] | None, typer.Argument(help="Targets of repos.yaml; all that were built for, if none.")
    ] = None,
    due: Annotated[bool, typer.Option("--due", help="Only those that are older than 'base_max_age'.")] = False,
) -> None:
    """Make what builds start from anew; running builds keep what they have."""
    given: Context = context.obj
    named = [given.configuration.target(name) for name in targets or ()]
    gain_root(given.site)
    with given.opened() as conveyor:
        chosen = [target for target in named or _made(given, conveyor) if not due or upkeep.is_due(conveyor, target)]
        require_programs(conveyor, chosen)
        if not chosen:
            given.output.print("nothing to do: " + ("no base is due" if due else "nothing was built yet"))
        errors = [error for target in chosen if (error := refresh_one(given, conveyor, target)) is not None]
    raise typer.Exit(max((error.exit_code for error in errors), default=0))


@app.command()
def prune(
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Until so much is left, such as 10G; 'buildroot_limit' if not said."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all that is not in use.")] = False,
) -> None:
    """Remove what was not used for longest; never what is in use."""
    given: Context = context.obj
    if to is not None and everything:
        raise UserError("--to and --all exclude each other", hint="say how much may be left, or that nothing may")
    size = 0 if everything else given.site.buildroot_limit if to is None else _size(to)
    gain_root(given.site)
    with given.opened() as conveyor:
        parts = shares(_stock(given, conveyor), size)
        freed = sum(conveyor.builders.stocks[kind].prune(part) for kind, part in parts.items())
        left = stocked(given, conveyor)
    used = sum(item.size for item in left if item.users)
    total = sum(item.size for item in left)
    given.output.print(f"{human_size(freed)} freed; {human_size(total)} left, {human_size(used)} of it in use")


@app.command()
def shell(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="A target of repos.yaml.")],
    as_root: Annotated[
        bool, typer.Option("--as-root", help="As root of the buildroot, not as the user that builds run as.")
    ] = False,
) -> None:
    """Open a shell in a throw-away copy of a target's buildroot, without network."""
    given: Context = context.obj
    chosen = given.configuration.target(target)
    gain_root(given.site)
    with given.opened() as conveyor:
        require_programs(conveyor, [chosen])
        buildroots = conveyor.builders.stocks[chosen.builder]
        if not _has_base(buildroots, chosen):
            given.errors.print(f"making the buildroot of {target} first, which may take some minutes", soft_wrap=True)
        raise typer.Exit(buildroots.visit(chosen, SHELL, upkeep.refresh_log(conveyor, chosen), as_root=as_root))


def refresh_due(given: Context, conveyor: Conveyor, targets: Iterable[Target]) -> None:
    """After builds: make anew what they found due. What goes wrong is told, and is no failure of theirs."""
    for target in targets:
        if upkeep.is_due(conveyor, target):
            text = f"refreshing the buildroot of {target.name} for later builds; Ctrl-C leaves it as it is"
            given.errors.print(text, soft_wrap=True)
            refresh_one(given, conveyor, target)


def refresh_one(given: Context, conveyor: Conveyor, target: Target) -> ConveyorError | None:
    """Make one target's base anew, and tell what became of it; returns the error if there was one."""
    began = time.monotonic()
    log = upkeep.refresh_log(conveyor, target)
    try:
        made = conveyor.builders.stocks[target.builder].refresh(target, log)
    except Interrupted:
        raise
    except ConveyorError as error:
        given.errors.print(f"conveyor: {target.name} was not refreshed: {plain(error.summary)}", markup=False)
        given.errors.print(f"  whole log: {log}", markup=False, soft_wrap=True)
        return error
    seconds = time.monotonic() - began
    told = f"refreshed in {seconds:.0f} s" if made else "another process is refreshing it"
    given.errors.print(f"{target.name}: {told}", markup=False, soft_wrap=True)
    return None


def stocked(given: Context, conveyor: Conveyor) -> tuple[StockItem, ...]:
    """All that is kept, by target and kind, the largest first."""
    items = [item for found in _stock(given, conveyor).values() for item in found]
    return tuple(sorted(items, key=lambda item: (item.target, KINDS.index(item.kind), -item.size, item.name)))


def _stock(given: Context, conveyor: Conveyor) -> dict[BuilderKind, tuple[StockItem, ...]]:
    """What each builder keeps; where that cannot be found out, it is told why, and the builder is left out."""
    found = {}
    for kind, buildroots in conveyor.builders.stocks.items():
        targets = [target for target in conveyor.repos.targets.values() if target.builder is kind]
        try:
            found[kind] = buildroots.stock(targets)
        except (CommandFailed, CommandMissing, SandboxUnusable) as error:
            given.errors.print(f"conveyor: not known what {kind} keeps: {plain(error.summary)}", markup=False)
    return found


def stock_as_json(items: Sequence[StockItem], limit: int) -> Mapping[str, Any]:
    """The stock in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "limit": limit, "items": [_item_as_json(item) for item in items]}


def row(item: StockItem, now: float) -> tuple[str, ...]:
    """A part of the stock for people, as of a time in seconds since the epoch."""
    return (
        plain(item.target) or "-",
        item.builder,
        f"{item.kind} (current)" if item.current else item.kind,
        f"{human_size(item.size):>9}",
        human_age(item.made_at, now),
        human_age(item.used_at, now),
        ", ".join(map(str, item.users)) or "-",
        plain(item.name),
    )


def human_age(at: float | None, now: float) -> str:
    """How long ago a time was; "-" where it is not known."""
    if not at:
        return "-"
    seconds = max(0.0, now - at)
    unit, factor = next((each for each in AGES if seconds >= each[1]), ("s", 1))
    return f"{seconds / factor:.0f} {unit}"


def _item_as_json(item: StockItem) -> Mapping[str, Any]:
    return {
        "builder": item.builder,
        "target": item.target or None,
        "kind": item.kind,
        "id": item.name,
        "size": item.size,
        "made_at": _iso(item.made_at),
        "used_at": _iso(item.used_at),
        "users": list(item.users),
        "current": item.current,
    }


def _iso(at: float | None) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else None


def _size(text: str) -> int:
    # Here, because Pydantic takes longer to import than `--help` takes.
    from conveyor.config.human import parse_size  # noqa: PLC0415

    try:
        return parse_size(text)
    except ValueError as error:
        raise UserError(f"--to: {error}", hint="--all removes everything that is not in use") from error


def _made(given: Context, conveyor: Conveyor) -> list[Target]:
    """The targets that have a base."""
    made = {item.target for item in stocked(given, conveyor) if item.current}
    return [target for target in conveyor.repos.targets.values() if target.name in made]


def _has_base(buildroots: Buildroots, target: Target) -> bool:
    return any(item.current for item in buildroots.stock([target]))
