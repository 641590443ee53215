"""`conveyor key`: the key that signs what is published."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.documents import FORMAT_VERSION
from conveyor.errors import EXIT_CODES, Fault
from conveyor.model.signing import KeyState, SigningKey
from conveyor.wiring import create_key, keys, unsigned_note

HEADINGS = ("fingerprint", "role", "state", "expires", "owner")
SIGNS, ALSO, RETIRED = "signs", "also signs", "retired"

app = typer.Typer(help="The key that signs what is published.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    app.command()(show)
    app.command()(create)
    parent.add_typer(app, name="key")


def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the keys of the settings: whether they can sign, when they expire, where clients find them."""
    given: Context = context.obj
    found = keys(given.site.signing)
    roles = [_role(given, key) for key in found]
    if as_json:
        document = {
            "format_version": FORMAT_VERSION,
            "keys": [key_as_json(key, role) for key, role in zip(found, roles, strict=True)],
            "public_key": f"<target>/{given.site.repository_name}.asc",
        }
        typer.echo(json.dumps(document, indent=2))
    elif not found:
        given.output.print(unsigned_note(given.site.signing), markup=False, soft_wrap=True)
    else:
        _print(given, found, roles)
    bad = [key for key, role in zip(found, roles, strict=True) if role != RETIRED and key.state is not KeyState.GOOD]
    raise typer.Exit(EXIT_CODES[Fault.OURS] if bad else 0)


def _role(given: Context, key: SigningKey) -> str:
    signing = given.site.signing
    return SIGNS if key.fingerprint == signing.key else ALSO if key.fingerprint in signing.also else RETIRED


def key_as_json(key: SigningKey, role: str) -> dict[str, Any]:
    """One key in a documented form: docs/json.md."""
    return {
        "fingerprint": key.fingerprint,
        "role": role,
        "state": key.state,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "owner": key.owner,
    }


def _print(given: Context, found: tuple[SigningKey, ...], roles: list[str]) -> None:
    rows = [
        (key.fingerprint, role, key.state.value, _expiry(key), plain(key.owner))
        for key, role in zip(found, roles, strict=True)
    ]
    print_table(given.output, HEADINGS, rows)
    site = given.site
    given.output.print(f"for clients: {site.base_url}/<target>/{site.repository_name}.asc", soft_wrap=True)
    now = datetime.now(UTC)
    for key, role in zip(found, roles, strict=True):
        if role != RETIRED and key.state is KeyState.GOOD and key.expires_soon(now):
            text = f"conveyor: {key.fingerprint} expires soon; see docs/operating.md, Signing"
            given.errors.print(text, soft_wrap=True)


def _expiry(key: SigningKey) -> str:
    return key.expires_at.strftime("%Y-%m-%d") if key.expires_at else "never"


def create(
    context: typer.Context,
    owner: Annotated[str, typer.Option(help="Who signs, as clients are told: 'Name <address>'.")] = "Conveyor",
    home: Annotated[
        Path | None, typer.Option(help="Folder to make for it.", show_default="gnupg in the data directory")
    ] = None,
    expires: Annotated[str, typer.Option(help="When it expires: never, or such as 3y, 18m, 2030-01-31.")] = "never",
) -> None:
    """Make a key without passphrase, in a folder that only its owner can read."""
    given: Context = context.obj
    folder = home.absolute() if home else given.site.signing.home
    fingerprint = create_key(folder, owner, expires)
    given.output.print(f"made key {fingerprint} in {folder}", soft_wrap=True)
    given.output.print("to sign with it, write into conveyor.toml:\n", soft_wrap=True)
    lines = ["[signing]", f'key = "{fingerprint}"']
    lines += [f'home = "{folder}"'] if home else []
    given.output.print("\n".join(f"    {line}" for line in lines), markup=False, soft_wrap=True)
    given.output.print("\nkeep a copy of the folder where nobody else can read it", soft_wrap=True)
