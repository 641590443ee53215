"""`conveyor build`."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from conveyor.cli.buildroot import refresh_due
from conveyor.cli.context import Context
from conveyor.cli.inspect import SHELL
from conveyor.cli.mirror import catch_up
from conveyor.cli.order import Wish, follow
from conveyor.cli.order import order as order_afar
from conveyor.cli.results import Result, as_json, exit_code, print_failure, print_results
from conveyor.cli.text import plain, say
from conveyor.documents.orders import orders_as_json
from conveyor.errors import ConveyorError, Interrupted, UserError
from conveyor.model.build import Outcome
from conveyor.model.commit import Commit
from conveyor.model.package import Package
from conveyor.model.target import Target
from conveyor.pipeline.desk import Ordered
from conveyor.pipeline.poll import Wanted
from conveyor.pipeline.run import Report
from conveyor.repository.names import shard
from conveyor.wiring import Conveyor, gain_root, require_programs, require_room, require_signing, unsigned_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one call asks for, beside the packages.

    Attributes:
        targets: names of targets; empty for each package's own.
        wanted: which commit.
        keep_root: keep the roots of the builds.
        shell: open a shell in the root of a failed build.
    """

    targets: tuple[str, ...]
    wanted: Wanted
    keep_root: bool
    shell: bool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(build)


