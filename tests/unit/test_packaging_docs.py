"""docs/packaging.md says what the code does: every variable, key, block and macro is there, and no other."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, nodes
from ruamel.yaml import YAML

from conveyor.formats.templates.sandbox import MAX_OUTPUT, MAX_STEPS
from conveyor.formats.templates.variables import PackageFacts, TargetFacts, template_variables
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.package import Package, PackagingFolder, VersionScheme
from conveyor.model.packaging import Packaging, RenderInput
from conveyor.model.target import BuilderKind, DebianSuite, Format, Limits, Target
from conveyor.model.version import PackageVersion

ROOT = Path(__file__).parents[2]
ARCHETYPE = ROOT / "specs" / "_archetypes" / "python"
TEXT = (ROOT / "docs" / "packaging.md").read_text()
AT = datetime(2026, 3, 7, tzinfo=UTC)


def rows(heading: str) -> dict[str, str]:
    """The first cells of the table whose head starts with `heading`, each with the rest of its row."""
    match = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    assert match, f"no table {heading!r}"
    cells = (row.strip("|").partition("|") for row in match[1].splitlines())
    return {first.strip(): rest for first, _, rest in cells}


def codes(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def given_variables() -> dict[str, object]:
    package = Package(
        name="nova",
        distribution="nova",
        upstream="",
        branch="",
        packaging=PackagingFolder(path=ROOT),
        archetype=None,
        targets=(),
        version_scheme=VersionScheme.PBR,
        maintainers=(),
        component="",
    )
    target = Target(
        name="",
        format=Format.DEB,
        architecture="",
        builder=BuilderKind.OVERLAY,
        origin=DebianSuite(suite="", mirror=None, components=()),
        base_packages=(),
        build_packages=(),
        dist="",
        naming="debian",
        limits=Limits(seconds=1, memory=1, disk=1, processes=1),
        install_check=True,
    )
    commit = CommitInfo(sha="0" * 40, committed_at=AT, author="", subject="")
    return dict(
        template_variables(
            RenderInput(
                package=package,
                target=target,
                commit=Commit(package="nova", upstream=commit, packaging_sha="0" * 40),
                version=PackageVersion(upstream="1", epoch=0, version="1", release="1"),
                packaging=Packaging(sha="0" * 40, release=1, files=(), shared=()),
                source_files=(),
                changelog_at=AT,
            )
        )
    )


def archetype_source(name: str) -> nodes.Template:
    return Environment(autoescape=False).parse((ARCHETYPE / name).read_text())


def test_every_variable_is_documented_and_every_documented_one_exists() -> None:
    functions = {code.partition("(")[0] for name in rows("function") for code in codes(name)}
    variables = {code for name in rows("variable") for code in codes(name)}
    given = given_variables()
    assert variables == {name for name, value in given.items() if not callable(value)}
    assert functions == {name for name, value in given.items() if callable(value)}


def test_the_fields_of_package_and_target_are_documented() -> None:
    table = rows("variable")
    for name, facts in (("`package`", PackageFacts), ("`target`", TargetFacts)):
        documented = {code.removeprefix(".") for code in codes(table[name]) if code.startswith(".")}
        assert documented == {field.name for field in dataclasses.fields(facts)}


def test_every_key_of_the_archetype_is_documented_with_its_kind_of_default() -> None:
    table = {code: rest for name, rest in rows("key of variables.yaml").items() for code in codes(name)}
    required = {code for code, rest in table.items() if "must be given" in rest}
    defaults = YAML(typ="safe", pure=True).load(ARCHETYPE / "variables.yaml")
    assert set(table) - required == set(defaults)
    assert required == {"summary", "description", "homepage", "modules"}


def test_every_block_and_macro_of_the_archetype_is_documented() -> None:
    for name, rest in rows("template").items():
        (path,) = codes(name)
        source = archetype_source(path)
        blocks = {block.name for block in source.find_all(nodes.Block)}
        macros = {macro.name for macro in source.find_all(nodes.Macro)}
        assert codes(rest) == blocks | macros, path


def test_the_limits_are_documented() -> None:
    assert f"{MAX_STEPS:,} steps" in TEXT
    assert f"{MAX_OUTPUT // 1024**2} MiB" in TEXT


def test_the_example_is_the_shipped_packaging() -> None:
    shipped = (ROOT / "specs" / "oslo.utils" / "variables.yaml").read_text()
    assert "".join(f"    {line}\n" for line in shipped.splitlines()) in TEXT
