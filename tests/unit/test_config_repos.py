"""repos.yaml: what a good one says, and what each mistake in a bad one gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conveyor.config import Repos, load_repos
from conveyor.errors import ConfigurationInvalid, UnknownName
from conveyor.model.package import (
    CommitPolicy,
    Following,
    Package,
    PackagingFolder,
    PackagingRepository,
    RebuildPolicy,
    VersionScheme,
)
from conveyor.model.target import (
    BuilderKind,
    Compression,
    DebianSuite,
    Format,
    IndexOptions,
    Limits,
    RpmDistribution,
    RpmRepository,
    SourcePackages,
    Target,
)

SHIPPED = Path(__file__).parents[2] / "repos.yaml"
DATA = Path(__file__).parents[1] / "data" / "config"
HEAD = """\
defaults:
  targets: [debian-13-amd64]
targets:
  debian-13-amd64: {format: deb, suite: trixie}
packages:
"""
DEB = "format: deb, suite: trixie"
RPM = (
    "format: rpm, release: '1', naming: rdo, dist: x, repositories: [{name: a, url: 'https://example.org', key: none}]"
)
NOVA = "  nova: {upstream: https://opendev.org/openstack/nova}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("specs/nova", "specs/oslo.utils", "specs/_archetypes/python"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def load(folder: Path, text: str | bytes, *, limits: Limits | None = None) -> Repos:
    path = folder / "repos.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_repos(path, limits=limits) if limits else load_repos(path)


def mistakes(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as raised:
        load(folder, text)
    lines = list(raised.value.details)
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    assert raised.value.what == f"repos.yaml has {count}"
    assert "docs/configuration.md" in raised.value.hint
    return [line.removeprefix(f"{folder}/").replace(str(folder), "FOLDER") for line in lines]


def test_a_short_file_has_sensible_defaults(folder: Path) -> None:
    repos = load(folder, HEAD + NOVA)
    assert repos.path == folder / "repos.yaml"
    assert repos.packages == {
        "nova": Package(
            name="nova",
            distribution="nova",
            upstream="https://opendev.org/openstack/nova",
            branch="master",
            packaging=PackagingFolder(path=folder / "specs/nova"),
            archetype=None,
            targets=("debian-13-amd64",),
            version_scheme=VersionScheme.PBR,
            maintainers=(),
            component="main",
        )
    }
    assert repos.targets == {
        "debian-13-amd64": Target(
            name="debian-13-amd64",
            format=Format.DEB,
            architecture="amd64",
            builder=BuilderKind.OVERLAY,
            origin=DebianSuite(suite="trixie", mirror=None, components=("main",)),
            base_packages=(),
            build_packages=("build-essential", "fakeroot"),
            dist="deb13",
            naming="debian",
            limits=Limits(seconds=1800, memory=4 * 2**30, disk=8 * 2**30, processes=1000),
            install_check=True,
        )
    }


def test_a_full_file_says_everything(folder: Path) -> None:
    (folder / "KEY").touch()
    text = """\
defaults:
  branch: main
  version_scheme: tag
  archetype: python
  targets: [mine-7]
  maintainers: [Ann Onymous <ann@example.org>]
  component: libs
  commits: newest
  max_waiting: 5
  poll_interval: 1h
  cancel_superseded: true
