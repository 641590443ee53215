"""The web application on a site of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Route

from conveyor.cli.context import Context
from conveyor.cli.progress import SilentProgress
from conveyor.config import Repos, Settings
from conveyor.web.app import make_app
from conveyor.web.site import Sites
from conveyor.wiring import open_conveyor
from tests.support.stores import put_new_store

REPOS = """
targets:
  debian-12-amd64: {format: deb, suite: bookworm}
packages:
  nova:
    upstream: https://git.example.org/nova
    packaging: https://git.example.org/nova-packaging
    targets: [debian-12-amd64]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What applications share.

    Attributes:
        routes: what answers.
        overrides: what tests put in the place of a dependency.
    """

    routes: tuple[BaseRoute, ...]
    overrides: dict[Callable[..., Any], Callable[..., Any]]


@contextmanager
def serving(
    folder: Path,
    *,
    repos: str = REPOS,
    settings: str = "",
    environ: Mapping[str, str] | None = None,
    own_routes: bool = False,
) -> Iterator[TestClient]:
    """A client of the application, whose site is in the folder.

    Args:
        folder: where the site is.
        repos: its repos.yaml.
        settings: the end of its conveyor.toml.
        environ: its variables.
        own_routes: for who changes routes; otherwise those of the first application answer for all.
    """
    (folder / "repos.yaml").write_text(repos)
    (folder / "conveyor.toml").write_text(f'data_dir = "{folder}/data"\n{settings}')

    store = folder / "data/conveyor.db"
    if not store.exists():
        put_new_store(store)

    def context() -> Context:
        return Context(
            repos=folder / "repos.yaml", settings=folder / "conveyor.toml", data_dir=None, environ=dict(environ or {})
        )

    def load() -> tuple[Settings, Repos]:
        fresh = context()
        return fresh.site, fresh.configuration

    sites = Sites(load, lambda settings, repos, books: open_conveyor(settings, repos, SilentProgress(), books=books))
    try:
        with _app_of(sites, own_routes) as app, TestClient(app, raise_server_exceptions=True) as client:
            yield client
    finally:
        sites.close()


@contextmanager
def _app_of(sites: Sites, own_routes: bool) -> Iterator[FastAPI]:
    """The application, with the routes of the first that was made: FastAPI takes long to prepare them for requests."""
    app = make_app(sites)
    if own_routes:
        yield app
        return
    kept = _kept()
    if not kept:
        kept.append(Kept(routes=tuple(app.router.routes), overrides=app.dependency_overrides))
    (first,) = kept
    # What it answers itself, its description, is its own.
    pairs = zip(app.router.routes, first.routes, strict=True)
    app.router.routes[:] = [own if isinstance(own, Route) else shared for own, shared in pairs]
    app.dependency_overrides = first.overrides  # which is where its routes look
    before = dict(first.overrides)
    try:
        yield app
    finally:
        first.overrides.clear()
        first.overrides.update(before)


@cache
def _kept() -> list[Kept]:
    return []
