"""`conveyor token`: secrets that programs act with on the web."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain, say
from conveyor.documents.access import token_state, tokens_as_json
from conveyor.errors import UserError
from conveyor.model.access import Permission, Token

HEADINGS = ("token", "may", "state", "used", "expires", "made", "by")
NEVER = "never"

app = typer.Typer(help="Secrets that programs act with on the web.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    app.command()(create)
    app.command("list")(list_)
    app.command()(revoke)
    parent.add_typer(app, name="token")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name: who acts, as the ledger and the audit log tell it.")],
    may: Annotated[list[Permission], typer.Option(help="What it may do; repeatable.")],
    expires: Annotated[str, typer.Option(help="After how long it stops to work, such as 90d; or never.")] = NEVER,
    actor: Annotated[str | None, typer.Option(help="Who makes it.", show_default="who calls")] = None,
) -> None:
    """Make a token and print its secret, this once: nothing can tell it again."""
    given: Context = context.obj
    lasts = _seconds(expires)
    with given.office(actor) as office:
        secret = office.create_token(name, frozenset(may), lasts)
    typer.echo(secret)
    say(given.errors, f"token {name} may {', '.join(sorted(set(may)))}; keep its secret, it is not shown again")


def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The token's name.")],
    actor: Annotated[str | None, typer.Option(help="Who revokes it.", show_default="who calls")] = None,
) -> None:
    """Let a token work no more."""
    given: Context = context.obj
    with given.office(actor) as office:
        office.revoke_token(name)
    say(given.output, f"token {name} works no more")


def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the tokens, those that work no more included."""
    given: Context = context.obj
    with given.office() as office:
        found, now = office.tokens(), datetime.now(UTC)
    if as_json:
        typer.echo(json.dumps(tokens_as_json(found, now), indent=2))
    elif found:
        print_table(given.output, HEADINGS, [_row(token, now) for token in found])
    else:
        say(given.output, "there are no tokens; 'conveyor token create' makes one")


def _row(token: Token, now: datetime) -> tuple[Text | str, ...]:
    state = token_state(token, now)
    return (
        plain(token.name),
        ", ".join(sorted(token.permissions)),
        Text(state, "" if state == "works" else "yellow"),
        _local(token.used_at),
        _local(token.expires_at),
        _local(token.created_at),
        plain(token.created_by),
    )


def _local(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else NEVER


def _seconds(text: str) -> int | None:
    # Here, because Pydantic takes longer to import than `--help` takes.
    from conveyor.config.human import parse_lifetime  # noqa: PLC0415

    try:
        return parse_lifetime(text)
    except ValueError as error:
        raise UserError(f"--expires {error}", hint="such as --expires 90d") from error
