"""A target's further repositories, signed or not: the base and build dependencies come from them, whatever builds.

They are made once, below .cache/test-buildroots of the repository, as is what is made of them.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.errors import CommandFailed
from conveyor.model.target import AptRepository, DebianSuite
from tests.contract.test_builder_contract import CACHE, Bench, Wish, deb_bench, pbuilder_bench
from tests.support.published import need

pytestmark = pytest.mark.integration

FOLDER = CACHE / "apt-repositories"
CONTROL = """\
Package: {name}
Version: 1
Architecture: all
Maintainer: A Packager <packager@example.org>
Description: A package
 of no use.
"""


def repositories() -> tuple[AptRepository, ...]:
    """One that is signed, and one that is not."""
    if not FOLDER.is_dir():
        aside = FOLDER.with_name(f"{FOLDER.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        for name in ("signed", "plain"):
            make(aside / name, f"extra-{name}")
        sign(aside / "signed", aside / "key.gpg")
        aside.rename(FOLDER)
    return tuple(
        AptRepository(name=name, url=(FOLDER / name).as_uri(), suite="./", components=(), key=key)
        for name, key in (("signed", str(FOLDER / "key.gpg")), ("plain", None))
    )


def make(folder: Path, package: str) -> None:
    """A flat repository with one package."""
    root = folder / "root/DEBIAN"
    root.mkdir(parents=True)
    (root / "control").write_text(CONTROL.format(name=package))
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root.parent, folder], check=True, capture_output=True)
    shutil.rmtree(root.parent)
    listed = subprocess.run(["dpkg-scanpackages", "."], cwd=folder, check=True, capture_output=True).stdout
    (folder / "Packages").write_bytes(listed)
    digest = hashlib.sha256(listed).hexdigest()
    (folder / "Release").write_text(f"Date: Mon, 01 Jan 2024 12:00:00 UTC\nSHA256:\n {digest} {len(listed)} Packages\n")


def sign(folder: Path, key: Path) -> None:
    """Sign a repository with a new key, whose public part is written to `key`."""
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    run("gpg", home, "--quick-generate-key", "tests@example.org", "rsa3072", "sign", "never")
    run("gpg", home, "--output", str(key), "--export")
    run("gpg", home, "--output", str(folder / "InRelease"), "--clearsign", str(folder / "Release"))
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
    shutil.rmtree(home)


def run(program: str, home: Path, *arguments: str) -> None:
    options = ("--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
    subprocess.run([program, *options, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("make_bench", [deb_bench, pbuilder_bench], ids=["overlay", "pbuilder"])
def test_packages_come_from_them(make_bench: Callable[[], Bench], tmp_path: Path) -> None:
    need("gpg", "gpgconf", "dpkg-scanpackages")
    bench = make_bench()
    origin = DebianSuite(suite="trixie", mirror=None, components=("main",), repositories=repositories())
    target = replace(bench.target, name="debian-13-amd64-more", origin=origin, base_packages=("extra-signed",))
    bench = replace(bench, target=target)
    wish = Wish(needs="extra-signed, extra-plain", depends="extra-plain", build="dpkg -s extra-signed extra-plain")
    made = bench.built(wish, tmp_path, tmp_path / "log")
    (package,) = [path for path in made if path.match(bench.result)]
    bench.builder.check_install(target, [package], ("extra-plain",), None, tmp_path / "log")


def test_a_key_that_did_not_sign_is_told(tmp_path: Path) -> None:
    need("gpg", "gpgconf", "dpkg-scanpackages")
    bench = deb_bench()
    signed, _ = repositories()
    other = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    origin = DebianSuite(
        suite="trixie", mirror=None, components=("main",), repositories=(replace(signed, key=str(other)),)
    )
    with pytest.raises(CommandFailed, match="is not signed"):
        bench.builder.bootstrap(replace(bench.target, origin=origin), tmp_path / "log")
