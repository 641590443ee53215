"""Mirrors beside the real daemon: what is promoted as the API does is there soon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conveyor.model.promotion import MoveKind
from tests.support.daemons import QuickSite, site_of
from tests.support.published import need
from tests.support.site import DEB, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def site() -> Iterator[QuickSite]:
    need("rsync", "setpriv")
    with site_of(QuickSite) as made:
        yield made


def test_a_promotion_through_the_api_is_mirrored_by_the_daemon(site: QuickSite) -> None:
    mirror = site.folder / "mirror"
    mirror.mkdir()
    settings = site.folder / "conveyor.toml"
    settings.write_text(f'{settings.read_text()}\n[[mirrors]]\nname = "eu"\ndestination = "{mirror}"\n')
    daemon = site.daemon("--no-poll")
    (number,) = site.queue()
    build = site.in_the_trunk(number)
    wait_for((mirror / DEB / "current").is_symlink, "the build to be mirrored", 60)

    with site.opened() as conveyor:
        conveyor.pointers.move(MoveKind.PROMOTED, [(DEB, "tested", build.commit.id)], actor="ada")
    wait_for((mirror / DEB / "tested").is_symlink, "the promotion to be mirrored", 60)
    assert (mirror / DEB / "tested").readlink().name == build.commit.id
    assert daemon.stop() == 0
