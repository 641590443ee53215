"""A site with something of everything, served in the process and over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import uvicorn
from fastapi import FastAPI, Request

from conveyor.model.access import Means, Permission, Principal
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.build import Outcome
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.promotion import MoveKind
from conveyor.web.access import guard
from conveyor.web.access.auditing import noted
from conveyor.web.api.stream import Hub
from conveyor.wiring import Conveyor
from tests.fakes.index_writer import FakeIndexWriter
from tests.fakes.store_samples import NOON, commit, end, minute, start
from tests.support.published import artifact_of
from tests.support.trunk import Trunk
from tests.support.web import serving

TARGET = "debian-13-amd64"
REPOS = """\
targets:
  debian-13-amd64: {format: deb, suite: trixie}
  debian-12-amd64: {format: deb, suite: bookworm}
packages:
  nova:
    upstream: https://git.example.org/nova
    packaging: https://git.example.org/nova-packaging
    targets: [debian-13-amd64, debian-12-amd64]
    maintainers: [Ada <ada@example.org>]
  glance:
    upstream: https://git.example.org/glance
    packaging: https://git.example.org/glance-packaging
    targets: [debian-13-amd64]
"""
# A row of the words below is a token of these tests; "admin" may do everything.
TOKENS = {each.value: frozenset({each}) for each in Permission}


@dataclass(frozen=True)
class Served:
    """A served site.

    Attributes:
        client: asks it, as the administrator unless a test says otherwise.
        app: what answers.
        folder: where its files are.
        url: where it is.
    """

    client: Any
    app: FastAPI
    folder: Path
    url: str

    @property
    def conveyor(self) -> Conveyor:
        return cast(Conveyor, self.app.state.sites.current().conveyor)

    def json(self, path: str, **parameters: str | int) -> dict[str, Any]:
        answer = self.client.get(f"/api/v1{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return cast(dict[str, Any], answer.json())

    def act(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        ask = getattr(self.client, method)
        options = {} if method == "delete" else {"json": body}
        answer = ask(f"/api/v1{path}", headers=as_("admin") | dict(headers or {}), **options)
        assert answer.status_code == status, answer.text
        return cast(dict[str, Any], answer.json())


def as_(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def fill(folder: Path) -> None:
    """Let things happen: builds 1 to 3 are published, 4 failed, 5 runs, 6 waits, 7 is no part of the trunk."""
    trunk = Trunk(data=folder / "data", writer=FakeIndexWriter(), base_url=(folder / "data/repos").as_uri())
    for name, version in (("nova", "1-1"), ("glance", "3-1"), ("nova", "2-1")):
        trunk.publish(
            a_deb(folder, name, version), package=name, version=version, sha=commit(name + version).upstream.sha
        )
    trunk.close()


def happen(conveyor: Conveyor) -> None:
    """What comes after what was published."""
    store = conveyor.store
    commits = [each.commit for each in store.published(TARGET)]
    for index in (1, 0):
        conveyor.pointers.move(MoveKind.PROMOTED, [(TARGET, "tested", commits[index])], actor="ada")
    end(store, commit("bad", package="glance"), minute(4), Outcome.FAILED, target=TARGET)
    running = start(store, commit("runs"), "runs", target="debian-12-amd64", at=minute(5))
    (folder := conveyor.settings.data_dir / "builds" / str(running.id) / "1").mkdir(parents=True)
    (folder / "log").write_text("== build ==\n")
    store.set_log(running.id, "runs", f"builds/{running.id}/1/log")
    store.queue(commit("waits", package="glance"), TARGET, retry=False)
    store.queue(commit("local", trunk=False), TARGET, retry=False)
    told = [NewEvent(kind=EventKind.QUEUED, summary="nova \x1b[31mwaits", package="nova", target=TARGET, build=6)] * 3
    conveyor.events.record(told, NOON)


def a_deb(folder: Path, name: str, version: str) -> list[tuple[Path, Artifact]]:
    path = folder / f"{name}_{version}_all.deb"
    path.write_text(f"{name} {version}")
    return [(path, artifact_of(path, kind=ArtifactKind.BINARY, name=name, version=version, architecture="all"))]


def _principal(request: Request) -> Principal:
    word = request.headers.get("authorization", "").removeprefix("Bearer ")
    if word in TOKENS:
        asking = Principal(name=f"the {word}", permissions=TOKENS[word], means=Means.TOKEN)
        noted(request, asking)
        return asking
    return Principal(name="", permissions=frozenset({Permission.READ}), means=Means.NOBODY)


@contextmanager
def served(folder: Path, *, http: bool, settings: str = "", repos: str = REPOS) -> Iterator[Served]:
    """A site with something of everything, closed at the end."""
    (folder / "specs").mkdir()
    (folder / "repos.yaml").write_text(repos)
    fill(folder)
    with serving(folder, repos=repos, settings=settings) as client:
        app = cast(FastAPI, client.app)
        app.dependency_overrides[guard.principal] = _principal
        happen(app.state.sites.current().conveyor)
        if not http:
            yield Served(client, app, folder, "")
            return
        with over_http(app) as url, httpx.Client(base_url=url, timeout=60) as far:
            yield Served(far, app, folder, url)


@contextmanager
def over_http(app: FastAPI) -> Iterator[str]:
    """The URL of a real server of the application."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        cast(Hub, app.state.hub).stop()
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
