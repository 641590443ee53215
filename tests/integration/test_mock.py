"""The mock builder on the little RPM distribution: what is particular to mock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rpm

from conveyor.errors import BuildDependencyMissing, BuildFailed, MirrorUnreachable, NotInstallable
from conveyor.formats.rpm.toolchain import read_header
from conveyor.model.target import RpmDistribution, RpmRepository
from conveyor.model.version import PackageVersion
from tests.contract.test_builder_contract import Bench, Wish, _spec, assert_nothing_left, mock_bench, rpm_bench

pytestmark = pytest.mark.integration

# mock builds the SRPM again from its spec, and tells rpmbuild the architecture; checksums follow from these.
OWN_TAGS = (
    *(rpm.RPMTAG_COOKIE, rpm.RPMTAG_PLATFORM, rpm.RPMTAG_SIGSIZE, rpm.RPMTAG_SIGMD5, rpm.RPMTAG_SHA1HEADER),
    rpm.RPMTAG_SHA256HEADER,
)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = mock_bench()
    yield made
    assert made.data is not None
    assert_nothing_left(made.data)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def with_section(bench: Bench, text: str) -> Bench:
    """The bench with one more section in the spec."""

    def packaging(wish: Wish, version: PackageVersion) -> Mapping[str, str]:
        (spec,) = _spec(wish, version).values()
        return {"greeting.spec": spec.replace("%prep\n", f"{text}\n%prep\n", 1)}

    return replace(bench, packaging=packaging)


def header_of(path: Path) -> dict[str, Any]:
    header = read_header(path)
    return {str(rpm.tagnames.get(tag, tag)).lower(): header[tag] for tag in header.keys() if tag not in OWN_TAGS}  # noqa: SIM118


def test_the_package_is_overlays(bench: Bench, tmp_path: Path) -> None:
    headers = []
    for name, one in (("overlay", rpm_bench()), ("mock", bench)):
        (tmp_path / name).mkdir()
        (package,) = one.built(Wish(needs=one.good, depends=one.good), tmp_path / name, tmp_path / name / "log")
        headers.append((package.name, header_of(package)))
    assert headers[0] == headers[1]
    assert headers[0][1]["buildhost"] == "conveyor"
    assert headers[0][1]["buildtime"] == 1_704_110_400


def test_generated_build_requires_are_installed(bench: Bench, tmp_path: Path, log: Path) -> None:
    bench = with_section(bench, "%generate_buildrequires\necho python3-webob")
    bench.built(Wish(build="python3 -c 'import webob'"), tmp_path, log)
    assert "Executing(%generate_buildrequires)" in log.read_text()


def test_a_generated_build_require_that_is_nowhere_is_named(bench: Bench, tmp_path: Path, log: Path) -> None:
    bench = with_section(bench, "%generate_buildrequires\necho libdoesnotexist")
    with pytest.raises(BuildDependencyMissing, match="libdoesnotexist"):
        bench.built(Wish(), tmp_path, log)


def test_the_build_has_no_network_but_the_loopback(bench: Bench, tmp_path: Path, log: Path) -> None:
    # The source package's parsing has none, either.
    look = "cat /proc/net/dev"
    bench = with_section(bench, f"%(echo; {look} | sed 's/^/parsing: /' >&2)")
    serve = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())"
    bench.built(Wish(build=f'{look} | sed "s/^/building: /"; python3 -c "{serve}"'), tmp_path, log)
    lines = [line.split()[:2] for line in log.read_text().splitlines() if line.startswith(("parsing: ", "building: "))]
    devices = [(stage, name) for stage, name in lines if name.endswith(":")]
    assert {stage for stage, _ in devices} == {"parsing:", "building:"}
    # Tunnels that the kernel makes in each namespace lead nowhere.
    assert {name for _, name in devices} <= {"lo:", "sit0:", "tunl0:", "ip6tnl0:", "gre0:", "gretap0:", "erspan0:"}


def test_what_a_build_prints_decides_nothing(bench: Bench, tmp_path: Path, log: Path) -> None:
    lie = "Error: Failed to download metadata for repo 'local'"
    with pytest.raises(BuildFailed):
        bench.built(Wish(build=f'echo "{lie}"; exit 30'), tmp_path, log)
    assert lie in log.read_text()


def test_a_dead_mirror_is_not_the_packages_fault(bench: Bench, tmp_path: Path, log: Path) -> None:
    source = bench.source(Wish(needs=bench.good), tmp_path, log)
    dead = RpmDistribution(
        repositories=(RpmRepository(name="local", url="http://127.0.0.1:9/", key=None),),
        release="1",
        database="/usr/lib/sysimage/rpm",
    )
    with pytest.raises(MirrorUnreachable, match=r"127\.0\.0\.1"):
        bench.builder.bootstrap(replace(bench.target, origin=dead), log)
    assert source


def test_two_build_at_once(bench: Bench, tmp_path: Path) -> None:
    def built(name: str) -> tuple[Path, ...]:
        (tmp_path / name).mkdir()
        return bench.built(Wish(needs=bench.good), tmp_path / name, tmp_path / name / "log")

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(built, ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_the_kept_root_is_used_again(bench: Bench, tmp_path: Path, log: Path) -> None:
    bench.builder.bootstrap(bench.target, log)
    (tmp_path / "again").mkdir()
    bench.builder.bootstrap(bench.target, tmp_path / "again/log")
    bench.source(Wish(), tmp_path, tmp_path / "again/log")
    said = (tmp_path / "again/log").read_text()
    assert "Start: unpacking root cache" in said
    assert "installing minimal buildroot" not in said


def test_a_build_leaves_regular_packages_only(bench: Bench, tmp_path: Path, log: Path) -> None:
    tricks = (
        "cd %{_rpmdir}; touch not-a-package; mkfifo pipe.txt; ln -s /builddir link; cp -a /builddir/build/SOURCES x"
    )
    (package,) = bench.built(Wish(build=tricks), tmp_path, log)
    assert package.match(bench.result)
    assert package.is_file()
    assert not package.is_symlink()


def test_a_failing_script_is_the_packages_fault(bench: Bench, tmp_path: Path, log: Path) -> None:
    lie = "Error: Failed to download metadata for repo 'local'"
    bench = with_section(bench, f'%pre\necho "{lie}"; kill -9 $PPID; exit 1')
    made = bench.built(Wish(), tmp_path, log)
    with pytest.raises(NotInstallable):
        bench.builder.check_install(bench.target, made, (), None, log)
    assert lie in log.read_text()


def test_scripts_of_what_was_built_are_held(bench: Bench, tmp_path: Path, log: Path) -> None:
    # No network, no mount, no device, no way out of the root, no other processes.
    tries = "mount -t tmpfs x /mnt || ! mknod /tmp/sda b 8 0 || ! chroot / true || ! grep -q : /proc/net/route"
    script = f"if ! {{ {tries.replace('|| !', '|| ')}; }}; then echo held: $(ls -d /proc/[0-9]* | wc -l); fi"
    made = with_section(bench, f"%post\n{script}").built(Wish(), tmp_path, log)
    bench.builder.check_install(bench.target, made, (), None, log)
    (held,) = [line for line in log.read_text().splitlines() if line.startswith("held: ")]
    assert int(held.split()[1]) < 10


def test_a_kept_root_can_be_entered(bench: Bench, tmp_path: Path, log: Path) -> None:
    keep = tmp_path / "root"
    with pytest.raises(BuildFailed):
        bench.built(Wish(build="echo half > %{_builddir}/done; exit 3"), tmp_path, log, keep=keep)
    look = "test $(id -u) != 0 && grep -r half /builddir/build/BUILD && ! grep -q eth /proc/net/dev"
    assert bench.builder.shell(bench.target, keep, ["/bin/sh", "-c", look]) == 0
    assert bench.builder.shell(bench.target, keep, ["/bin/sh", "-c", "exit 4"]) == 4
