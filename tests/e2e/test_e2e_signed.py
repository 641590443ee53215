"""A site that signs: from the key to packages that are built on signed ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.contract.test_signed_repositories import checksig
from tests.support.keys import Keys, gpgv
from tests.support.published import need
from tests.support.site import DEB, PACKAGING, RPM, Site

pytestmark = pytest.mark.e2e


def sign(site: Site, text: str) -> None:
    """Write the settings."""
    (site.folder / "conveyor.toml").write_text(f"[signing]\n{text}\n")


def add_world(site: Site) -> None:
    """A package that needs hello to be built and to be installed."""
    site.packages["world"] = site.packages["hello"]
    for path, text in PACKAGING.items():
        needs = text.replace("Standards-Version", "Build-Depends: hello\nStandards-Version")
        needs = needs.replace("Architecture: all", "Architecture: all\nDepends: hello")
        needs = needs.replace("BuildArch: noarch", "BuildArch: noarch\nBuildRequires: hello\nRequires: hello")
        site.packaging(path.replace("hello", "world"), needs, package="world")
    site.configure()
    site.commit_packaging()


def test_a_made_key_signs_and_builds_use_what_is_signed(site: Site, tmp_path: Path) -> None:
    need("gpg", "gpgv", "rpmsign", "rpmkeys")
    made = site.run("key", "create")
    (fingerprint,) = re.findall(r'key = "(\w{40})"', made.out)
    sign(site, f'key = "{fingerprint}"')
    assert fingerprint in site.run("key", "show").out
    add_world(site)
    said = site.run("build", "hello", "world")
    assert said.code == 0, said.err
    assert said.err == ""
    rpms, debs = (site.data / "repos" / target / "current" for target in (RPM, DEB))
    keys = (rpms / "conveyor.asc").read_bytes()
    assert gpgv(keys, tmp_path, debs / "dists/trunk/InRelease").returncode == 0
    assert gpgv(keys, tmp_path, debs / "dists/trunk/Release.gpg", debs / "dists/trunk/Release").returncode == 0
    detached = [path for folder in (rpms, debs) for path in folder.rglob("*.asc") if path.with_suffix("").exists()]
    # repomd.xml's; provenance and SBOM of both.
    assert len(detached) == 5
    for path in detached:
        assert gpgv(keys, tmp_path, path, path.with_suffix("")).returncode == 0, path
    packages = site.artifacts(".rpm")
    assert len(packages) == 4
    for package in packages:
        said_of = checksig(keys, tmp_path, package)
        assert "RSA/SHA512 Signature" in said_of
        assert "NOT OK" not in said_of
    assert "gpgcheck=1\nrepo_gpgcheck=1\n" in (rpms / "conveyor.repo").read_text()
    assert "Signed-By:\n -----BEGIN" in (debs / "conveyor.sources").read_text()
    assert site.run("status").out.splitlines()[-1] == f"signed by {fingerprint}"
    verified = site.run("verify", "1")
    assert verified.code == 0, verified.out + verified.err
    assert "it is signed by a key of this site" in verified.out
    published = site.published
    again = site.run("build", "hello", "world")
    assert (again.code, again.err) == (0, "")
    assert site.published == published
    assert site.left_behind == []


@pytest.mark.parametrize(
    ("kind", "cause"),
    [("locked", "passphrase"), ("expired", "is expired since"), ("public", "without its private half")],
)
def test_nothing_is_built_with_a_key_that_does_not_sign(rpm_site: Site, keys: Keys, kind: str, cause: str) -> None:
    sign(rpm_site, f'key = "{keys[kind]}"\nhome = "{keys.home}"')
    said = rpm_site.run("build", "hello")
    assert said.code == 3
    assert cause in said.err
    assert "next: " in said.err
    assert rpm_site.published == ()
    assert not list(rpm_site.data.glob("builds/*"))
    doctor = rpm_site.run("doctor")
    assert doctor.code == 3
    assert re.search(r"^missing +signing ", doctor.out, re.MULTILINE)
    assert rpm_site.run("build", "hello", "--no-publish").code == 0


def test_unsigned_is_said_everywhere(rpm_site: Site) -> None:
    sign(rpm_site, "unsigned = true")
    said = rpm_site.run("build", "hello")
    assert said.code == 0
    assert said.err == "conveyor: the repositories are not signed, as the settings say\n"
    assert rpm_site.run("status").out.splitlines()[-1] == "the repositories are not signed, as the settings say"
    assert "nothing is signed, as the settings say" in rpm_site.run("doctor").out
    (client,) = (rpm_site.data / "repos" / RPM).glob("*/*/*/conveyor.repo")
    assert "# This repository is not signed" in client.read_text()
