"""What every command starts from: the configuration, and a Conveyor made of it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from conveyor.ports import Progress
from conveyor.wiring import Conveyor, Records, open_conveyor, open_records

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

# Wide enough for a snapshot's URL: off a terminal nothing is folded.
PIPE_WIDTH = 400


@dataclass(frozen=True, kw_only=True)
class Context:
    """The options of every command.

    Attributes:
        repos: repos.yaml, if named.
        settings: conveyor.toml, if named.
        data_dir: the data directory, if named.
        environ: the environment.
    """

    repos: Path | None
    settings: Path | None
    data_dir: Path | None
    environ: Mapping[str, str]

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
        actor = (self.user if named is None else named).strip()
        if not actor:
            raise UserError("--actor is empty", hint="name who does it, or leave it out")
        return actor

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
