"""The web application on a site of a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from conveyor.cli.context import Context
from conveyor.cli.progress import SilentProgress
from conveyor.config import Repos, Settings
from conveyor.web.app import make_app
from conveyor.web.site import Sites
from conveyor.wiring import open_conveyor

REPOS = """
targets:
  debian-12-amd64: {format: deb, suite: bookworm}
packages:
  nova:
    upstream: https://git.example.org/nova
    packaging: https://git.example.org/nova-packaging
    targets: [debian-12-amd64]
"""


@contextmanager
def serving(
    folder: Path, *, repos: str = REPOS, settings: str = "", environ: Mapping[str, str] | None = None
) -> Iterator[TestClient]:
    """A client of the application, whose site is in the folder."""
    (folder / "repos.yaml").write_text(repos)
    (folder / "conveyor.toml").write_text(f'data_dir = "{folder}/data"\n{settings}')

    def context() -> Context:
        return Context(
            repos=folder / "repos.yaml", settings=folder / "conveyor.toml", data_dir=None, environ=dict(environ or {})
        )

    def load() -> tuple[Settings, Repos]:
        fresh = context()
        return fresh.site, fresh.configuration

    sites = Sites(load, lambda settings, repos, books: open_conveyor(settings, repos, SilentProgress(), books=books))
    try:
        with TestClient(make_app(sites), raise_server_exceptions=True) as client:
            yield client
    finally:
        sites.close()
