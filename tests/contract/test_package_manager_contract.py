"""What every PackageManager does; then the command lines of each, and what it makes of real logs of its tools.

The logs below tests/data/logs/managers were written by apt 2 and 3, dpkg, mmdebstrap, dnf and rpm, on repositories of
tiny packages: "needy" requires what is nowhere, "deep" requires "needy", "hater" conflicts with "base", "one" and "two"
hold the same file, "gone" is listed but not there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.errors import (
    BuildDependencyMissing,
    CommandFailed,
    ConveyorError,
    DiskFull,
    Fault,
    MirrorUnreachable,
    SourceInvalid,
)
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.target import AptRepository, DebianSuite, Format, RpmDistribution, RpmRepository, Target
from conveyor.ports import Changes, InstalledPackage, PackageManager, Place, Trunk
from tests.support.workshop import TARGET as DEB_TARGET

LOGS = Path(__file__).parents[1] / "data/logs/managers"
MIRROR = "http://mirror.example.org/debian"
RPM_TARGET = replace(
    DEB_TARGET,
    name="local-1-x86_64",
    format=Format.RPM,
    architecture="x86_64",
    origin=RpmDistribution(
        repositories=(
            RpmRepository(name="local", url="file:///srv/rpms", key=None),
            RpmRepository(name="signed", url="https://mirror.example.org/signed/", key="/etc/keys/signed"),
            RpmRepository(name="meta", url="https://mirror.example.org/metalink?repo=x", key="https://example.org/key"),
        ),
        release="1",
        database="/usr/lib/sysimage/rpm",
    ),
    base_packages=("bash", "rpm"),
    dist="local1",
)
TRUNK = Trunk(
    folder=Path("/data/repos/x"),
    snapshot="ab/cd/abcd",
    binaries=(
        Artifact(
            filename="a",
            sha256="0" * 64,
            size=1,
            kind=ArtifactKind.BINARY,
            name="a",
            version="1",
            architecture="all",
        ),
    ),
)
MANAGERS: dict[str, tuple[PackageManager, Target]] = {
    "apt": (AptManager(lambda: MIRROR), DEB_TARGET),
    "dnf": (DnfManager(), RPM_TARGET),
}
HOSTILE = ["-o", "--option=x", "a; touch /x", "$(id)", "a b", "ä"]


@pytest.fixture(params=sorted(MANAGERS))
def managed(request: pytest.FixtureRequest) -> tuple[PackageManager, Target]:
    return MANAGERS[request.param]


class TestEveryManager:
    def test_it_names_the_programs_that_it_needs(self, managed: tuple[PackageManager, Target]) -> None:
        manager, _ = managed
        assert all(program.name and program.package for program in manager.programs)

    def test_only_the_last_step_of_an_installation_does_without_the_network(
        self, managed: tuple[PackageManager, Target]
    ) -> None:
        manager, target = managed
        steps = manager.install(target, ["a", "b"], None)
        assert [step.network for step in steps] == [True] * (len(steps) - 1) + [False]

    def test_requirements_cannot_be_taken_for_options(self, managed: tuple[PackageManager, Target]) -> None:
        manager, target = managed
        for step in manager.install(target, HOSTILE, None):
            if HOSTILE[0] in step.argv:
                at = step.argv.index("--")
                assert step.argv[at + 1 :] == tuple(HOSTILE)

    def test_files_are_installed_without_the_network_from_the_folder_of_packages(
        self, managed: tuple[PackageManager, Target]
    ) -> None:
        manager, target = managed
        for step in manager.install_files(target, ["a.pkg", "-x.pkg"]):
            assert not step.network
            assert step.argv[-2:] == ("/conveyor/packages/a.pkg", "/conveyor/packages/-x.pkg")

    def test_resolving_ends_with_the_step_that_tells_and_answers_no_question_with_yes(
        self, managed: tuple[PackageManager, Target]
    ) -> None:
        manager, target = managed
        *_, last = manager.resolve(target, HOSTILE, None)
        assert last.argv[last.argv.index("--") + 1 :] == tuple(HOSTILE)
        assert {"--simulate", "--assumeno"} & set(last.argv)

    def test_exact_versions_are_installed_without_the_network_in_the_end(
        self, managed: tuple[PackageManager, Target]
    ) -> None:
        manager, target = managed
        package = InstalledPackage(name="six", version="0:1.2-3", architecture="noarch")
        steps = manager.install_exactly(target, [package], None)
        assert [step.network for step in steps] == [True] * (len(steps) - 1) + [False]
        named = {"apt": "six=0:1.2-3", "dnf": "six-0:1.2-3.noarch"}["apt" if target.format is Format.DEB else "dnf"]
        assert {step.argv[-2:] for step in steps} == {("--", named)}

    def test_what_tells_nothing_is_not_taken_for_nothing_to_do_by_accident(
        self, managed: tuple[PackageManager, Target]
    ) -> None:
        manager, target = managed
        failed = {Format.DEB: "E: Unable to correct problems", Format.RPM: "Error: Unable to find a match: x"}
        assert manager.parse_changes(failed[target.format]) is None

    def test_listing_needs_no_network(self, managed: tuple[PackageManager, Target]) -> None:
        manager, target = managed
        assert not manager.list_installed(target).network

    def test_what_is_listed_is_parsed_sorted_and_noise_is_left_out(
        self, managed: tuple[PackageManager, Target]
    ) -> None:
        manager, _ = managed
        output = "warning: noise\nzlib\t1:2.0-1\tamd64\nbash\t5\tall\n\n"
        assert manager.parse_installed(output) == (
            InstalledPackage(name="bash", version="5", architecture="all"),
            InstalledPackage(name="zlib", version="1:2.0-1", architecture="amd64"),
        )

    def test_trunk_is_an_additional_source_with_a_higher_rank(self, managed: tuple[PackageManager, Target]) -> None:
        manager, target = managed
        without = "".join(text for step in manager.install(target, ["a"], None) for text in step.files.values())
        files = manager.install(target, ["a"], TRUNK)[-1].files
        assert "/conveyor/trunk/ab/cd/abcd" in "".join(files.values())
        assert "trunk" not in without

    def test_an_empty_log_is_our_fault(self, managed: tuple[PackageManager, Target]) -> None:
        manager, target = managed
        error = manager.failure(target, [])
        assert (type(error), error.fault) == (CommandFailed, Fault.OURS)

    def test_a_target_of_another_format_is_refused(self) -> None:
        with pytest.raises(TypeError):
            AptManager(lambda: MIRROR).bootstrap(RPM_TARGET)
        with pytest.raises(TypeError):
            DnfManager().bootstrap(DEB_TARGET)


class TestApt:
    def test_bootstrap(self) -> None:
        target = replace(
            DEB_TARGET,
            origin=DebianSuite(suite="trixie", mirror=None, components=("main", "contrib")),
            base_packages=("ca-certificates", "eatmydata"),
        )
        (step,) = AptManager(lambda: MIRROR).bootstrap(target)
        assert (step.place, step.network) == (Place.HOST, True)
        assert list(step.argv) == [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
            *("--architectures=amd64", "--components=main,contrib"),
            *('--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Retries "3"'),
            "--include=ca-certificates,eatmydata",
            *("trixie", "{root}", MIRROR),
        ]

    def test_a_mirror_of_the_target_is_taken_without_asking_the_host(self) -> None:
        def ask() -> str:
            raise AssertionError

        named = DebianSuite(suite="trixie", mirror="http://named.example.org", components=("main",))
        (step,) = AptManager(ask).bootstrap(replace(DEB_TARGET, origin=named))
        assert step.argv[-1] == "http://named.example.org"

    def test_install(self) -> None:
        steps = AptManager(lambda: MIRROR).install(DEB_TARGET, ["gcc", "libc6 (>= 2)"], None)
        satisfy = ["apt-get", "--quiet", "--no-install-recommends"]
        assert [list(step.argv) for step in steps] == [
            ["apt-get", "--quiet", "--option", "APT::Update::Error-Mode=any", "update"],
            [*satisfy, "--download-only", "satisfy", "--", "gcc", "libc6 (>= 2)"],
            [*satisfy, "--no-download", "satisfy", "--", "gcc", "libc6 (>= 2)"],
        ]
        assert {step.place for step in steps} == {Place.ROOT}
        assert steps[0].environment["APT_CONFIG"] == "/conveyor/apt.conf"

    def test_trunk(self) -> None:
        files = AptManager(lambda: MIRROR).install(DEB_TARGET, ["gcc"], TRUNK)[0].files
        assert "Pin-Priority: 1001" in files["preferences.d/trunk"]
        assert "URIs: copy:/conveyor/trunk/ab/cd/abcd\nSuites: trunk\n" in files["sources.list.d/trunk.sources"]

    def test_further_repositories(self) -> None:
        asked: list[str] = []

        def read_key(location: str) -> str:
            asked.append(location)
            return "-----BEGIN-----\n\nabc\n-----END-----"

        target = replace(
            DEB_TARGET,
            origin=DebianSuite(
                suite="trixie",
                mirror=MIRROR,
                components=("main",),
                repositories=(
                    AptRepository(
                        name="extras",
                        url="https://apt.example.org",
                        suite="trixie",
                        components=("main", "x"),
                        key="https://example.org/key",
                    ),
                    AptRepository(name="flat", url="file:///srv/my debs", suite="./", components=(), key=None),
                ),
            ),
        )
        manager = AptManager(lambda: MIRROR, read_key)
        (bootstrap,) = manager.bootstrap(target)
        assert bootstrap.argv[-3:] == ("{root}", MIRROR, "{files}/repositories.sources")
        text = (
            "Types: deb\nURIs: https://apt.example.org\nSuites: trixie\nComponents: main x\n"
            "Signed-By:\n -----BEGIN-----\n .\n abc\n -----END-----\n"
            "\n"
            "Types: deb\nURIs: copy:/srv/my%20debs\nSuites: ./\nTrusted: yes\n"
        )
        assert bootstrap.files == {"repositories.sources": text}
        for step in manager.install(target, ["gcc"], TRUNK):
            assert step.files["sources.list.d/repositories.sources"] == text
            assert step.shared == (Path("/srv/my debs"),)
        assert asked == ["https://example.org/key"]

    def test_settings_for_a_roots_own_apt(self) -> None:
        manager = AptManager(lambda: MIRROR)
        assert set(manager.settings(None)) == {"apt.conf.d/99conveyor"}
        files = manager.settings(TRUNK)
        assert "URIs: copy:/conveyor/trunk/ab/cd/abcd\n" in files["sources.list.d/trunk.sources"]
        assert "Pin-Priority: 1001" in files["preferences.d/trunk"]

    def test_install_files_and_list(self) -> None:
        manager = AptManager(lambda: MIRROR)
        (step,) = manager.install_files(DEB_TARGET, ["a_1_all.deb"])
        assert list(step.argv) == [
            *("dpkg", "--force-confnew", "--force-unsafe-io", "--install"),
            "/conveyor/packages/a_1_all.deb",
        ]
        assert list(manager.list_installed(DEB_TARGET).argv) == [
            *("dpkg-query", "--show", "--showformat"),
            "${Package}\\t${Version}\\t${Architecture}\\n",
        ]


class TestDnf:
    def test_bootstrap_and_install(self) -> None:
        manager = DnfManager()
        common = ["dnf", "--assumeyes", "--config=/conveyor/dnf.conf", "--installroot=/target", "--releasever=1"]
        assert [list(step.argv) for step in manager.bootstrap(RPM_TARGET)] == [
            [*common, "--downloadonly", "install", "--", "bash", "rpm"],
            [*common, "--cacheonly", "install", "--", "bash", "rpm"],
        ]
        steps = manager.install(RPM_TARGET, ["gcc", "python3dist(six) >= 1"], None)
        assert list(steps[0].argv) == [*common, "--downloadonly", "install", "--", "gcc", "python3dist(six) >= 1"]
        assert {step.place for step in steps} == {Place.HOST_TOOLS}
        assert steps[0].shared == (Path("/srv/rpms"), Path("/etc/keys/signed"))

    def test_repositories(self) -> None:
        text = DnfManager().install(RPM_TARGET, ["gcc"], TRUNK)[0].files["repos.d/conveyor.repo"]
        assert "[local]\nname=local\nbaseurl=file:///srv/rpms\ngpgcheck=0\n" in text
        assert "baseurl=https://mirror.example.org/signed/\ngpgcheck=1\ngpgkey=file:///etc/keys/signed\n" in text
        assert (
            "metalink=https://mirror.example.org/metalink?repo=x\ngpgcheck=1\ngpgkey=https://example.org/key\n" in text
        )
        assert "baseurl=file:///conveyor/trunk/ab/cd/abcd\n" in text
        assert "priority=10\n" in text

    def test_install_files_and_list(self) -> None:
        manager = DnfManager()
        (step,) = manager.install_files(RPM_TARGET, ["a-1.noarch.rpm"])
        assert list(step.argv) == [
            *("rpm", "--root=/target", "--nosignature", "--oldpackage", "--upgrade", "--verbose"),
            "/conveyor/packages/a-1.noarch.rpm",
        ]
        assert step.files["home/.rpmmacros"].startswith("%_dbpath /usr/lib/sysimage/rpm\n")
        listing = manager.list_installed(RPM_TARGET)
        assert list(listing.argv[:4]) == ["rpm", "--root=/target", "--query", "--all"]
        assert listing.files == step.files


SIMULATED = """\
Reading package lists...
The following NEW packages will be installed:
  liba
