"""A webhook beside a daemon that polls rarely: what was pushed is built at once."""

from __future__ import annotations

import hmac
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.daemons import QuickSite
from tests.support.published import need
from tests.support.site import CACHE, wait_for
from tests.support.webprocess import free_port, running

pytestmark = pytest.mark.integration

PROGRAMS = ("git", "bwrap", "setpriv", "unshare", "mkfs.ext4", "mmdebstrap", "apt-get", "dpkg")
SECRET = "topsecret"


@pytest.fixture
def site() -> Iterator[QuickSite]:
    if os.geteuid() != 0:
        pytest.skip("building needs root")
    need(*PROGRAMS)
    CACHE.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="hooks-", dir=CACHE))
    made = QuickSite(folder)
    yield made
    defects = made.close()
    shutil.rmtree(folder)
    assert defects == []


def test_what_a_forge_tells_of_is_built_at_once(site: QuickSite) -> None:
    (site.folder / "secret").write_text(SECRET)
    settings = site.folder / "conveyor.toml"
    settings.write_text(f'{settings.read_text()}\n[web.hooks]\ngithub = "{site.folder}/secret"\n')
    daemon = site.daemon(env={"CONVEYOR_POLLING_INTERVAL": "1d"})
    with site.books() as books:
        wait_for(lambda: books.store.builds(package="hello"), "the first poll", 60)
    site.in_the_trunk(1)

    site.push("sleep 0")
    body = json.dumps({"ref": "refs/heads/master", "repository": {"clone_url": site.upstream.url}}).encode()
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    headers = {"x-github-event": "push", "x-hub-signature-256": f"sha256={signature}"}
    port = free_port()
    with running(site.folder, port, site.environment()):
        answer = httpx.post(f"http://127.0.0.1:{port}/hooks/github", content=body, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (202, "accepted: poll of hello")
    with site.books() as books:
        wait_for(lambda: len(books.store.builds(package="hello")) == 2, "the build of what was pushed", 60)
    built = site.in_the_trunk(2)
    assert built.commit.upstream.sha == site.upstream.head
    daemon.stop()
