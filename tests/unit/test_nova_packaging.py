"""What packagers expect of nova's packaging, for every kind of target: specs/nova."""

from __future__ import annotations

import os
import re
import shutil
from configparser import ConfigParser, RawConfigParser
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from debian.copyright import Copyright
from debian.deb822 import Deb822, PkgRelation
from ruamel.yaml import YAML

from conveyor.command import run
from conveyor.formats.naming import requirement
from conveyor.formats.templates.renderer import JinjaRenderer
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.package import Package, PackagingFolder, VersionScheme
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.target import BuilderKind, DebianSuite, Format, Limits, RpmDistribution, Target
from conveyor.model.version import PackageVersion

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"
AT = datetime(2026, 11, 6, 9, 5, 2, tzinfo=UTC)

# What upstream's pyproject.toml installs in /usr/bin, and its modules that hold a WSGI application.
UPSTREAM_SCRIPTS = frozenset(
    {
        "nova-compute",
        "nova-conductor",
        "nova-manage",
        "nova-novncproxy",
        "nova-policy",
        "nova-rootwrap",
        "nova-rootwrap-daemon",
        "nova-scheduler",
        "nova-serialproxy",
        "nova-spicehtml5proxy",
        "nova-status",
    }
)
UPSTREAM_APPLICATIONS = frozenset({"nova.wsgi.metadata:application", "nova.wsgi.osapi_compute:application"})
UPSTREAM_FILES = ("LICENSE", "README.rst", "pyproject.toml", "setup.cfg", "setup.py")

VARIABLES: dict[str, Any] = YAML(typ="safe").load((SPECS / "nova" / "variables.yaml").read_text())
SERVICES: list[dict[str, Any]] = VARIABLES["services"]

RPM_NAMINGS = ("fedora", "centos", "rdo")
NAMINGS = ("debian", *RPM_NAMINGS)


def files_below(path: Path) -> tuple[PackagingFile, ...]:
    return tuple(
        PackagingFile(
            path=file.relative_to(path).as_posix(), content=file.read_bytes(), executable=os.access(file, os.X_OK)
        )
        for file in sorted(path.rglob("*"))
        if file.is_file()
    )


def target(naming: str) -> Target:
    deb = naming == "debian"
    return Target(
        name=naming,
        format=Format.DEB if deb else Format.RPM,
        architecture="amd64" if deb else "x86_64",
        builder=BuilderKind.OVERLAY,
        origin=DebianSuite(suite="trixie", mirror=None, components=("main",))
        if deb
        else RpmDistribution(repositories=(), release="10", database="/usr/lib/sysimage/rpm"),
        base_packages=(),
        build_packages=(),
        dist="deb13" if deb else "el10",
        naming=naming,
        limits=Limits(seconds=1, memory=1, disk=1, processes=1),
        install_check=True,
    )


@cache
def rendered(naming: str) -> dict[str, str]:
    """The text of each packaging file, by path."""
    package = Package(
        name="nova",
        distribution="nova",
        upstream="https://opendev.org/openstack/nova",
        branch="master",
        packaging=PackagingFolder(path=SPECS / "nova"),
        archetype=SPECS / "_archetypes" / "python",
        targets=(naming,),
        version_scheme=VersionScheme.PBR,
        maintainers=("Jane Doe <jane@example.org>",),
        component="compute",
    )
    commit = CommitInfo(sha="a" * 40, committed_at=AT, author="A", subject="S")
    files = JinjaRenderer().render(
        RenderInput(
            package=package,
            target=target(naming),
            commit=Commit(package="nova", upstream=commit, packaging_sha="f" * 40),
            version=PackageVersion(upstream="34.0.0", epoch=0, version="34.0.0", release="1"),
            packaging=Packaging(
                sha="f" * 40,
                release=1,
                files=files_below(SPECS / "nova"),
                shared=files_below(SPECS / "_archetypes" / "python"),
            ),
            source_files=UPSTREAM_FILES,
            changelog_at=AT,
        )
    )
    return {file.path: file.content.decode() for file in files}


def stanzas() -> dict[str, Deb822]:
    """debian/control: the source's stanza under "", the packages' under their names."""
    return {
        stanza.get("Package", ""): stanza for stanza in Deb822.iter_paragraphs(rendered("debian")["debian/control"])
    }


def package_and_unit(service: dict[str, Any], naming: str) -> tuple[str, str]:
    """The name of a service's package, and its unit's text."""
    if naming == "debian":
        return service["name"], rendered(naming)[f"debian/{service['name']}.service"]
    return service["rpm"], rendered(naming)[f"{service['rpm']}.service"]