targets:
  mine-7:
    format: rpm
    architecture: aarch64
    builder: overlay
    release: "7"
    dist: my7
    naming: fedora
    database: /var/lib/rpm
    base_packages: [bash]
    build_packages: ["@buildsys-build", python3dist(pbr)]
    limits: {time: 2h, memory: 512M, disk: 1073741824, processes: 10}
    install_check: false
    builds_at_once: 2
    repositories:
      - {name: os, url: packages, key: KEY}
      - {name: more, url: https://example.org/os/, key: none}
packages:
  oslo.utils:
    upstream: git@example.org:oslo.utils
    distribution: Oslo_Utils
    packaging: {url: "https://example.org/packaging.git", branch: rpm-master}
  nova:
    upstream: https://opendev.org/openstack/nova
    branch: stable/2026.1
    version_scheme: dlrn
    archetype:
    targets: [mine-7]
    maintainers: [ben@example.org]
    component: compute
    commits: tags
    max_waiting:
    poll_interval: 90s
    cancel_superseded: false
    rebuild: abi
    bootstrap: true
    packaging: https://example.org/nova.git
  twin: {upstream: "https://opendev.org/openstack/nova", packaging: specs/nova}
"""
    repos = load(folder, text)
    assert repos.target("mine-7") == Target(
        name="mine-7",
        format=Format.RPM,
        architecture="aarch64",
        builder=BuilderKind.OVERLAY,
        origin=RpmDistribution(
            repositories=(
                RpmRepository(name="os", url=(folder / "packages").as_uri(), key=str(folder / "KEY")),
                RpmRepository(name="more", url="https://example.org/os/", key=None),
            ),
            release="7",
            database="/var/lib/rpm",
        ),
        base_packages=("bash",),
        build_packages=("@buildsys-build", "python3dist(pbr)"),
        dist="my7",
        naming="fedora",
        limits=Limits(seconds=7200, memory=512 * 2**20, disk=2**30, processes=10),
        install_check=False,
        builds_at_once=2,
    )
    utils, nova, twin = repos.packages.values()
    assert utils.packaging == PackagingRepository(url="https://example.org/packaging.git", branch="rpm-master")
    assert (utils.distribution, utils.branch, utils.version_scheme) == ("Oslo_Utils", "main", VersionScheme.TAG)
    assert (utils.archetype, utils.component) == (folder / "specs/_archetypes/python", "libs")
    assert utils.maintainers == ("Ann Onymous <ann@example.org>",)
    assert nova.packaging == PackagingRepository(url="https://example.org/nova.git", branch="master")
    assert (nova.archetype, nova.branch, nova.version_scheme) == (None, "stable/2026.1", VersionScheme.DLRN)
    assert twin.packaging == PackagingFolder(path=folder / "specs/nova")
    assert twin.following == Following(
        commits=CommitPolicy.NEWEST, max_waiting=5, interval=3600, cancel_superseded=True
    )
    assert nova.following == Following(
        commits=CommitPolicy.TAGS, interval=90, rebuild=RebuildPolicy.ABI, bootstrap=True
    )


def test_what_repositories_of_a_target_have(folder: Path) -> None:
    deb = (HEAD + NOVA).replace("suite: trixie", "suite: trixie, contents: true, valid_until: 7d")
    assert load(folder, deb).target("debian-13-amd64").indexes == IndexOptions(contents=True, valid_until=7 * 86400)
    assert load(folder, HEAD + NOVA).target("debian-13-amd64").indexes == IndexOptions()
    rpm = (HEAD + NOVA).replace(DEB, f"{RPM}, compression: zstd, source_packages: beside")
    options = load(folder, rpm).target("debian-13-amd64").indexes
    assert options == IndexOptions(compression=Compression.ZSTD, source_packages=SourcePackages.BESIDE)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (f"{DEB}, valid_until: never", "'never' is no duration; would be right: 30m, 90s, 2h or 7d"),
        (f"{DEB}, contents: 1", "must be true or false"),
        (f"{DEB}, compression: zstd", "compression"),
        (f"{RPM}, contents: true", "contents"),
        (f"{RPM}, compression: bzip2", "gzip"),
        (f"{RPM}, source_packages: outside", "inside"),
    ],
)
def test_mistakes_in_what_repositories_have(folder: Path, entry: str, said: str) -> None:
    (line,) = mistakes(folder, (HEAD + NOVA).replace(DEB, entry))
    assert said in line


def test_limits_of_the_site_stand_where_a_target_has_none(folder: Path) -> None:
    site = Limits(seconds=1, memory=2, disk=3, processes=4)
    text = (HEAD + NOVA).replace("suite: trixie", "suite: trixie, limits: {memory: 4G}")
    limits = load(folder, text, limits=site).target("debian-13-amd64").limits
    assert limits == Limits(seconds=1, memory=4 * 2**30, disk=3, processes=4)


@pytest.mark.parametrize(
    ("name", "dist", "naming", "release_package"),
    [
        ("centos-10-x86_64", "el10", "centos", "centos-stream-release"),
        ("fedora-44-x86_64", "fc44", "fedora", "fedora-release-common"),
    ],
)
def test_a_targets_name_tells_its_distribution(
    folder: Path, name: str, dist: str, naming: str, release_package: str
) -> None:
    text = HEAD.replace(
        "packages:\n",
        f"  {name}: {{format: rpm, release: '1', repositories: [{{name: a, url: 'https://a/', key: none}}]}}\n"
        "packages:\n",
    )
    target = load(folder, text + NOVA).target(name)
    assert (target.dist, target.naming, target.architecture) == (dist, naming, "x86_64")
    assert release_package in target.base_packages
    assert "rpm-build" in target.build_packages


WHOLE_FILES: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["repos.yaml:1: is empty; would be right: the keys defaults, targets and packages"]),
    "only a comment": ("# x\n", ["repos.yaml:1: is empty; would be right: the keys defaults, targets and packages"]),
    "a list": (
        "- a\n",
        ["repos.yaml:1: is not a mapping of keys to values; would be right: the keys defaults, targets and packages"],
    ),
    "a set": (
        "!!set {a}\n",
        ["repos.yaml:1: is not a mapping of keys to values; would be right: the keys defaults, targets and packages"],
    ),
    "not UTF-8": (
        b"defaults:\n  # caf\xe9\n",
        ["repos.yaml:2: byte 0xe9 is not UTF-8; would be right: the file saved as UTF-8"],
    ),
    "a tab": (
        "defaults:\n\tbranch: master\n",
        ["repos.yaml:2: a tab character between words or as indentation; would be right: spaces"],
    ),
    "a control character": (
        "defaults:\n  branch: a\x01\n",
        ["repos.yaml:2: holds a control character; would be right: plain text"],
    ),
    "escapes beyond Unicode": (
        'defaults:\n  branch: "\\U0010ffff"\ntargets: "\\UFFFFFFFF"\n',
        ["repos.yaml:3: holds an escape beyond Unicode; would be right: the character itself"],
    ),
    "not closed": (
        "defaults: {branch: master\ntargets: {}\n",
        [
            (
                "repos.yaml:2: is not YAML: while parsing a flow mapping (from line 1): expected ',' or '}', "
                "but got ':'; would be right: `key: value` lines, indented with spaces"
            )
        ],
    ),
    "two documents": (
        "a: 1\n---\nb: 2\n",
        [
            (
                "repos.yaml:2: is not YAML: expected a single document in the stream (from line 1): "
                "but found another document; would be right: `key: value` lines, indented with spaces"
            )
        ],
    ),
    "too deep": (
        "a: " + "[" * 5000,
        ["repos.yaml:1: is nested deeper than 20 levels; would be right: targets and packages only"],
    ),
    "unknown and missing keys at the top": (
        "target: {}\npackages: []\n",
        [
            "repos.yaml:1: targets: is missing; would be right: {debian-13-amd64: {format: deb, suite: trixie}}",
            "repos.yaml:1: target: unknown key; did you mean 'targets'?",
            (
                "repos.yaml:2: packages: is a list, must be a mapping of keys to values; would be right: "
                "{nova: {upstream: 'https://opendev.org/openstack/nova'}}"
            ),
        ],
    ),
    "nothing in them": (
        "defaults:\ntargets: {}\npackages:\n",
        [
            (
                "repos.yaml:1: defaults: is empty, must be a mapping of keys to values; would be right: "
                "{branch: master, targets: [debian-13-amd64]}"
            ),
            "repos.yaml:2: targets: is empty; would be right: {debian-13-amd64: {format: deb, suite: trixie}}",
            (
                "repos.yaml:3: packages: is empty, must be a mapping of keys to values; would be right: "
                "{nova: {upstream: 'https://opendev.org/openstack/nova'}}"
            ),
        ],
    ),
}


@pytest.mark.parametrize("case", WHOLE_FILES)
def test_a_broken_file(folder: Path, case: str) -> None:
    text, expected = WHOLE_FILES[case]
    assert mistakes(folder, text) == expected


def cases(name: str) -> dict[str, tuple[str, list[str]]]:
    """The cases of a data file: "=== title", the text, "---", the expected lines less the file's name."""
    _, *parts = (DATA / name).read_text(encoding="utf-8").split("=== ")
    found = {}
    for part in parts:
        head, _, expected = part.partition("\n---\n")
        title, _, text = head.partition("\n")
        found[title] = (text, [f"repos.yaml:{line}" for line in expected.split("\n") if line])
    return found


PACKAGES = cases("broken-packages.txt")
TARGETS = cases("broken-targets.txt")


@pytest.mark.parametrize("case", PACKAGES)
def test_a_broken_package(folder: Path, case: str) -> None:
    text, expected = PACKAGES[case]
    assert mistakes(folder, f"{HEAD}{text}\n") == expected


@pytest.mark.parametrize("case", TARGETS)
def test_a_broken_target(folder: Path, case: str) -> None:
    text, expected = TARGETS[case]
    name = text.strip().partition(":")[0]
    whole = f"targets:\n{text}\npackages:\n{NOVA.replace('}', f', targets: [{name}]}}')}"
    assert mistakes(folder, whole) == expected


def test_mistakes_of_all_parts_are_told_at_once(folder: Path) -> None:
    text = (
        "defaults: {branch: -x, archetype: pythn}\n"
        "targets:\n  debian-13-amd64: {format: deb}\n"
        "packages:\n  nova: {upstream: x}\n"
    )
    assert mistakes(folder, text) == [
        "repos.yaml:1: defaults.branch: '-x' is no branch name; would be right: master",
        (
            "repos.yaml:1: defaults.archetype: unknown archetype 'pythn' (folders of specs/_archetypes); "
            "did you mean 'python'?"
        ),
        "repos.yaml:3: targets.debian-13-amd64.suite: is missing; would be right: trixie",
        "repos.yaml:5: packages.nova.targets: is missing, here and in defaults; would be right: [debian-13-amd64]",
        (
            "repos.yaml:5: packages.nova.upstream: no URL: it has no scheme; would be right: "
            "https://opendev.org/openstack/nova (or http, ssh, git, file, or user@host:path)"
        ),
    ]


def test_a_file_that_cannot_be_read(folder: Path) -> None:
    for path, cause in ((folder / "none.yaml", "No such file or directory"), (folder, "Is a directory")):
        with pytest.raises(ConfigurationInvalid) as raised:
            load_repos(path)
        assert raised.value.summary == f"{path} cannot be read: {cause}"
        assert raised.value.hint


def test_an_alias_bomb_is_harmless(folder: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 15)
    )
    lines = mistakes(folder, bomb + HEAD + NOVA)
    assert any("aliases make more than 200000 values" in line for line in lines)


