"""What compilers made, from one build of a package to the next: who gets it, who does not, and what is not kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.overlay import compilations
from conveyor.buildroot.overlay.builder import OverlayBuilder
from conveyor.buildroot.overlay.compilations import Compilations
from conveyor.errors import BuildFailed
from conveyor.ports import BuildPlan
from tests.support.roots import fill_root, need_sandbox
from tests.support.touched import Site
from tests.support.workshop import TARGET

pytestmark = pytest.mark.integration

CACHING = replace(TARGET, ccache=True)
MAKE = (
    b'echo "before: $(ls $CCACHE_DIR)"; echo "path $PATH"; echo object > $CCACHE_DIR/made; echo x > $RESULTS/package\n'
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site whose roots have a ccache that does nothing."""
    need_sandbox()
    fill_root(tmp_path / "root")
    (tmp_path / "root/bin/ccache").write_text("#!/bin/sh\necho statistics\n")
    (tmp_path / "root/bin/ccache").chmod(0o755)
    return Site(tmp_path)


def build(site: Site, package: str, script: bytes = MAKE, *, caching: bool = True) -> tuple[list[str], str]:
    """Names of the results of a build, and what it said."""
    data = site.jobs_folder.parent
    kept = Compilations(data / "compilations")
    builder = OverlayBuilder(roots=site.roots, sandbox=site.sandbox, jobs=site.jobs, compilations=kept)
    results = data / f"results-{len(list(data.glob('results-*')))}"
    results.mkdir()
    site.log.write_text("")
    root = builder.prepare(CACHING if caching else TARGET, [], None, site.log)
    made = builder.build(root, BuildPlan(script=script, arguments=(), package=package), [], results, site.log, None)
    return [path.name for path in made], site.log.read_text()


def test_the_next_build_of_the_package_finds_what_the_last_one_made(site: Site) -> None:
    names, said = build(site, "nova")
    assert names == ["package"]
    assert "before: \n" in said
    assert "path /usr/lib/ccache:/usr/lib64/ccache:" in said
    _, said = build(site, "nova")
    assert "before: made\n" in said


def test_another_package_finds_nothing_of_it(site: Site) -> None:
    build(site, "nova")
    _, said = build(site, "glance")
    assert "before: \n" in said


def test_a_build_that_fails_leaves_what_was_there(site: Site) -> None:
    build(site, "nova")
    with pytest.raises(BuildFailed, match="code 3"):
        build(site, "nova", b"echo bad > $CCACHE_DIR/made; exit 3\n")
    _, said = build(site, "nova", b"cat $CCACHE_DIR/made; echo x > $RESULTS/package\n")
    assert "object\n" in said


def test_what_is_too_large_is_not_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilations, "MAX_BYTES", 1)
    names, _ = build(site, "nova")
    assert names == ["package"]
    _, said = build(site, "nova")
    assert "before: \n" in said


def test_targets_that_do_not_ask_for_it_build_without(site: Site) -> None:
    _, said = build(site, "nova", b"echo dir:$CCACHE_DIR:; echo x > $RESULTS/package\n", caching=False)
    assert "dir::" in said


def test_what_it_left_cannot_lead_out_of_the_sandbox(site: Site, tmp_path: Path) -> None:
    """An archive is unpacked by the next build only, as the user that builds run as."""
    evil = b"ln -s /bin $CCACHE_DIR/evil; echo x > $RESULTS/package\n"
    build(site, "nova", evil)
    build(site, "nova", b"echo bad > $CCACHE_DIR/evil/sh; echo x > $RESULTS/package\n")
    assert (tmp_path / "root/bin/sh").is_symlink()
    base = site.roots.base(TARGET, site.log)
    assert (site.root_of(base) / "bin/sh").is_symlink()
