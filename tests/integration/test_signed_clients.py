"""The clients of Debian 13 and of the little RPM distribution, newer than those of this machine: apt 3 asks sqv."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.buildroot.isolation.sandbox import Bind, Call, Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.formats.deb.keys import signed_by
from conveyor.formats.rpm.dnf import local_paths
from conveyor.model.target import Format, Limits, RpmDistribution, Target
from tests.contract.test_index_writers import DEB_TARGET as DEB
from tests.contract.test_index_writers import RPM_TARGET as RPM
from tests.contract.test_signed_repositories import Site
from tests.support.keys import Keys
from tests.support.published import need
from tests.support.real_roots import DEB_TARGET, RPM_TARGET, RealRoots, real_roots
from tests.support.roots import UID

pytestmark = pytest.mark.integration

LIMITS = Limits(seconds=120, memory=2**30, disk=2**30, processes=200)
# rpm 4.20 puts scriptlets into namespaces, and the sandbox is one already.
MACROS = "%__transaction_unshare %{nil}\n"


class Machine:
    """A throw-away machine in a root, without network: repositories are files.

    Args:
        made: the roots.
        requirements: what is installed beside the base.
        repos: the published tree.
    """

    def __init__(self, made: RealRoots, requirements: tuple[str, ...], repos: Path) -> None:
        self.made, self.repos = made, repos
        self.layers = (made.satisfy(*requirements)[0] if requirements else made.base).layers
        self.sandbox = Sandbox(
            jobs=Jobs(made.data / "jobs"), layers=made.store.layers, uid=UID, scratch=ScratchKind.AUTO
        )

    def run(self, script: str) -> tuple[int, str]:
        """Run a shell script as root of the machine; its exit code and what it said."""
        lines, macros = self.repos.parent / "lines.sh", self.repos.parent / "rpmmacros"
        lines.write_text(script)
        macros.write_text(MACROS)
        call = Call(
            argv=("/bin/sh", "-eu", "/lines.sh"),
            layers=self.layers,
            limits=LIMITS,
            privileged=True,
            binds=(
                Bind(source=lines, target="/lines.sh"),
                Bind(source=macros, target="/root/.rpmmacros"),
                Bind(source=self.repos, target=str(self.repos)),
                *(Bind(source=path, target=str(path)) for path in _distribution(self.made.target)),
            ),
            environment={"HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"},
        )
        done = self.sandbox.run(call)
        return done.exit_code, done.output


def _distribution(target: Target) -> tuple[Path, ...]:
    return local_paths(target.origin) if isinstance(target.origin, RpmDistribution) else ()


@pytest.fixture(scope="module", params=["deb", "rpm"])
def roots(request: pytest.FixtureRequest) -> Iterator[RealRoots]:
    with real_roots(DEB_TARGET if request.param == "deb" else RPM_TARGET) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Site:
    need("gpg", "rpmsign")
    (tmp_path / "repos").mkdir()
    return Site(tmp_path, keys, (tmp_path / "repos").as_uri(), tmp_path_factory.mktemp("made"))


def test_it_installs_what_is_signed_and_refuses_the_rest(roots: RealRoots, site: Site, tmp_path: Path) -> None:
    deb = roots.target.format is Format.DEB
    name = DEB if deb else RPM
    site.sign_with("first", also=["second"])
    site.publish(name, 1)
    machine = Machine(roots, () if deb else ("dnf",), tmp_path / "repos")
    # Of the distribution's own repositories none is reached from here.
    only = "rm -rf /etc/apt/sources.list* /etc/yum.repos.d\nmkdir -p /etc/apt/sources.list.d /etc/yum.repos.d\n"
    query = "\ndpkg-query -W hello other" if deb else "\nrpm -q hello other"
    lines = only + site.tree.client_lines(name, "current", ["hello", "other"]) + query
    code, said = machine.run(lines)
    assert code == 0, said
    assert re.search(r"hello[\t-]1\.1", said)
    if deb:
        assert "W:" not in said
    for keys, accepted in (("first", True), ("second", True), ("locked", False)):
        code, said = machine.run(reading(with_keys(lines, site.keys.export(keys), tmp_path / "repos")))
        assert (code == 0) is accepted, said
        assert accepted or re.search(r"is not signed|Bad GPG signature|Signing key not found|NO_PUBKEY|sqv", said), said


def with_keys(lines: str, keys: bytes, repos: Path) -> str:
    """The lines with other keys than those that they name."""
    if "gpgkey=" in lines:
        (repos / "pinned.asc").write_bytes(keys)
        return re.sub(r"gpgkey=.*", f"gpgkey=file://{repos}/pinned.asc", lines)
    return re.sub(r"Signed-By:(\n .*)+", signed_by(keys.decode()), lines)


def reading(lines: str) -> str:
    """The lines up to where metadata is read: a package has one signature only."""
    kept = lines[: lines.index("\nEND\n")] + "\nEND\n"
    return kept + ("dnf --assumeyes makecache" if "gpgkey=" in lines else "apt-get update --error-on=any")
