"""Components that can be consumed by themselves, as DLRN's clients do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import Outcome, State
from conveyor.model.promotion import MoveKind
from conveyor.wiring import make_standings
from tests.fakes.store_samples import CAUSE
from tests.support import publisher
from tests.support.clients import Dnf, Place
from tests.support.published import commit_id_of, make_rpms
from tests.support.publisher import REPOS, RPM, Release, make_site, opened, publish
from tests.support.webserver import WebServer, free_port, serving

pytestmark = pytest.mark.integration

BY_COMPONENT = REPOS.replace("    format: rpm\n", "    format: rpm\n    component_repositories: true\n")
BY_COMPONENT = BY_COMPONENT.replace('/hello"}', '/hello", component: greetings}')


@pytest.fixture
def releases(tmp_path: Path) -> list[Release]:
    made = []
    for number, (package, version) in enumerate((("hello", "1.1"), ("other", "1.1"), ("hello", "1.2")), 1):
        files = make_rpms(tmp_path / "made" / str(number), package, version)
        made.append(Release(target=RPM, package=package, number=number, files=tuple(files)))
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    port = free_port()
    site = make_site(tmp_path / "site", repos=BY_COMPONENT, base_url=f"http://127.0.0.1:{port}")
    (tmp_path / "server").mkdir()
    (site / "data/repos").mkdir(parents=True)
    with serving(site / "data/repos", tmp_path / "server", port) as running:
        yield running


def fail(site: Path, release: Release) -> None:
    """A build that does not succeed."""
    with opened(site) as conveyor:
        store = conveyor.parts.store
        build = store.queue(release.commit, release.target, retry=True)
        claimed = store.claim(build.id, publisher._claim())
        assert claimed is not None
        assert claimed.claim is not None
        ended = store.finish(
            build.id,
            claimed.claim.token,
            outcome=Outcome.FAILED,
            at=conveyor.clock.now(),
            version=None,
            cause=CAUSE,
            stages=(),
            entry=None,
        )
        assert ended.state is State.FINISHED


def pointed(site: Path) -> dict[str, str]:
    with opened(site) as conveyor:
        return dict(conveyor.tree.pointers(RPM))


def test_a_client_of_the_aggregated_file_has_all_components(
    server: WebServer, tmp_path: Path, releases: list[Release]
) -> None:
    site = tmp_path / "site"
    publish(site, releases)
    tree = site / "data/repos" / RPM
    text = (tree / "current/conveyor.repo").read_text()

    assert re.findall(r"^\[(.*)\]$", text, re.MULTILINE) == ["conveyor-component-greetings", "conveyor-component-main"]
    md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    assert (tree / "current/conveyor.repo.md5").read_text() == md5
    with opened(site) as conveyor:
        following = conveyor.tree.client_file(RPM, "current")[1]
    place = tree / "current" / md5[:2] / md5[2:4] / md5
    assert {path.name for path in place.iterdir()} == {"conveyor.repo", "conveyor.repo.md5", "versions.csv"}
    assert (place / "conveyor.repo").read_text() == text
    for name, source in (("client", text), ("follower", following)):
        dnf = Dnf(Place(tmp_path / name))
        dnf.source(source)
        dnf.install("hello", "other")
        assert dnf.greeting("hello") == "1.2"
    asked = [path for path, status in server.requests if "/current/" in path and status == 200]
    assert set(asked) == {f"/{RPM}/current/component/{part}/mirrorlist" for part in ("greetings", "main")}


def test_a_component_has_its_packages_only(server: WebServer, tmp_path: Path, releases: list[Release]) -> None:
    site = tmp_path / "site"
    publish(site, releases)
    tree = site / "data/repos" / RPM
    url = (tree / "current/conveyor.repo").read_text().partition("baseurl=")[2].partition(f"/{RPM}/")[0]
    dnf = Dnf(Place(tmp_path / "client"))
    dnf.source(f"[one]\nname=one\nbaseurl={url}/{RPM}/component/greetings/current\nenabled=1\ngpgcheck=0\n")
    dnf.install("hello")
    assert dnf.greeting("hello") == "1.2"
    dnf.try_to_install("other").bad()
    assert server is not None
    binaries = {made.filename for _, made in releases[2].files if made.kind is ArtifactKind.BINARY}
    listed = (tree / "component/greetings/current/repodata").iterdir()
    assert binaries
    assert any("primary" in path.name for path in listed)


def test_a_component_is_consistent_for_itself(server: WebServer, tmp_path: Path, releases: list[Release]) -> None:
    site = tmp_path / "site"
    publish(site, releases[:2])
    first = pointed(site)
    assert first["consistent"] == first["consistent-greetings"] == first["consistent-main"] == commit_id_of(2)
    failed = Release(target=RPM, package="other", number=7, files=())
    fail(site, failed)
    publish(site, releases)
    later = pointed(site)
    assert later["current"] == later["consistent-greetings"] == commit_id_of(3)
    assert later["consistent"] == later["consistent-main"] == commit_id_of(2)
    tree = site / "data/repos" / RPM
    shown = (tree / "component/greetings/consistent").resolve()
    assert shown == (tree / "consistent-greetings/component/greetings").resolve()
    assert (tree / "component/main/consistent/repodata/repomd.xml").is_file()
    assert server is not None


def test_a_package_that_is_taken_off_the_target_holds_nothing_back(
    server: WebServer, tmp_path: Path, releases: list[Release]
) -> None:
    site = tmp_path / "site"
    publish(site, releases[:2])
    fail(site, Release(target=RPM, package="other", number=7, files=()))
    text = BY_COMPONENT.replace('/other"}', '/other", targets: [debian-13-amd64]}')
    (site / "repos.yaml").write_text(text)
    publish(site, releases)
    later = pointed(site)
    assert later["consistent"] == later["consistent-main"] == later["current"] == commit_id_of(3)
    with opened(site) as conveyor:
        assert conveyor.store.failing(RPM) == ("other",)
        assert not any(each.held_back for each in make_standings(conveyor, conveyor.repos).of([RPM]))
    assert server is not None


def test_a_promotion_has_its_components_too(server: WebServer, tmp_path: Path, releases: list[Release]) -> None:
    site = tmp_path / "site"
    publish(site, releases)
    with opened(site) as conveyor:
        conveyor.pointers.move(MoveKind.PROMOTED, [(RPM, "tested", commit_id_of(2))], actor="tests")
    tree = site / "data/repos" / RPM
    assert (tree / "component/greetings/tested").resolve() == (tree / "tested/component/greetings").resolve()
    assert (tree / "tested/conveyor.repo.md5").is_file()
    assert server is not None
