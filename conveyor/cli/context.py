"""What every command starts from: the configuration, and a Conveyor made of it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pwd import getpwuid
from typing import TYPE_CHECKING

from rich.console import Console

from conveyor.cli.progress import SilentProgress, TerminalProgress
from conveyor.errors import UserError
from conveyor.model.package import Package
from conveyor.model.target import Target
from conveyor.pipeline.access.office import Office
from conveyor.pipeline.desk import Desk
from conveyor.ports import Progress
from conveyor.wiring import Conveyor, LocalDesk, Records, make_access_keeping, open_conveyor, open_records

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

# Wide enough for a snapshot's URL: off a terminal nothing is folded.
PIPE_WIDTH = 400
# What can be asked of a server.
AFAR = frozenset(
    {
        "audit",
        "build",
        "cancel",
        "events",
        "ledger",
        "log",
        "notices",
        "pause",
        "poll",
        "prioritize",
        "promote",
        "queue",
        "rebuild",
        "resume",
        "retry",
        "rollback",
        "snapshot",
        "status",
        "token",
        "user",
        "vote",
        "votes",
        "why",
    }
)


@dataclass(frozen=True, kw_only=True)
class Context:
    """The options of every command.

    Attributes:
        repos: repos.yaml, if named.
        settings: conveyor.toml, if named.
        data_dir: the data directory, if named.
        environ: the environment.
        server: URL of the server that answers and acts, if not this site.
        token_file: file with the token for it, if named.
    """

    repos: Path | None
    settings: Path | None
    data_dir: Path | None
    environ: Mapping[str, str]
    server: str | None = None
    token_file: Path | None = None

    @cached_property
    def site(self) -> Settings:
        """The site's settings."""
        # Here, because Pydantic takes longer to import than `--help` takes.
        from conveyor.config import load_settings  # noqa: PLC0415

        named = {"CONVEYOR_REPOS": self.repos, "CONVEYOR_DATA_DIR": self.data_dir}
        options = {name: str(path.absolute()) for name, path in named.items() if path is not None}
        return load_settings(self.settings, {**self.environ, **options})

    @cached_property
    def configuration(self) -> Repos:
        """Packages and targets."""
        from conveyor.config import load_repos  # noqa: PLC0415

        return load_repos(self.site.repos, limits=self.site.limits)

    @property
    def token(self) -> str | None:
        """The token for the server; None for none.

        Raises:
            UserError: its file cannot be read.
        """
        if self.token_file is None:
            return self.environ.get("CONVEYOR_TOKEN") or None
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else "it holds no token"
            raise UserError(
                f"the token's file {self.token_file} cannot be read", cause=cause, hint="name another with --token-file"
            ) from error
        if not token or not token.isprintable():
            raise UserError(f"{self.token_file} holds no token", hint="put the token alone into it, on one line")
        return token

    def check_server(self, command: str) -> None:
        """See that a command can be asked of a server, where one is named.

        Raises:
            UserError: it cannot.
        """
        if self.server is None and self.token_file is not None:
            raise UserError("--token-file goes with --server only", hint="name the server: --server URL")
        if self.server is None or command in AFAR:
            return
        raise UserError(
            f"'conveyor {command}' works on its own machine only",
            hint=f"commands that go with --server: {', '.join(sorted(AFAR))}",
        )

    @property
    def user(self) -> str:
        """Who calls: with sudo, who called that."""
        named = self.environ.get("SUDO_USER")
        if named:
            return named
        try:
            return getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())

    def actor(self, named: str | None) -> str:
        """Who does something: who is named, else who calls.

        Raises:
            UserError: the name is empty.
        """
        if named is not None and self.server is not None:
            raise UserError("nobody acts in another's name on a server", hint="the token says who you are")
        actor = (self.user if named is None else named).strip()
        if not actor:
            raise UserError("--actor is empty", hint="name who does it, or leave it out")
        return actor

    def voter(self, named: str | None) -> str:
        """Who votes: who is named, else who calls. Whether that is a name is for who takes the vote to say.

        Raises:
            UserError: somebody is named, and a server is asked.
        """
        return self.user if named is None else self.actor(named) if self.server is not None else named

    def operator(self, named: str | None) -> str:
        """Who acts on what several machines share: who is named, else who calls, and on which machine.

        Raises:
            UserError: the name is empty.
        """
        return f"{self.user}@{platform.node()}" if named is None else self.actor(named)

    @cached_property
    def output(self) -> Console:
        """Standard output."""
        return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)

    @cached_property
    def errors(self) -> Console:
        """Standard error."""
        return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPE_WIDTH)

    @contextmanager
    def opened(self, progress: Progress | None = None) -> Iterator[Conveyor]:
        """A running Conveyor, closed at the end."""
        conveyor = open_conveyor(self.site, self.configuration, progress or SilentProgress())
        try:
            yield conveyor
        finally:
            conveyor.close()

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """What answers and acts: the server that is named, else this site, closed at the end."""
        if self.server is not None:
            # Here, because httpx takes longer to import than `--help` takes.
            from conveyor.client.desk import open_desk  # noqa: PLC0415

            with open_desk(self.server, self.token) as desk:
                yield desk
            return
        with ExitStack() as opened:
            records = opened.enter_context(self.records())
            yield LocalDesk(self.site, self.configuration, records, lambda: opened.enter_context(self.opened()))

    @contextmanager
    def office(self, actor: str | None = None) -> Iterator[Office]:
        """What looks after tokens and users: those of the server that is named, else this site's.

        Args:
            actor: who acts, if named.
        """
        who = self.operator(actor)
        if self.server is not None:
            from conveyor.client.office import open_office  # noqa: PLC0415 - as in `desk`

            with open_office(self.server, self.token) as office:
                yield office
            return
        with self.records() as records:
            yield make_access_keeping(records, who)

    @contextmanager
    def records(self) -> Iterator[Records]:
        """What was recorded, closed at the end: enough to look, and quicker than all of Conveyor."""
        records = open_records(self.site)
        try:
            yield records
        finally:
            records.store.close()

    def progress(self, *, silent: bool) -> Progress:
        """Stages on the terminal, if there is one."""
        return TerminalProgress(self.errors) if sys.stderr.isatty() and not silent else SilentProgress()

    def chosen(self, package: Package, targets: Sequence[str]) -> tuple[Target, ...]:
        """The targets that are asked for, or all of the package's.

        Raises:
            UnknownName: there is no such target.
        """
        return tuple(self.configuration.target(name) for name in (targets or package.targets))