def test_a_file_too_large_is_not_read(folder: Path) -> None:
    assert mistakes(folder, "# x\n" * 2**21) == [
        "repos.yaml: is larger than 4 MiB; would be right: a file written by hand"
    ]


def test_an_anchor_may_be_used_again_and_aliases_are_followed(folder: Path) -> None:
    text = (
        HEAD
        + "  nova: {upstream: &a https://a/b, branch: &a main}\n  oslo.utils: {upstream: 'https://a/c', branch: *a}\n"
    )
    assert load(folder, text).package("oslo.utils").branch == "main"


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    assert load(folder, b"\xef\xbb\xbf" + (HEAD + NOVA).encode()).package("nova")


def test_an_unknown_name_gets_the_nearest_and_all(folder: Path) -> None:
    repos = load(folder, HEAD + NOVA)
    with pytest.raises(UnknownName) as raised:
        repos.package("nvoa")
    assert raised.value.what == "unknown package 'nvoa'"
    assert raised.value.hint == f"did you mean 'nova'? packages of {folder}/repos.yaml: nova"
    with pytest.raises(UnknownName) as raised:
        repos.target("x\x1b[31m")
    assert raised.value.what == "unknown target 'x\\x1b[31m'"
    assert raised.value.hint == f"targets of {folder}/repos.yaml: debian-13-amd64"


