"""`conveyor user`: people who sign in with a password that is kept here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain, say
from conveyor.documents.access import users_as_json
from conveyor.errors import UserError
from conveyor.model.access import Permission, User

HEADINGS = ("user", "may", "state", "made")
STANDARD = Path("-")

app = typer.Typer(help="People who sign in with a password that is kept here.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The user's name.")]
Actor = Annotated[str | None, typer.Option(help="Who does it.", show_default="who calls")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the password; '-' for standard input.", show_default="ask for it"),
]


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    app.command()(create)
    app.command("list")(list_)
    app.command()(permit)
    app.command()(password)
    app.command()(disable)
    app.command()(enable)
    app.command("sign-out")(sign_out)
    app.command()(delete)
    parent.add_typer(app, name="user")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name: who acts, as the ledger and the audit log tell it.")],
    may: Annotated[list[Permission] | None, typer.Option(help="What it may do; repeatable.")] = None,
    password_file: PasswordFile = None,
    actor: Actor = None,
) -> None:
    """Make a user. One that may do nothing else may look, where the site is not open."""
    given: Context = context.obj
    permissions = frozenset(may or (Permission.READ,))
    with given.office(actor) as office:
        office.create_user(name, permissions, lambda: _password(password_file))
    say(given.output, f"user {name} may {', '.join(sorted(permissions))}")


def permit(
    context: typer.Context,
    name: Name,
    may: Annotated[list[Permission], typer.Option(help="What it may do, and nothing else; repeatable.")],
    actor: Actor = None,
) -> None:
    """Change what a user may do. Who is signed in stays so: it counts from its next request on."""
    given: Context = context.obj
    permissions = frozenset(may)
    with given.office(actor) as office:
        office.permit(name, permissions)
    say(given.output, f"user {name} may {', '.join(sorted(permissions))}")


def password(context: typer.Context, name: Name, password_file: PasswordFile = None, actor: Actor = None) -> None:
    """Give a user another password; its sessions end."""
    given: Context = context.obj
    with given.office(actor) as office:
        office.set_password(name, lambda: _password(password_file))
    say(given.output, f"user {name} has another password")


def disable(context: typer.Context, name: Name, actor: Actor = None) -> None:
    """Let a user sign in no more; its sessions end."""
    given: Context = context.obj
    with given.office(actor) as office:
        office.set_disabled(name, disabled=True)
    say(given.output, f"user {name} may not sign in any more")


def enable(context: typer.Context, name: Name, actor: Actor = None) -> None:
    """Let a user that was disabled sign in again."""
    given: Context = context.obj
    with given.office(actor) as office:
        office.set_disabled(name, disabled=False)
    say(given.output, f"user {name} may sign in again")


def sign_out(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The person's name, whoever vouches for it.")],
    actor: Actor = None,
) -> None:
    """End all sessions of a person."""
    given: Context = context.obj
    with given.office(actor) as office:
        count = office.sign_out(name)
    say(given.output, f"{name} was signed in {count} times, and is no more")


def delete(context: typer.Context, name: Name, actor: Actor = None) -> None:
    """Keep a user no more; its sessions end. What it did stays in the audit log, and its name is free."""
    given: Context = context.obj
    with given.office(actor) as office:
        office.delete_user(name)
    say(given.output, f"user {name} is kept no more")


def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the users that are kept here."""
    given: Context = context.obj
    with given.office() as office:
        found = office.users()
    if as_json:
        typer.echo(json.dumps(users_as_json(found), indent=2))
    elif found:
        print_table(given.output, HEADINGS, [_row(user) for user in found])
    else:
        say(given.output, "there are no users; 'conveyor user create' makes one")


def _row(user: User) -> tuple[Text | str, ...]:
    return (
        plain(user.name),
        ", ".join(sorted(user.permissions)),
        Text("disabled", "yellow") if user.disabled else "may sign in",
        user.created_at.astimezone().strftime("%Y-%m-%d %H:%M"),
    )


def _password(file: Path | None) -> str:
    """The password, from where nobody else on the machine can see it."""
    if file is None:
        if not sys.stdin.isatty():
            raise UserError("nobody can be asked for the password", hint="name a file: --password-file FILE")
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True))
    try:
        text = sys.stdin.readline() if file == STANDARD else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = (error.strerror or "") if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(f"the password cannot be read from {file}", cause=cause) from error
    return text.partition("\n")[0].rstrip("\r")