Inst liba (1:2-3 Debian:13.1/stable [amd64])
Inst libb [1.0] (1.1 Conveyor:trunk [all]) [libc:amd64 ]
Remv old [3-1]
Conf liba (1:2-3 Debian:13.1/stable [amd64])
"""
TABLE = """\
Last metadata expiration check: 0:00:01 ago.
Dependencies resolved.
================================================================================
 Package                       Arch      Version                 Repo      Size
================================================================================
Installing:
 python3-six                   noarch    1.17.0-1                local     38 k
Installing dependencies:
 python3-a-name-that-is-far-too-long-for-its-column
                               x86_64    2:1-1.fc44              updates  1.2 M
Upgrading:
 bash                          x86_64    5.3-1                   trunk    1.8 M

Transaction Summary
================================================================================
Install  2 Packages
Upgrade  1 Package

Total size: 3.1 M
Operation aborted.
"""


class TestChanges:
    def test_apt(self) -> None:
        changes = AptManager(lambda: MIRROR).parse_changes(SIMULATED)
        assert changes is not None
        assert [str(package) for package in changes.installed] == ["liba=1:2-3:amd64", "libb=1.1:all"]
        assert changes.removed == ("old",)

    def test_apt_has_nothing_to_do(self) -> None:
        assert AptManager(lambda: MIRROR).parse_changes("Reading package lists...\n") == Changes(
            installed=(), removed=()
        )

    @pytest.mark.parametrize("line", ["Inst libc6:i386 (2 Debian [i386])", "Inst odd", "E: held broken packages"])
    def test_apt_says_more_than_is_understood(self, line: str) -> None:
        assert AptManager(lambda: MIRROR).parse_changes(f"{SIMULATED}{line}\n") is None

    def test_dnf(self) -> None:
        changes = DnfManager().parse_changes(TABLE)
        assert changes is not None
        assert [str(package) for package in changes.installed] == [
            "bash=0:5.3-1:x86_64",
            "python3-a-name-that-is-far-too-long-for-its-column=2:1-1.fc44:x86_64",
            "python3-six=0:1.17.0-1:noarch",
        ]
        assert changes.removed == ()

    def test_dnf_has_nothing_to_do(self) -> None:
        said = "Dependencies resolved.\nNothing to do.\nComplete!\n"
        assert DnfManager().parse_changes(said) == Changes(installed=(), removed=())

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("Install  2 Packages", "Install  3 Packages"),
            ("Upgrade  1 Package\n", "Upgrade  1 Package\nRemove  1 Package\n"),
            ("  38 k", "  38"),
            ("Transaction Summary\n", ""),
        ],
    )
    def test_dnf_says_more_or_less_than_is_understood(self, old: str, new: str) -> None:
        assert old in TABLE
        assert DnfManager().parse_changes(TABLE.replace(old, new)) is None

    def test_keys_are_no_packages(self) -> None:
        assert DnfManager().parse_installed("gpg-pubkey\t0:105ef944-65ca83d1\t(none)\n") == ()


# For each log: the error, and what its cause has to hold.
CLASSIFIED: dict[str, tuple[type[ConveyorError], tuple[str, ...]]] = {
    "apt-unmet": (BuildDependencyMissing, ("libmissing", "needed by needy")),
    "apt-unmet-deep": (BuildDependencyMissing, ("libmissing", "needed by needy")),
    "apt-unmet-version": (BuildDependencyMissing, ("base (>= 5)",)),
    "apt-unknown": (BuildDependencyMissing, ("no-such-package", "not installable")),
    "apt-conflict": (BuildDependencyMissing, ("base",)),
    "apt-unparsable": (SourceInvalid, ("base (>>",)),
    "apt-unreachable": (MirrorUnreachable, ("127.0.0.1:9", "Connection refused")),
    "apt-unresolvable": (MirrorUnreachable, ("Could not resolve 'mirror.invalid'",)),
    "apt-norepo": (MirrorUnreachable, ("404",)),
    "apt-gone": (MirrorUnreachable, ("gone_1_all.deb", "404")),
    "apt-full": (DiskFull, ("free space in /var/cache/packages/",)),
    "apt3-unmet": (BuildDependencyMissing, ("libmissing", "needed by needy")),
    "apt3-unmet-deep": (BuildDependencyMissing, ("libmissing", "needed by needy")),
    "apt3-unmet-version": (BuildDependencyMissing, ("base (>= 5)", "no version that fits")),
    "apt3-unknown": (BuildDependencyMissing, ("no-such-package", "not installable")),
    "apt3-conflict": (BuildDependencyMissing, ("base", "hater conflicts with it")),
    "apt3-unparsable": (SourceInvalid, ("base (>>",)),
    "apt3-gone": (MirrorUnreachable, ("gone_1_all.deb", "File not found")),
    "mmdebstrap-unreachable": (MirrorUnreachable, ("127.0.0.1:9", "Connection refused")),
    "mmdebstrap-unknown": (BuildDependencyMissing, ("no-such-thing",)),
    "dpkg-missing": (BuildDependencyMissing, ("libmissing (>= 2)", "needed by needy")),
    "dpkg-conflict": (BuildDependencyMissing, ("hater", "conflicts with one")),
    "dpkg-file-conflict": (BuildDependencyMissing, ("two_1_all.deb", "/usr/share/shared", "package one")),
    "dpkg-postinst": (CommandFailed, ("post", "post-installation script", "exit status 3")),
    "dpkg-full": (DiskFull, ("No space left on device",)),
    "dnf-unmet": (BuildDependencyMissing, ("libmissing", "needed by needy-1-1.noarch")),
    "dnf-unmet-deep": (BuildDependencyMissing, ("libmissing", "needed by needy-1-1.noarch")),
    "dnf-unmet-version": (BuildDependencyMissing, ("base >= 9", "needed by picky-1-1.noarch")),
    "dnf-wanted-version": (BuildDependencyMissing, ("base >= 5",)),
    "dnf-unknown": (BuildDependencyMissing, ("no-such-package", "python3dist(nothing)")),
    "dnf-conflict": (BuildDependencyMissing, ("hater-1-1.noarch conflicts with base",)),
    "dnf-file-conflict": (BuildDependencyMissing, ("/usr/share/shared conflicts", "one-1-1.noarch", "two-1-1.noarch")),
    "dnf-unreachable": (MirrorUnreachable, ("127.0.0.1", "connect")),
    "dnf-unresolvable": (MirrorUnreachable, ("mirror.invalid", "resolve")),
    "dnf-norepo": (MirrorUnreachable, ("/tmp/nothing/repodata/repomd.xml",)),
    "dnf-http-norepo": (MirrorUnreachable, ("404", "/nothing/repodata/repomd.xml")),
    "dnf-gone": (MirrorUnreachable, ("gone-1-1.noarch.rpm",)),
    "dnf-http-gone": (MirrorUnreachable, ("gone-1-1.noarch.rpm", "404")),
    "dnf-full-root": (DiskFull, ("disk is full",)),
    "rpm-missing": (BuildDependencyMissing, ("libmissing", "needed by needy-1-1.noarch")),
    "rpm-conflict": (BuildDependencyMissing, ("base conflicts with hater-1-1.noarch",)),
    "rpm-file-conflict": (BuildDependencyMissing, ("/usr/share/shared conflicts",)),
    "rpm-pre": (CommandFailed, ("script failed", "pre-1-1.noarch")),
    "rpm-full": (DiskFull, ("disk is full",)),
}


class TestFailure:
    def test_every_log_is_in_the_table(self) -> None:
        assert {path.stem for path in LOGS.glob("*.log")} == set(CLASSIFIED)

    @pytest.mark.parametrize("name", sorted(CLASSIFIED))
    def test_a_real_log(self, name: str) -> None:
        manager, target = MANAGERS["dnf" if name.startswith(("dnf", "rpm")) else "apt"]
        error = manager.failure(target, (LOGS / f"{name}.log").read_text().splitlines())
        kind, parts = CLASSIFIED[name]
        assert type(error) is kind
        assert target.name in error.what or kind is SourceInvalid
        assert "\n" not in error.cause
        for part in parts:
            assert part in error.cause
        assert error.details or kind is DiskFull
