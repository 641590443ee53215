"""The renderer: what comes out, and how mistakes are told."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.errors import TemplateInvalid, VersionInvalid
from conveyor.formats.templates.renderer import JinjaRenderer
from conveyor.formats.templates.sandbox import MAX_OUTPUT
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.package import Package, PackagingFolder, PackagingRepository, VersionScheme
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.target import BuilderKind, DebianSuite, Format, Limits, Target
from conveyor.model.version import PackageVersion

SHA = "0123456789abcdef0123456789abcdef01234567"
AT = datetime(2026, 3, 7, 9, 5, 2, tzinfo=UTC)

PACKAGE = Package(
    name="Oslo_utils",
    distribution="oslo.utils",
    upstream="https://example.org/oslo.utils",
    branch="main",
    packaging=PackagingFolder(path=Path("/anywhere/specs/oslo.utils")),
    archetype=Path("/anywhere/specs/_archetypes/python"),
    targets=("debian-13-amd64",),
    version_scheme=VersionScheme.PBR,
    maintainers=("Jane Doe <jane@example.org>",),
    component="oslo",
)
DEB = Target(
    name="debian-13-amd64",
    format=Format.DEB,
    architecture="amd64",
    builder=BuilderKind.OVERLAY,
    origin=DebianSuite(suite="trixie", mirror=None, components=("main",)),
    base_packages=(),
    build_packages=(),
    dist="deb13",
    naming="debian",
    limits=Limits(seconds=60, memory=1, disk=1, processes=1),
    install_check=True,
)
RPM = dataclasses.replace(DEB, name="fedora", format=Format.RPM, architecture="x86_64", dist="fc43", naming="fedora")


def file(path: str, content: str = "", *, executable: bool = False) -> PackagingFile:
    return PackagingFile(path=path, content=content.encode(), executable=executable)


def render_input(
    *own: PackagingFile, shared: tuple[PackagingFile, ...] = (), target: Target = RPM, package: Package = PACKAGE
) -> RenderInput:
    info = CommitInfo(sha=SHA, committed_at=AT, author="A U Thor", subject="$(reboot) %(reboot)")
    return RenderInput(
        package=package,
        target=target,
        commit=Commit(package=package.name, upstream=info, packaging_sha="f" * 40),
        version=PackageVersion(upstream="10.2.1.dev3", epoch=1, version="10.2.1~~dev3", release="1"),
        packaging=Packaging(sha="f" * 40, release=1, files=own, shared=shared),
        source_files=("README.rst", "setup.cfg"),
        changelog_at=AT,
    )


def rendered(*own: PackagingFile, shared: tuple[PackagingFile, ...] = (), target: Target = RPM) -> dict[str, str]:
    files = JinjaRenderer().render(render_input(*own, shared=shared, target=target))
    return {output.path: output.content.decode() for output in files}


def mistake(*own: PackagingFile, shared: tuple[PackagingFile, ...] = (), target: Target = RPM) -> TemplateInvalid:
    with pytest.raises(TemplateInvalid) as caught:
        rendered(*own, shared=shared, target=target)
    return caught.value


def expression(text: str, *, target: Target = RPM) -> str:
    """What `text` renders to."""
    path = "debian/x" if target is DEB else "x"
    return rendered(file(f"{path}.j2", text), target=target).get(path, "")


def test_contents_and_names_of_templates_are_rendered() -> None:
    assert rendered(file("{{ name }}.spec.j2", "Version: {{ version }}\n")) == {
        "Oslo_utils.spec": "Version: 10.2.1~~dev3\n"
    }


def test_other_files_are_copied_byte_by_byte() -> None:
    raw = PackagingFile(path="fix.patch", content=b"\xff{{ nonsense }}\r\n", executable=False)
    assert JinjaRenderer().render(render_input(raw)) == (raw,)


def test_an_empty_file_that_is_no_template_is_kept() -> None:
    assert rendered(file("empty", "")) == {"empty": ""}


def test_the_executable_bit_is_kept() -> None:
    outputs = JinjaRenderer().render(
        render_input(file("debian/rules.j2", "#!/usr/bin/make -f\n", executable=True), file("debian/a"), target=DEB)
    )
    assert [(output.path, output.executable) for output in outputs] == [("debian/a", False), ("debian/rules", True)]


@pytest.mark.parametrize(("target", "expected"), [(DEB, {"debian/control"}), (RPM, {"x.spec", "sysusers.conf"})])
def test_only_the_files_of_the_targets_format_come_out(target: Target, expected: set[str]) -> None:
    own = file("debian/control"), file("x.spec"), file("sysusers.conf")
    assert set(rendered(*own, target=target)) == expected


def test_a_template_of_the_other_format_may_be_broken() -> None:
    assert rendered(file("debian/control.j2", "{% if %}{{ sumary }}"), file("x.spec", "ok")) == {"x.spec": "ok"}


def test_a_template_that_gives_only_white_space_is_left_out() -> None:
    assert rendered(file("nothing.j2", "{% if false %}x{% endif %}\n \n")) == {}


def test_the_packages_own_file_replaces_the_archetypes() -> None:
    shared = file("{{ name }}.spec.j2", "shared"), file("other", "shared")
    assert rendered(file("Oslo_utils.spec", "own"), shared=shared) == {"Oslo_utils.spec": "own", "other": "shared"}


def test_an_empty_own_template_drops_the_archetypes_file() -> None:
    assert rendered(file("other.j2"), shared=(file("other", "shared"),)) == {}


def test_a_template_may_come_out_for_each_item_of_a_list() -> None:
    own = (
        file("{{ service.name }}.service.j2", "{# for each service in services #}\nExecStart={{ service.command }}\n"),
        file("variables.yaml", "services: [{name: a, command: b}, {name: c, command: d}]\n"),
    )
    assert rendered(*own) == {"a.service": "ExecStart=b\n", "c.service": "ExecStart=d\n"}


def test_a_for_each_takes_an_expression() -> None:
    text = "{#- for each f in source_files|reject('eq', 'setup.cfg') -#}\n{{ f }}"
    assert rendered(file("{{ f }}.j2", text)) == {"README.rst": "README.rst"}


@pytest.mark.parametrize(
    ("items", "cause"),
    [
        ("servces", "'servces' is undefined"),
        ("5", "not iterable"),
        ("(", "unexpected"),
        ("source_date_epoch", "not iterable"),
    ],
)
def test_a_for_each_with_a_mistake_is_told(items: str, cause: str) -> None:
    error = mistake(file("{{ service }}.j2", f"{{# for each service in {items} #}}x"), file("services.j2", "x"))
    assert error.what == "specs/Oslo_utils/{{ service }}.j2, line 1"
    assert cause in error.cause


def test_the_items_of_a_for_each_may_not_share_a_name() -> None:
    error = mistake(file("same.j2", "{# for each f in source_files #}{{ f }}"))
    assert "it renders to 'same'" in error.cause


def test_private_files_are_there_to_be_included_only() -> None:
    shared = (
        file("_spec.j2", "{% block body %}shared{% endblock %}\n"),
        file("_parts/greet.j2", "{% macro greet(who) %}hello {{ who }}{% endmacro %}"),
        file("x.spec.j2", "{% extends '_spec.j2' %}"),
    )
    own = """
        {%- extends "_spec.j2" %}
        {%- from "_parts/greet.j2" import greet %}
        {%- block body %}{{ greet(name) }}{% endblock %}
    """
    assert rendered(shared=shared) == {"x.spec": "shared"}
    assert rendered(file("x.spec.j2", own), shared=shared) == {"x.spec": "hello Oslo_utils"}


def test_variables_come_from_the_package_over_the_archetype() -> None:
    own = file("variables.yaml", "summary: own\n")
    shared = file("variables.yaml", "summary: shared\nextra: [a, b]\n"), file("x.j2", "{{ summary }} {{ extra[1] }}")
    assert rendered(own, shared=shared) == {"x": "own b"}


def test_the_same_input_gives_the_same_bytes() -> None:
    once = render_input(file("x.j2", "{% for f in source_files %}{{ f }}{{ changelog_entry }}{% endfor %}"))
    assert JinjaRenderer().render(once) == JinjaRenderer().render(once)


@pytest.mark.parametrize("bootstrap", [True, False])
def test_a_package_can_be_built_without_what_needs_it_in_turn(bootstrap: bool) -> None:
    control = file("debian/control.j2", "Build-Depends: a{% if not bootstrap %}, b{% endif %}")
    (made,) = JinjaRenderer().render(dataclasses.replace(render_input(control, target=DEB), bootstrap=bootstrap))
    assert made.content == (b"Build-Depends: a" if bootstrap else b"Build-Depends: a, b")


@pytest.mark.parametrize("name", ["nova.spec.j2", "nova.spec"])
def test_specs_know_a_bootstrap_by_the_macro_that_dlrn_defines(name: str) -> None:
    spec = render_input(file(name, "Name: nova\n"), file("extra.j2", "text"))
    (extra, made) = JinjaRenderer().render(dataclasses.replace(spec, bootstrap=True))
    assert (extra.content, made.content) == (b"text", b"%global repo_bootstrap 1\nName: nova\n")


def test_changelog_entry_for_rpm() -> None:
    assert expression("{{ changelog_entry }}") == (
        f"* Sat Mar 07 2026 Jane Doe <jane@example.org> - 1:10.2.1~~dev3-1\n"
        f"- Automated build of upstream commit {SHA}\n"
    )


def test_changelog_entry_for_deb() -> None:
    assert expression("{{ changelog_entry }}", target=DEB) == (
        "oslo-utils (1:10.2.1~~dev3-1) trunk; urgency=medium\n\n"
        f"  * Automated build of upstream commit {SHA}\n\n"
        " -- Jane Doe <jane@example.org>  Sat, 07 Mar 2026 09:05:02 +0000\n"
    )


@pytest.mark.parametrize(
    ("maintainers", "expected"),
    [
        ((), "Conveyor <conveyor@localhost>"),
        (("jane@example.org",), "jane <jane@example.org>"),
        (("Jane\n Doe <j@example.org>", "other@example.org"), "Jane Doe <j@example.org>"),
    ],
)
def test_maintainer(maintainers: tuple[str, ...], expected: str) -> None:
    package = dataclasses.replace(PACKAGE, maintainers=maintainers)
    (output,) = JinjaRenderer().render(render_input(file("x.j2", "{{ maintainer }}"), package=package))
    assert output.content.decode() == expected


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("{{ source_archive }}", RPM, "oslo.utils-10.2.1.dev3.tar.gz"),
        ("{{ source_archive }}", DEB, "oslo-utils_10.2.1~~dev3.orig.tar.gz"),
        ("{{ source_prefix }}", DEB, "oslo.utils-10.2.1.dev3"),
        ("{{ source_name }}", RPM, "Oslo_utils"),
        ("{{ source_name }}", DEB, "oslo-utils"),
        ("{{ evr }} {{ epoch }}", RPM, "1:10.2.1~~dev3-1 1"),
        ("{{ shortcommit }} {{ commit }}", RPM, f"0123456 {SHA}"),
        ("{{ commit_date.year }} {{ source_date_epoch }}", RPM, "2026 1772874302"),
        ("{{ target.format }} {{ target.naming }}", RPM, "rpm fedora"),
        ("{{ target.format == 'deb' }}", DEB, "True"),
        ("{{ package.distribution }}", RPM, "oslo.utils"),
        ("{{ has_file('setup.cfg') }} {{ has_file('setup') }}", RPM, "True False"),
        ("{{ python_package('oslo.i18n') }}", DEB, "python3-oslo.i18n"),
        ("{{ requirement('oslo.i18n>=3.15.3') }}", DEB, "python3-oslo.i18n (>= 3.15.3)"),
        ("[{{ requirement('oslo.i18n; python_version < \"3\"') }}]", DEB, "[]"),
    ],
)
def test_variables_and_functions(text: str, target: Target, expected: str) -> None:
    assert expression(text, target=target) == expected


def test_an_undefined_variable_is_told_with_file_line_and_the_nearest_name() -> None:
    error = mistake(
        file("x.spec.j2", "Name: {{ name }}\nSummary: {{ sumary }}\n"), file("variables.yaml", "summary: s\n")
    )
    assert error.what == "specs/Oslo_utils/x.spec.j2, line 2"
    assert error.cause == "'sumary' is undefined"
    assert error.hint == "did you mean 'summary'?"


def test_an_undefined_attribute_is_told_with_the_nearest_name() -> None:
    error = mistake(file("x.j2", "{{ package.distribtion }}"))
    assert error.cause == "'PackageFacts object' has no attribute 'distribtion'"
    assert error.hint == "did you mean 'distribution'?"


def test_a_mistake_in_an_archetype_names_the_archetypes_file() -> None:
    shared = file("_macros.j2", "\n{% macro m() %}\n{{ oops }}{% endmacro %}\n")
    error = mistake(file("x.j2", "{% from '_macros.j2' import m %}{{ m() }}"), shared=(shared,))
    assert error.what == "specs/_archetypes/python/_macros.j2, line 3"
    assert "'oops' is undefined" in error.cause


def test_a_mistake_in_a_packaging_repository_names_its_url() -> None:
    packaging = PackagingRepository(url="https://example.org/distgit", branch="main")
    package = dataclasses.replace(PACKAGE, packaging=packaging)
    with pytest.raises(TemplateInvalid, match=r"^https://example\.org/distgit/x\.j2, line 1: "):
        JinjaRenderer().render(render_input(file("x.j2", "{{ oops }}"), package=package))


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("\n{% if %}", 2, "Expected an expression, got 'end of statement block'"),
        ("\n\n{% for x in y %}", 3, "Unexpected end of template"),
        ("{{ name|nonsense }}", 1, "No filter named 'nonsense'."),
        ("\n{{ name.__class__.__mro__ }}", 2, "access to attribute '__class__' of 'str' object is unsafe."),
        ("{{ source_files.__init__.__globals__ }}", 1, "is unsafe."),
        ("{{ 1 / 0 }}", 1, "it divides by zero"),
        ("{{ 'a' + 1 }}", 1, "can only concatenate str"),
        ("{% include 'nothing.j2' %}", 1, "there is no template 'nothing.j2'"),
        ("{% include '/etc/passwd' %}", 1, "there is no template '/etc/passwd'"),
        ("{% include '../../etc/passwd' %}", 1, "there is no template '../../etc/passwd'"),
        ("{% include 'x.j2' %}", 1, "it includes or calls itself without end"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", 1, "it includes or calls itself without end"),
        ("{{ range(10000000)|list }}", 1, "Range too big"),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            1,
            "more than 500,000 steps",
        ),
        ("{% for a in range(99999) %}" + "x" * (MAX_OUTPUT // 50_000) + "{% endfor %}", None, "the result is longer"),
        ("{% set x = 'a' * 10 ** 12 %}", 1, "too large"),
        ("{% set x = 10 ** (10 ** 10) %}", 1, "too large"),
        ("{{ requirement('a b c') }}", 1, "'a b c' is no requirement"),
        ("{{ source_files|random }}", 1, "No filter named 'random'."),
        ("{{ lipsum() }}", 1, "'lipsum' is undefined"),
        ("{{ '\\ud800' }}", None, "surrogates not allowed"),
    ],
)
def test_mistakes_are_told_with_file_line_and_cause(text: str, line: int | None, cause: str) -> None:
    error = mistake(file("x.j2", text))
    assert error.what == "specs/Oslo_utils/x.j2" + (f", line {line}" if line else "")
    assert cause in error.cause


def test_macros_that_call_themselves_twice_end() -> None:
    text = "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    assert "more than 500,000 steps" in mistake(file("x.j2", text)).cause


def test_a_missing_template_is_told_with_the_nearest_name() -> None:
    assert mistake(file("x.j2", "{% include '_macro.j2' %}"), file("_macros.j2")).hint == "did you mean '_macros.j2'?"


def test_a_template_that_is_not_utf8_is_told_with_its_line() -> None:
    error = mistake(PackagingFile(path="x.j2", content=b"a\nb\xff", executable=False))
    assert error.summary == "specs/Oslo_utils/x.j2, line 2: it is not UTF-8"


@pytest.mark.parametrize("name", ["{{ '' }}", "{{ '/etc' }}/x", "a/{{ '..' }}/x", "a//b", "./a", "a{{ '\\n' }}b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    error = mistake(file(f"{name}.j2", "x"))
    assert error.what == f"The name of specs/Oslo_utils/{name}.j2"
    assert "no path below the packaging's folder" in error.cause


def test_a_name_with_a_mistake_is_told() -> None:
    error = mistake(file("{{ nam }}.spec.j2", "x"))
    assert error.what == "The name of specs/Oslo_utils/{{ nam }}.spec.j2"
    assert error.hint == "did you mean 'name'?"


def test_two_files_of_one_name_are_refused() -> None:
    error = mistake(file("{{ name }}.spec.j2", "x"), file("Oslo_utils.spec", "y"))
    assert "as the name of specs/Oslo_utils/{{ name }}.spec.j2 does" in error.cause


def test_a_file_that_is_anothers_folder_is_refused() -> None:
    assert "which is a file (specs/_archetypes/python/a)" in mistake(file("a/b"), shared=(file("a"),)).cause


@pytest.mark.parametrize(
    ("text", "what", "cause"),
    [
        ("a: 1\nb: [", ", line 2", "expected the node content"),
        ("a: 1\na: 2\n", ", line 2", 'found duplicate key "a"'),
        ("- a\n", ", line 1", "it holds no mapping"),
        ("version: 1\n", "", "it sets 'version', which Conveyor sets"),
        ("has-dash: 1\n", "", "'has-dash' is no variable name"),
        ("1: 1\n", "", "1 is no variable name"),
        ("a: \x00\n", "", "it is no YAML"),
        ("a: !!python/object:os.system {}\n", ", line 1", "could not determine a constructor"),
    ],
)
def test_mistakes_in_variables_yaml(text: str, what: str, cause: str) -> None:
    error = mistake(file("variables.yaml", text))
    assert error.what == "specs/Oslo_utils/variables.yaml" + what
    assert cause in error.cause


def test_a_variable_that_no_template_reads_is_refused() -> None:
    shared = file("variables.yaml", "commands: []\n"), file("debian/x.j2", "{{ commands }}")
    error = mistake(file("variables.yaml", "comands: [nova]\n"), shared=shared)
    assert error.summary == "specs/Oslo_utils/variables.yaml: no template reads the variable 'comands'"
    assert error.hint == "did you mean 'commands'?"


def test_an_empty_variables_yaml_is_no_mistake() -> None:
    assert rendered(file("variables.yaml", "# nothing yet\n"), file("x", "y")) == {"x": "y"}


@pytest.mark.parametrize("version", ["1.0$(reboot)", "1.0\n%(reboot)", "", "-rf", "1 0"])
def test_a_version_that_a_shell_would_interpret_is_refused(version: str) -> None:
    once = render_input(file("x"))
    hostile = dataclasses.replace(once, version=dataclasses.replace(once.version, upstream=version))
    with pytest.raises(VersionInvalid, match="cannot be written into packaging"):
        JinjaRenderer().render(hostile)
