"""Without root: an ordinary user builds, is interrupted and killed, and looks into kept roots."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.person import UID, Person, person
from tests.support.published import need
from tests.support.site import DEB, DISTRIBUTION, ROOT, RPM, Site, wait_for

pytestmark = pytest.mark.e2e

CACHE = ROOT / ".cache"
PROGRAMS = ("git", "bwrap", "setpriv", "unshare", "mmdebstrap", "apt-get", "dpkg", "dnf", "rpm")
STRANGER = Person(uid=64126)  # has no account, so no subordinate ids
NOBODY = Person(uid=65534)  # has an account, and no subordinate ids


@pytest.fixture(scope="module")
def user() -> Iterator[Person]:
    need(*PROGRAMS)
    with person() as made:
        yield made


@pytest.fixture(scope="module")
def user_buildroots(user: Person) -> Path:
    """A folder of layers of the user's own that outlives the tests, filled by one build."""
    if not (DISTRIBUTION / "repodata").is_dir():
        pytest.skip(f"{DISTRIBUTION} is missing: containers/rpm-distribution/make.py makes it")
    folder = CACHE / "test-buildroots-rootless"
    folder.mkdir(exist_ok=True)
    os.chown(folder, UID, UID)
    with tempfile.TemporaryDirectory(prefix="e2e-", dir=CACHE) as name:
        site = _site(Path(name), folder, user)
        said = user.run(site, "build", "hello", patience=1200)
        if said.code == 3:
            pytest.skip(f"the buildroots cannot be made: {said.err}")
        assert said.code == 0, said.err
    return folder


@pytest.fixture
def site(user: Person, user_buildroots: Path) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="e2e-", dir=CACHE))
    made = _site(folder, user_buildroots, user)
    yield made
    left = made.left_behind
    shutil.rmtree(folder)
    assert left == []


def _site(folder: Path, buildroots: Path, user: Person) -> Site:
    own = folder / "site"
    own.mkdir()
    made = Site(own, buildroots)
    folder.chmod(0o755)
    user.own(own)
    return made


def _only(site: Site, target: str, user: Person) -> None:
    site.targets = {target: site.targets[target]}
    site.configure()
    user.own(site.folder)


def test_packages_of_both_formats_are_built_and_published(site: Site, user: Person) -> None:
    said = user.run(site, "build", "hello", "--json")
    assert said.code == 0, said.err
    results = {result["build"]["target"]: result["build"] for result in said.json["results"]}
    assert {name: (one["outcome"], one["published"]) for name, one in results.items()} == {
        DEB: ("succeeded", True),
        RPM: ("succeeded", True),
    }
    assert [path.suffix for path in site.artifacts(".deb")] == [".deb"]
    assert len(site.artifacts(".noarch.rpm")) == 1
    owners = {path.lstat().st_uid for path in site.data.rglob("*")}
    assert owners == {UID}


def test_the_doctor_tells_that_it_is_a_user_namespace(site: Site, user: Person) -> None:
    said = user.run(site, "doctor")
    assert said.code == 0, said.out
    assert f"root of a user namespace, uid {UID} outside of it" in said.out
    assert "sandbox works" in " ".join(said.out.split())


@pytest.mark.parametrize(
    ("stranger", "remedy"),
    [(STRANGER, f"useradd --uid {STRANGER.uid}"), (NOBODY, "usermod --add-subuids 100000-165535")],
    ids=["no account", "no range"],
)
def test_who_has_no_subordinate_ids_is_told_what_is_missing(site: Site, stranger: Person, remedy: str) -> None:
    said = stranger.run(site, "build", "hello")
    assert said.code == 2
    assert "building needs root, or a user namespace" in said.err
    assert remedy in said.err
    assert "Traceback" not in said.err


def test_after_a_kill_nothing_lives_and_the_next_build_is_clean(site: Site, user: Person) -> None:
    _only(site, RPM, user)
    site.stall("build", 60)
    user.own(site.folder)
    running = user.start(site, "build", "hello")
    site.reach(running, "build")
    site.killed(running)
    # The kernel takes a moment to end what a killed process had started.
    wait_for(lambda: not any(line.startswith(("process", "mount")) for line in site.left_behind), "all to end")
    site.packaging("hello.spec.j2", (site.folder / "specs/hello/hello.spec.j2").read_text().replace("60", "0"))
    user.own(site.folder)
    said = user.run(site, "build", "hello")
    assert said.code == 0, said.err
    assert site.left_behind == []


def test_ctrl_c_cancels_the_build(site: Site, user: Person) -> None:
    _only(site, RPM, user)
    site.stall("build", 60)
    user.own(site.folder)
    running = user.start(site, "build", "hello")
    site.reach(running, "build")
    said = site.interrupted(running)
    assert said.code == 130
    assert site.left_behind == []


def test_processes_and_disk_are_limited_all_the_same(site: Site, user: Person) -> None:
    site.limit(RPM, "{processes: 40, disk: 64M}")
    _only(site, RPM, user)
    forks = "for i in $(seq 80); do sleep 5 & done; wait"
    site.replace("hello.spec.j2", "%build\n", f"%build\n{forks}\n")
    user.own(site.folder)
    said = user.run(site, "build", "hello")
    assert said.code == 1, said.err
    site.replace("hello.spec.j2", "%build\n", "%build\nhead -c 200M /dev/zero > big\n")
    user.own(site.folder)
    said = user.run(site, "build", "hello")
    assert said.code == 1
    assert "64 MiB of disk" in said.err


def test_a_kept_root_can_be_entered(site: Site, user: Person) -> None:
    _only(site, RPM, user)
    site.replace("hello.spec.j2", "%build\n", "%build\nexit 1\n")
    user.own(site.folder)
    assert user.run(site, "build", "hello", "--keep-root").code == 1
    ended = subprocess.run(
        [*user.prefix, sys.executable, "-m", "conveyor.cli.main", "shell", "1"],
        cwd=site.folder,
        env=site.environment(user.environment(site)),
        input="id -u; exit 7\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 7, ended.stderr
    assert ended.stdout.strip() == "1000"