def test_the_shipped_file_names_what_it_should() -> None:
    missing = [
        name
        for name in ("nova", "oslo.i18n", "oslo.utils", "oslo.config", "python-novaclient", "_archetypes")
        if not (SHIPPED.parent / "specs" / name).is_dir()
    ]
    if missing:
        pytest.skip(f"specs/ has no {', '.join(missing)} yet")
    check_shipped(load_repos(SHIPPED), SHIPPED.parent)


def test_the_shipped_file_is_right_wherever_its_specs_are(tmp_path: Path) -> None:
    for name in ("nova", "oslo.i18n", "oslo.utils", "oslo.config", "python-novaclient", "_archetypes/python"):
        (tmp_path / "specs" / name).mkdir(parents=True)
    check_shipped(load(tmp_path, SHIPPED.read_bytes()), tmp_path)


def check_shipped(repos: Repos, folder: Path) -> None:
    assert list(repos.packages) == ["oslo.i18n", "oslo.utils", "oslo.config", "python-novaclient", "nova"]
    assert {package.upstream for package in repos.packages.values()} == {
        f"https://opendev.org/openstack/{name}" for name in repos.packages
    }
    assert {name: target.dist for name, target in repos.targets.items()} == {
        "debian-12-amd64": "deb12",
        "debian-13-amd64": "deb13",
        "centos-9-x86_64": "el9",
        "centos-10-x86_64": "el10",
        "fedora-44-x86_64": "fc44",
        "local-1-x86_64": "local1",
    }
    assert repos.package("nova").targets == ("debian-13-amd64", "local-1-x86_64")
    assert repos.target("local-1-x86_64").origin == RpmDistribution(
        repositories=(RpmRepository(name="local", url=(folder / ".cache/rpm-distribution").as_uri(), key=None),),
        release="1",
        database="/usr/lib/sysimage/rpm",
    )


