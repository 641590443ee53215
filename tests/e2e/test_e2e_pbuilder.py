"""The whole way with `builder: pbuilder`: what comes out is what comes out of overlay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.published import need
from tests.support.site import DEB, PACKAGING, Site

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def _need_pbuilder() -> None:
    need("pbuilder", "zstd", "ip")


def switch(site: Site) -> None:
    """Let pbuilder build the deb target, and nothing else be built."""
    site.targets = {DEB: "{format: deb, suite: trixie, builder: pbuilder}"}
    site.configure()


def content(package: Path) -> str:
    return subprocess.run(["dpkg-deb", "--contents", package], check=True, capture_output=True, text=True).stdout


def test_it_gives_what_overlay_gives(site: Site, buildroots: Path) -> None:
    site.replace("debian/control.j2", "Standards", "Build-Depends: hello\nStandards")
    other = site.folder / "other"
    other.mkdir()
    (other / "buildroots").symlink_to(buildroots)
    assert site.run("build", "hello", "--target", DEB).code == 0
    switch(site)
    said = site.run("build", "hello", env={"CONVEYOR_DATA_DIR": str(other)}, patience=600)
    assert said.code == 0, said.err
    (one,) = site.artifacts(".deb")
    (two,) = sorted((other / "repos").glob("*/pool/*/*/*.deb"))
    assert one.name == two.name
    assert content(one) == content(two)
    assert one.read_bytes() == two.read_bytes()
    names = [sorted(path.name for path in (data / "repos").glob("*/pool/*/*/*")) for data in (site.data, other)]
    assert names[0] == names[1]
    assert list((other / "jobs").iterdir()) == []

    # What its root held is known by the .buildinfo.
    verified = site.run("verify", "1", "--json", env={"CONVEYOR_DATA_DIR": str(other)}, patience=600)
    assert verified.code == 0, verified.out + verified.err
    assert (verified.json["verdict"], verified.json["replaced"]) == ("reproducible", [])
    (statement,) = (other / "repos").glob("*/*/*/*/provenance/hello.intoto.json")
    assert "pkg:deb/debian/hello@" in statement.read_text()


def test_a_package_of_the_trunk_is_a_build_dependency_of_the_next(site: Site) -> None:
    switch(site)
    changed = {
        "debian/control.j2": ("Standards", "Build-Depends: hello (>= 0)\nStandards"),
        "debian/rules.j2": ("binary-indep:\n", "binary-indep:\n\tdpkg-query -W hello | grep deb13\n"),
    }
    for path, text in PACKAGING.items():
        old, new = changed.get(path, ("", ""))
        site.packaging(path, text.replace(old, new, 1) if old else text, package="second")
    site.packages["second"] = f'{{upstream: "{site.upstream.url}"}}'
    site.configure()
    site.commit_packaging()
    assert site.run("build", "hello", patience=600).code == 0
    said = site.run("build", "second", patience=600)
    assert said.code == 0, said.err + site.run("log", "second").out
    assert len(site.artifacts(".deb")) == 2


def test_a_failed_build_is_told_and_its_root_is_kept(site: Site) -> None:
    switch(site)
    site.replace("debian/rules.j2", "binary-indep:\n", "binary-indep:\n\techo half > done\n\tfalse\n")
    said = site.run("build", "hello", "--keep-root", patience=600)
    assert said.code == 1
    assert "BuildFailed" in site.run("status", "--json").out
    shell = [sys.executable, "-m", "conveyor.cli.main", "shell", "hello"]
    shown = subprocess.run(
        shell,
        cwd=site.folder,
        env=site.environment(),
        input="cat done; exit 7\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.returncode, shown.stdout) == (7, "half\n"), shown.stderr


def test_a_missing_build_dependency_is_told(site: Site) -> None:
    switch(site)
    site.replace("debian/control.j2", "Standards", "Build-Depends: libdoesnotexist\nStandards")
    said = site.run("build", "hello", patience=600)
    assert said.code == 1
    assert "libdoesnotexist" in said.out + said.err


def test_what_it_keeps_is_entered_listed_and_removed(site: Site, buildroots: Path) -> None:
    switch(site)
    shell = [sys.executable, "-m", "conveyor.cli.main", "buildroot", "shell", DEB]
    typed = "echo $(id -un); touch /etc/x; exit 4\n"
    shown = subprocess.run(
        shell, cwd=site.folder, env=site.environment(), input=typed, capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stdout) == (4, "build\n"), shown.stderr
    (name,) = [item["id"] for item in site.run("buildroot", "list", "--json").json["items"] if item["current"]]
    # From here on with a stock of its own: hard links to the tarballs that are shared.
    (site.data / "buildroots").unlink()
    shared = buildroots / "tools" / f"pbuilder-{DEB}" / name
    cache = site.data / f"buildroots/tools/pbuilder-{DEB}"
    shutil.copytree(shared, cache / shared.name, copy_function=os.link)
    (cache / "base-old").mkdir()
    (cache / "base-old/base.tar.zst").write_bytes(bytes(8192))
    found = {item["id"]: item for item in site.run("buildroot", "list", "--json").json["items"]}
    base = found[shared.name]
    assert (base["builder"], base["target"], base["kind"], base["users"]) == ("pbuilder", DEB, "base", [])
    assert {name: item["current"] for name, item in found.items()} == {shared.name: True, "base-old": False}
    assert "pbuilder  base (current)" in site.run("buildroot", "list").out
    assert "nothing to do: no base is due" in site.run("buildroot", "refresh", "--due").out
    assert site.run("buildroot", "prune", "--to", str(base["size"])).code == 0
    assert [path.name for path in sorted(cache.glob("base-*"))] == [shared.name]
    assert site.run("buildroot", "prune", "--all").code == 0
    assert list(cache.glob("base-*")) == []