def uwsgi_settings(service: dict[str, Any], naming: str) -> RawConfigParser:
    folder = "debian/" if naming == "debian" else ""
    settings = RawConfigParser()
    settings.read_string(rendered(naming)[f"{folder}{service['name']}-uwsgi.ini"])
    return settings


def parsed_unit(text: str) -> ConfigParser:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return unit


def spec_sections(naming: str) -> dict[tuple[str, str], str]:
    """The sections of the spec that belong to a package, by their kind and the package's name."""
    parts = re.split(
        r"^%(package|files|pre|post|preun|postun) -n (\S+).*$", rendered(naming)["nova.spec"], flags=re.MULTILINE
    )
    return {(kind, name): body for kind, name, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)}


@pytest.mark.parametrize("naming", NAMINGS)
def test_no_line_shows_that_it_comes_from_a_template(naming: str) -> None:
    for path, text in rendered(naming).items():
        assert "\n\n\n" not in text, path
        assert [line for line in text.splitlines() if line != line.rstrip()] == [], path
        assert "{%" not in text, path
        assert "{#" not in text, path
        assert text.endswith("\n"), path


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service["name"])
def test_each_service_has_a_package_and_a_unit(service: dict[str, Any], naming: str) -> None:
    name, unit = package_and_unit(service, naming)
    assert parsed_unit(unit)["Install"]["WantedBy"] == "multi-user.target"
    if naming == "debian":
        assert "nova-common (= ${binary:Version})" in stanzas()[name]["Depends"]
        return
    sections = spec_sections(naming)
    assert re.search(r"^Requires: +openstack-nova-common = ", sections["package", name], flags=re.MULTILINE)
    assert f"%{{_unitdir}}/{name}.service" in sections["files", name].splitlines()
    assert f"%systemd_post {name}.service" in sections["post", name].splitlines()
    assert f"%systemd_preun {name}.service" in sections["preun", name].splitlines()


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service["name"])
def test_a_unit_starts_what_upstream_installs_as_the_user_nova(service: dict[str, Any], naming: str) -> None:
    _, text = package_and_unit(service, naming)
    unit = parsed_unit(text)["Service"]
    program, *arguments = unit["ExecStart"].split()
    if program == "uwsgi":
        assert arguments == ["--ini", f"/etc/nova/{service['name']}-uwsgi.ini"]
        assert uwsgi_settings(service, naming)["uwsgi"]["module"] in UPSTREAM_APPLICATIONS
    else:
        assert Path(program).parent == Path("/usr/bin")
        assert Path(program).name in UPSTREAM_SCRIPTS
    assert unit["User"] == "nova"
    assert unit["Restart"] == "on-failure"


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_program_of_upstream_is_in_one_package(naming: str) -> None:
    if naming == "debian":
        lists = [text for path, text in rendered(naming).items() if path.endswith(".install")]
        found = re.findall(r"^usr/bin/(\S+)$", "".join(lists), flags=re.MULTILINE)
    else:
        found = re.findall(r"^%\{_bindir\}/(\S+)$", rendered(naming)["nova.spec"], flags=re.MULTILINE)
    assert sorted(found) == sorted(UPSTREAM_SCRIPTS)


def test_all_applications_of_upstream_are_served_on_ports_of_their_own() -> None:
    settings = [uwsgi_settings(service, "debian")["uwsgi"] for service in SERVICES if "wsgi" in service]
    assert {setting["module"] for setting in settings} == UPSTREAM_APPLICATIONS
    assert len({setting["http-socket"] for setting in settings}) == len(UPSTREAM_APPLICATIONS)


def test_only_nova_compute_may_become_root() -> None:
    for service in SERVICES:
        may_not = parsed_unit(package_and_unit(service, "debian")[1])["Service"].get("NoNewPrivileges")
        assert may_not == (None if service["name"] == "nova-compute" else "yes")
    assert "debian/sudoers.d/nova-compute etc/sudoers.d" in rendered("debian")["debian/nova-compute.install"]


def test_nova_compute_is_not_waited_for() -> None:
    units = {service["name"]: parsed_unit(package_and_unit(service, "debian")[1])["Service"] for service in SERVICES}
    assert units["nova-compute"]["Type"] == "exec"
    assert units["nova-conductor"]["Type"] == "notify"


def relation_names(field: str) -> list[str]:
    """The packages that a relationship field names; substitution variables count as a package "x"."""
    plain = re.sub(r"\$\{[^}]+\}", "x", field).strip().rstrip(",")
    return [either["name"] for all_of in PkgRelation.parse_relations(plain) for either in all_of]