PIECES = st.sampled_from(
    [
        "defaults",
        "targets",
        "packages",
        "nova",
        "upstream",
        "format",
        "deb",
        "rpm",
        "limits",
        "time",
        "- ",
        ": ",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        '"',
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "<<",
        "? ",
        "| ",
        "> ",
        "# ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "\t",
        "null",
        "~",
        "1e3",
        "0x1f",
        ".nan",
        "1:30",
        "2001-01-01",
        "\\ud800",
        "\\U0011ffff",
        "\\x00",
        "https://a/b",
        "\ufeff",
        "\x85",
        "é",
    ]
)


def details(folder: Path, text: str | bytes) -> tuple[str, ...]:
    """The mistakes that a text gets; none when it is right. Anything else that it raises is an accident."""
    try:
        load(folder, text)
    except ConfigurationInvalid as error:
        return error.details or ("no details",)
    return ()


def assert_no_accident(folder: Path, text: str | bytes) -> None:
    lines = details(folder, text)
    assert "no details" not in lines
    assert all(line.isprintable() for line in lines)


ANY_TEXT = settings(
    derandomize=True, deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ANY_TEXT
@given(pieces=st.lists(PIECES, max_size=40))
def test_no_text_of_yamls_own_pieces_is_an_accident(tmp_path: Path, pieces: list[str]) -> None:
    assert_no_accident(tmp_path, "".join(pieces))


@ANY_TEXT
@given(
    content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
)
def test_no_bytes_are_an_accident(tmp_path: Path, content: bytes) -> None:
    assert_no_accident(tmp_path, content)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8).map(repr), PIECES.map(repr)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(map(str, items))}]"),
        st.dictionaries(
            st.sampled_from(
                ["upstream", "packaging", "targets", "format", "url", "limits", "repositories", "key", "zz"]
            ),
            inner,
            max_size=4,
        ).map(lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"),
    ),
    max_leaves=12,
)


@ANY_TEXT
@given(target=VALUES, package=VALUES, defaults=VALUES)
def test_no_value_anywhere_is_an_accident(tmp_path: Path, target: object, package: object, defaults: object) -> None:
    assert_no_accident(tmp_path, f"defaults: {defaults}\ntargets: {{t: {target}}}\npackages: {{nova: {package}}}\n")


def test_epochs_are_given_by_format(folder: Path) -> None:
    repos = load(folder, HEAD + NOVA.replace("}\n", ", epoch: {deb: 2}}\n"))
    assert repos.packages["nova"].epochs == {Format.DEB: 2}
