"""Whatever a command shows or does that makes sense from afar the API has, and the command asks a server for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from conveyor.cli.context import AFAR
from conveyor.cli.main import app
from tests.support.matrix import routes
from tests.support.web import serving

# The operations of a command, without the prefix of the API.
OPERATIONS = {
    "audit": ["GET /audit"],
    "build": ["POST /packages/{name}/builds", "GET /orders/{number}"],
    "cancel": ["POST /builds/{number}/cancel"],
    "events": ["GET /events", "GET /events/stream"],
    "ledger": ["GET /ledger"],
    "ledger verify": ["GET /ledger/verification"],
    "log": ["GET /builds/{number}/attempts/{attempt}/log"],
    "notices": ["GET /notices"],
    "pause": ["POST /pauses"],
    "poll": ["POST /polls"],
    "prioritize": ["PUT /builds/{number}/priority"],
    "promote": ["POST /promotions/{name}"],
    "queue": ["GET /queue"],
    "rebuild": ["POST /builds/{number}/rebuild", "POST /packages/{name}/rebuild"],
    "resume": ["DELETE /pauses"],
    "retry": ["POST /builds/{number}/retry", "POST /packages/{name}/retry"],
    "rollback": ["POST /pointers/{name}/rollback"],
    "snapshot at": ["GET /snapshots/at"],
    "snapshot diff": ["GET /snapshots/diff"],
    "snapshot list": ["GET /snapshots"],
    "snapshot show": ["GET /snapshots/{named}"],
    "status": ["GET /status"],
    "token create": ["POST /tokens"],
    "token list": ["GET /tokens"],
    "token revoke": ["DELETE /tokens/{name}"],
    "user create": ["POST /users"],
    "user delete": ["DELETE /users/{name}"],
    "user disable": ["PUT /users/{name}/disabled"],
    "user enable": ["PUT /users/{name}/disabled"],
    "user list": ["GET /users"],
    "user password": ["PUT /users/{name}/password"],
    "user permit": ["PUT /users/{name}/permissions"],
    "user sign-out": ["DELETE /users/{name}/sessions"],
    "vote": ["POST /votes/{commit}"],
    "votes": ["GET /votes/{commit}", "GET /votes"],
    "why": ["GET /why"],
}
# Why commands are for the machine itself alone.
ITS_OWN = {
    "buildroot list": "what lies in a machine's folder of layers; nobody else can use it",
    "buildroot prune": "it makes room on the machine's disk",
    "buildroot refresh": "it needs the rights that building needs; the daemon does it in time",
    "buildroot shell": "a terminal in a root of the machine",
    "collect": "it removes for good, after who runs it has seen what; the daemon does it as repos.yaml says",
    "daemon": "it is the daemon",
    "doctor": "it looks at the machine's programs and rights; GET /health has what a server can tell",
    "export": "all that the store holds, as a file: a backup, for who may read the store",
    "import": "it makes a store, before anybody serves it",
    "key create": "secret keys stay on the machine that signs",
    "key show": "it reads the keyring of the machine that signs; the published tree has the public keys",
    "mirror": "it copies from the machine's disk for hours; the daemon does it, and GET /mirrors says how they stand",
    "render": "it shows templates that somebody edits there; of builds a page shows the packaging as it was rendered",
    "scrub": "it reads the whole disk, and mends what it finds with rights that building needs",
    "serve": "it is the server",
    "shell": "a terminal in a root of the machine",
    "verify": "it builds again, with the rights that building needs, and its keyring",
}
# What only pages and clients of other kinds need: no command has it.
FOR_CLIENTS = {
    "GET /builds",
    "GET /builds/{number}",
    "GET /builds/{number}/artifacts",
    "GET /builds/{number}/attempts",
    "GET /builds/{number}/attempts/{attempt}/log/events",
    "GET /builds/{number}/attempts/{attempt}/log/lines",
    "GET /builds/{number}/attempts/{attempt}/log/search",
    "GET /builds/{number}/provenance",
    "GET /commits/{commit}",
    "GET /health",
    "GET /mirrors",
    "GET /openapi.json",
    "GET /packages",
    "GET /packages/{name}",
    "GET /pointers",
    "GET /promotions",
    "GET /server",
    "GET /targets",
}


def commands() -> Iterator[str]:
    """Each command, with the one that it is a part of."""
    top = get_command(app)
    assert isinstance(top, TyperGroup)
    for name, command in top.commands.items():
        if not isinstance(command, TyperGroup) or command.invoke_without_command:
            yield name
        if isinstance(command, TyperGroup):
            yield from (f"{name} {part}" for part in command.commands)


@pytest.fixture
def operations(tmp_path: Path) -> frozenset[str]:
    with serving(tmp_path) as client:
        found = routes(client.app)  # type: ignore[arg-type] # it is FastAPI
    prefix = "/api/v1"
    return frozenset(
        f"{each.method} {each.path.removeprefix(prefix)}"
        for each in found
        if each.path.startswith(prefix) and each.method != "HEAD"
    )


def test_each_command_has_its_operations_or_a_reason_to_have_none() -> None:
    known = set(OPERATIONS) | set(ITS_OWN)
    assert set(commands()) - known == set(), "say in OPERATIONS what does it from afar, or in ITS_OWN why nothing does"
    assert known - set(commands()) == set(), "they are no commands any more"
    assert set(OPERATIONS) & set(ITS_OWN) == set()


def test_these_operations_are_there_and_no_others(operations: frozenset[str]) -> None:
    named = {each for wanted in OPERATIONS.values() for each in wanted}
    assert named - operations == set()
    assert operations - named - FOR_CLIENTS == set(), "which command has them?"


def test_just_these_commands_ask_a_server() -> None:
    assert {name.partition(" ")[0] for name in OPERATIONS} == AFAR
    assert {name.partition(" ")[0] for name in ITS_OWN} & AFAR == set()


def test_the_documentation_names_just_these_commands() -> None:
    text = (Path(__file__).parents[2] / "docs" / "web.md").read_text(encoding="utf-8")
    told = text[text.index("## Commands that ask a server") :].partition("go with it; what needs the machine itself")[0]
    assert {name for name in AFAR if f"`{name}`" not in told} == set()