def test_debian_control_is_valid() -> None:
    source, *packages = stanzas().values()
    assert source["Rules-Requires-Root"] == "no"
    for stanza in (source, *packages):
        for field in ("Build-Depends", "Depends", "Recommends", "Suggests", "Breaks", "Replaces", "Conflicts"):
            names = relation_names(stanza.get(field, "x"))
            assert [name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", name)] == [], field
    for stanza in packages:
        assert stanza["Architecture"] == "all"
        synopsis, *text = stanza["Description"].splitlines()
        assert len(synopsis) < 80
        assert [line for line in text if not line.startswith(" ") or len(line) > 80] == []


def test_debian_packages_are_debians() -> None:
    assert {"nova-api", "nova-common", "nova-compute", "nova-conductor", "nova-scheduler", "python3-nova"} <= set(
        stanzas()
    )


def test_debian_copyright_is_machine_readable() -> None:
    copyright_file = Copyright(rendered("debian")["debian/copyright"].splitlines(keepends=True))
    assert [paragraph["Files"] for paragraph in copyright_file.all_files_paragraphs()] == ["*", "debian/*"]
    used = {paragraph["License"] for paragraph in copyright_file.all_files_paragraphs()}
    explained = {paragraph["License"].splitlines()[0] for paragraph in copyright_file.all_license_paragraphs()}
    assert used == explained == {"Apache-2.0"}


def test_debian_postinst_takes_care_of_every_private_file() -> None:
    for owner, files in VARIABLES["private_settings"].items():
        script = rendered("debian")[f"debian/{owner}.postinst"]
        assert "#DEBHELPER#" in script.splitlines()
        for file in files:
            assert f"/etc/nova/{file}" in script


@pytest.mark.parametrize("naming", NAMINGS)
def test_the_libraries_depend_on_all_that_upstream_requires(naming: str) -> None:
    form = target(naming).format
    wanted = {requirement(text, naming, form) for text in VARIABLES["requires"]}
    if naming == "debian":
        present = {item.strip() for item in stanzas()["python3-nova"]["Depends"].split(",")}
    else:
        present = set(
            re.findall(r"^Requires: +(\S+)$", spec_sections(naming)["package", "python3-nova"], flags=re.MULTILINE)
        )
    assert wanted <= present


@pytest.mark.parametrize("naming", RPM_NAMINGS)
def test_every_file_that_the_spec_names_as_a_source_is_there(naming: str) -> None:
    outputs = rendered(naming)
    sources = re.findall(r"^Source(\d+): +(\S+)$", outputs["nova.spec"], flags=re.MULTILINE)
    assert len({number for number, _ in sources}) == len(sources)
    assert {name for _, name in sources} - {"nova-34.0.0.tar.gz"} == set(outputs) - {"nova.spec"}
    used = set(re.findall(r"%\{SOURCE(\d+)\}", outputs["nova.spec"]))
    assert used == {number for number, _ in sources} - {"0"}


@pytest.mark.parametrize("naming", RPM_NAMINGS)
def test_rpm_reads_the_spec_as_these_packages(naming: str, tmp_path: Path) -> None:
    if not shutil.which("rpmspec"):
        pytest.skip("rpmspec is not installed")
    for path, text in rendered(naming).items():
        (tmp_path / path).write_text(text)
    listed = run(
        ["rpmspec", "--query", "--define", f"_sourcedir {tmp_path}", "--qf", "%{name}\\n", str(tmp_path / "nova.spec")],
        timeout=60,
    ).output.split()
    wanted = {"openstack-nova", "openstack-nova-common", "python3-nova", "python3-nova-tests"}
    assert wanted | {service["rpm"] for service in SERVICES} <= set(listed)


def test_both_formats_make_the_same_user_with_the_number_of_their_distributions() -> None:
    deb = rendered("debian")["debian/nova-common.sysusers"].splitlines()[1].split()
    rpm = rendered("rdo")["openstack-nova.sysusers"].splitlines()[1].split()
    assert deb[:2] == rpm[:2] == ["u", "nova"]
    assert (deb[2], rpm[2]) == ("64060", "162")


@pytest.mark.parametrize("naming", NAMINGS)
def test_settings_are_valid_and_hold_no_password(naming: str) -> None:
    folder = "debian/" if naming == "debian" else ""
    settings = RawConfigParser()
    settings.read_string(rendered(naming)[f"{folder}nova.conf"])
    assert settings["DEFAULT"]["state_path"] == VARIABLES["state_folder"]
    assert settings["DEFAULT"]["log_dir"] == VARIABLES["log_folder"]
    assert not [
        line for line in rendered(naming)[f"{folder}nova.conf"].splitlines() if re.match(r"[^#]*password", line)
    ]
