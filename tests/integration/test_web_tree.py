"""Real apt and dnf install from what `conveyor serve` serves: by itself, and behind nginx as docs/web.md has it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from conveyor.model.promotion import MoveKind
from tests.support import publisher
from tests.support.clients import Apt, Dnf, Place
from tests.support.keys import Keys
from tests.support.published import commit_id_of, make_deb, make_rpms, need
from tests.support.publisher import DEB, RPM, Release, make_site, opened, run, signed
from tests.support.webprocess import ROOT, free_port, running
from tests.support.webserver import MAIN, wait_for

pytestmark = pytest.mark.integration

DOCUMENT = ROOT / "docs/web.md"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A site with two commits, and the port of its server."""
    folder = tmp_path_factory.mktemp("tree")
    keys, port = Keys(folder / "keys"), free_port()
    site = make_site(folder / "site", base_url=f"http://127.0.0.1:{port}/repos", settings=signed(keys))
    assert run(publisher.publish, site, tuple(made(folder / "made"))).good
    with running(site, port):
        yield site, port


def made(folder: Path) -> Iterator[Release]:
    for number, version in ((1, "1.1"), (2, "1.2")):
        here = folder / str(number)
        here.mkdir(parents=True)
        rpms = make_rpms(here / "rpm", "hello", version)
        yield Release(target=RPM, package="hello", number=number, files=tuple(rpms))
        debs = [make_deb(here, "hello", f"{version}-1")]
        yield Release(target=DEB, package="hello", number=number, files=tuple(debs))


@contextmanager
def nginx(folder: Path, site: Path, port: int) -> Iterator[str]:
    """nginx in front, by the configuration of the documentation but for TLS; gives its URL."""
    need("nginx")
    front = free_port()
    found = re.search(r"^```nginx\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    server = re.sub(r"(?m)^    ssl_certificate.*\n", "", found[1])
    for old, new in {
        "listen 443 ssl;": f"listen 127.0.0.1:{front};",
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "root /var/lib/conveyor;": f"root {site}/data;",
    }.items():
        assert old in server
        server = server.replace(old, new)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, server=server))
    argv = ["nginx", "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    with subprocess.Popen(argv) as process:
        try:
            wait_for(front, process)
            yield f"http://127.0.0.1:{front}"
        finally:
            process.terminate()


def move(site: Path, target: str, pointer: str, number: int) -> str:
    """Promote a commit; gives the pointer's client file."""
    with opened(site) as conveyor:
        conveyor.pointers.move(MoveKind.PROMOTED, [(target, pointer, commit_id_of(number))], actor="tests")
        return conveyor.tree.client_file(target, pointer)[1]


def pointed(site: Path, target: str, pointer: str, number: int) -> str:
    """The same, in a process of its own."""
    return run(move, site, target, pointer, number).text


def test_apt_installs_follows_and_goes_back(served: tuple[Path, int], tmp_path: Path) -> None:
    site, _ = served
    apt = Apt(Place(tmp_path / "apt"))
    apt.source(pointed(site, DEB, "tested", 1))
    apt.update().good()
    assert apt.candidate("hello") == "1.1-1"
    pointed(site, DEB, "tested", 2)
    apt.update().good()
    assert apt.candidate("hello") == "1.2-1"
    assert "Hit:" in apt.update().good() or "304" in apt.update().text


def test_dnf_installs_follows_and_takes_a_time(served: tuple[Path, int], tmp_path: Path) -> None:
    site, port = served
    url = f"http://127.0.0.1:{port}"
    dnf = Dnf(Place(tmp_path / "dnf"))
    dnf.source(pointed(site, RPM, "tested", 1))
    dnf.install("hello")
    assert dnf.greeting("hello") == "1.1"
    time.sleep(1.1)
    then = datetime.now(UTC)
    time.sleep(1.1)
    text = pointed(site, RPM, "tested", 2)
    dnf.upgrade()
    assert dnf.greeting("hello") == "1.2"

    old = Dnf(Place(tmp_path / "old"))
    at = f"{url}/repos/{RPM}/at/{then:%Y-%m-%dT%H:%M:%SZ}"
    answer = httpx.get(f"{at}/", params={"pointer": "tested"})
    location = answer.headers["location"]
    assert answer.status_code == 302
    assert location.endswith(f"/{commit_id_of(1)}/")
    old.source(re.sub(r"(?m)^mirrorlist=.*$", f"baseurl={httpx.URL(url).join(location)}", text))
    old.install("hello")
    assert old.greeting("hello") == "1.1"


def test_what_is_in_front_says_the_same_as_what_is_behind(served: tuple[Path, int], tmp_path: Path) -> None:
    site, port = served
    with nginx(tmp_path, site, port) as url:
        compare(site, url, f"http://127.0.0.1:{port}")


def compare(site: Path, url: str, own: str) -> None:
    """What is in front answers as what is behind."""
    snapshot = next((site / f"data/repos/{RPM}").glob(f"??/??/{commit_id_of(1)}")).relative_to(site / "data/repos")
    package = next((site / "data/repos" / RPM / "pool").glob("*/*/*.rpm")).relative_to(site / "data/repos")
    for path in (snapshot / "repodata/repomd.xml", snapshot / "commit.yaml", package, f"{RPM}/current/versions.csv"):
        front, behind = httpx.get(f"{url}/repos/{path}"), httpx.get(f"{own}/repos/{path}")
        assert front.status_code == behind.status_code == 200
        assert front.content == behind.content
        for header in ("cache-control", "last-modified"):
            assert front.headers[header] == behind.headers[header], path
        assert front.headers["content-type"].split(";")[0] == behind.headers["content-type"].split(";")[0], path
        part = httpx.get(f"{url}/repos/{path}", headers={"range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, behind.content[1:4])
    for path in (f"{RPM}/.lock", "../conveyor.db", "%2e%2e/conveyor.db"):
        assert httpx.get(f"{url}/repos/{path}").status_code in {400, 404}
    assert httpx.get(f"{url}/healthz").json() == {"alive": True}
    assert httpx.get(f"{url}/repos/{RPM}/").status_code == 200
    at = f"{RPM}/at/{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}/repodata/repomd.xml"
    redirected = httpx.get(f"{url}/repos/{at}")
    assert redirected.status_code == 302
    assert "/repodata/repomd.xml" in redirected.headers["location"]