def build(
    context: typer.Context,
    packages: Annotated[list[str], typer.Argument(help="Packages of repos.yaml, built in this order.")],
    target: Annotated[list[str] | None, typer.Option(help="Only for this target; repeatable.")] = None,
    commit: Annotated[str | None, typer.Option(help="A branch, tag or sha instead of the newest commit.")] = None,
    local: Annotated[Path | None, typer.Option(help="A working copy of the upstream; never published.")] = None,
    no_publish: Annotated[bool, typer.Option("--no-publish", help="Build, but do not publish.")] = False,
    keep_root: Annotated[bool, typer.Option("--keep-root", help="Keep the root of the build.")] = False,
    shell: Annotated[bool, typer.Option("--shell", help="Open a shell in the root of a failed build.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="With --server: order only, and do not wait for the end.")
    ] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Build packages from their newest upstream commit and publish them."""
    given: Context = context.obj
    if given.server is not None:
        _check_afar({"--local": local, "--no-publish": no_publish, "--keep-root": keep_root, "--shell": shell})
        wish = Wish(packages=tuple(dict.fromkeys(packages)), revision=commit or "", targets=tuple(target or ()))
        raise typer.Exit(_build_afar(given, wish, wait=not no_wait, as_json_=as_json_))
    if no_wait:
        raise UserError("--no-wait goes with --server only", hint="'conveyor daemon' builds without anybody waiting")
    chosen = [given.configuration.package(name) for name in packages]
    _check_options(chosen, commit, local)
    order = Order(
        targets=tuple(target or ()),
        wanted=Wanted(revision=commit, local=local.absolute() if local else None, publish=not no_publish),
        keep_root=keep_root or shell,
        shell=shell,
    )
    targets = {one.name: one for package in chosen for one in given.chosen(package, order.targets)}
    gain_root(given.site)
    with given.opened(given.progress(silent=as_json_)) as conveyor:
        require_programs(conveyor, targets.values())
        for problem in conveyor.recovery.run():
            given.errors.print(f"conveyor: not done yet: {plain(problem.summary)}", markup=False, soft_wrap=True)
        require_room(conveyor.settings)
        if order.wanted.publish and local is None:
            require_signing(conveyor.settings.signing)
        results = list(carry_out(given, conveyor, chosen, order))
        if as_json_:
            typer.echo(json.dumps(as_json(results), indent=2))
        else:
            print_results(given.output, given.errors, results)
            _tell_unsigned(given, results)
        _afterwards(given, conveyor, targets.values())
    raise typer.Exit(exit_code(results))


def _check_afar(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value:
            raise UserError(f"{name} does not go with --server", hint="run it on the server's machine")


def _build_afar(given: Context, wish: Wish, *, wait: bool, as_json_: bool) -> int:
    """Order builds of the server, and wait for their ends; the exit code."""
    with given.desk() as desk:
        orders = list(order_afar(given, desk, wish))
        if not wait:
            results = [each for each in orders if isinstance(each, Result)]
            if as_json_:
                typer.echo(json.dumps(orders_as_json([each for each in orders if isinstance(each, Ordered)]), indent=2))
            for result in results:
                print_failure(given.errors, result, result.target)
            return exit_code(results)
        try:
            results = list(follow(given, desk, orders))
        except KeyboardInterrupt:
            say(given.errors, "conveyor: the server goes on with it: conveyor --server URL queue")
            raise
    if as_json_:
        typer.echo(json.dumps(as_json(results), indent=2))
    else:
        print_results(given.output, given.errors, results)
    return exit_code(results)


def _tell_unsigned(given: Context, results: Sequence[Result]) -> None:
    note = unsigned_note(given.site.signing)
    if note and any(result.build is not None and result.build.published for result in results):
        given.errors.print(f"conveyor: {note}", markup=False, soft_wrap=True)


def _afterwards(given: Context, conveyor: Conveyor, targets: Collection[Target]) -> None:
    """Copy to mirrors, and make anew what builds found too old. They are over: who does not want to wait may leave."""
    sys.stdout.flush()
    with suppress(KeyboardInterrupt, Interrupted):
        catch_up(given, conveyor)
        refresh_due(given, conveyor, targets)


def _check_options(packages: Sequence[Package], commit: str | None, local: Path | None) -> None:
    if local is not None and commit is not None:
        raise UserError("--local and --commit exclude each other", hint="a working copy is built as it is")
    if local is not None and len(packages) > 1:
        raise UserError("--local takes one package", hint="name only the package whose working copy it is")


def carry_out(given: Context, conveyor: Conveyor, packages: Sequence[Package], order: Order) -> Iterator[Result]:
    """Build packages in the order given, each for its targets; what fails does not stop the others."""
    for package in packages:
        targets = given.chosen(package, order.targets)
        try:
            commit = conveyor.poll.find(package, order.wanted)
        except ConveyorError as error:
            yield from (_not_built(package, target, error) for target in targets)
            continue
        for target in targets:
            yield _build_one(given, conveyor, package, target, commit, order)


def _build_one(
    given: Context, conveyor: Conveyor, package: Package, target: Target, commit: Commit, order: Order
) -> Result:
    try:
        report = conveyor.orders.build(package, target, commit, keep_root=order.keep_root)
    except Interrupted:
        raise
    except ConveyorError as error:
        return _not_built(package, target, error)
    result = _result(conveyor, package, target, report)
    if order.shell and report.root and report.build.outcome is not Outcome.SUCCEEDED:
        print_failure(given.errors, result, target.name)
        given.errors.print("the root of the failed build: its source is in /build/tree, 'exit' leaves it")
        conveyor.orders.shell(report.build, target, SHELL)
    elif order.keep_root and report.root:
        given.errors.print(f"  the root is kept: conveyor shell {report.build.id}", soft_wrap=True)
    return result


def _result(conveyor: Conveyor, package: Package, target: Target, report: Report) -> Result:
    build = report.build
    if build.published:
        is_there = conveyor.tree.snapshot_folder(target.name, build.commit.id).is_dir()  # it may have been collected
        repository = conveyor.tree.url(target.name, shard(build.commit.id)) if is_there else ""
    elif build.outcome is Outcome.SUCCEEDED and report.folder is not None:
        repository = str(report.folder / "results")
    else:
        repository = ""
    log = conveyor.settings.data_dir / build.log if build.log else None
    if log is not None and not log.exists():
        log = None
    return Result(package=package.name, target=target.name, build=build, ran=report.ran, repository=repository, log=log)


def _not_built(package: Package, target: Target, error: ConveyorError) -> Result:
    return Result(package=package.name, target=target.name, build=None, ran=False, repository="", log=None, error=error)
