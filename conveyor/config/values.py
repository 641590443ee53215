"""The single values of a configuration: what each may be, and what is said of one that is not.

Each type is a `str` or `int` with its check; a check raises ValueError with what is wrong and what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from conveyor.config import urls
from conveyor.config.files import folders_in, is_folder
from conveyor.config.human import parse_duration, parse_size
from conveyor.config.mistakes import describe, nearest, show, suggest
from conveyor.model.addresses import mailbox
from conveyor.model.package import CommitPolicy, RebuildPolicy, VersionScheme
from conveyor.model.promotion import is_job_name
from conveyor.model.target import BuilderKind, Compression, Format, SourcePackages

# dpkg's word and rpm's for the same machine.
ARCHITECTURES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
NAMINGS = ("debian", "fedora", "centos", "rdo")
# Transports of containers-transports(5) that name something on this machine's disk.
IMAGE_FILES = ("oci", "oci-archive", "docker-archive", "dir")
SPECS = "specs"
ARCHETYPES = "specs/_archetypes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a value is judged by beside itself.

    Attributes:
        folder: the folder of repos.yaml: relative paths start there.
        targets: the names of all targets.
    """

    folder: Path
    targets: frozenset[str]


def context_of(info: ValidationInfo) -> Context:
    """The context that the validation was given."""
    return cast(Context, info.context)


def matching(pattern: str, what: str, example: str) -> AfterValidator:
    """A check that a text has a form; `what` names it in the mistake."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{show(text)} is no {what}; would be right: {example}")
        return text

    return AfterValidator(check)


def one_of(names: Iterable[str], what: str) -> AfterValidator:
    """A check that a text is one of a few; the mistake suggests the nearest."""
    known = tuple(names)

    def check(text: str) -> str:
        if text not in known:
            raise ValueError(f"unknown {what} {show(text)}; {suggest(text, known)}")
        return text

    return AfterValidator(check)


def measure(parse: Callable[[str], int]) -> BeforeValidator:
    """A duration or size, as text with its unit or as a bare number."""

    def convert(value: object) -> int:
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return parse(str(value))
        raise ValueError(f"is {describe(value)}; would be right: a number with its unit, such as 30m or 4G")

    return BeforeValidator(convert)


def known_target(name: str, info: ValidationInfo) -> str:
    """A target's name that repos.yaml has."""
    targets = context_of(info).targets
    if name not in targets:
        raise ValueError(f"unknown target {show(name)}; {suggest(name, targets)}")
    return name


def archetype_folder(name: str, info: ValidationInfo) -> str:
    """An archetype's name; its folder must exist."""
    folder = context_of(info).folder / ARCHETYPES
    known = folders_in(folder)
    if name not in known:
        raise ValueError(f"unknown archetype {show(name)} (folders of {ARCHETYPES}); {suggest(name, known)}")
    return name


def architecture_of(words: Mapping[str, str]) -> AfterValidator:
    """A check that an architecture is in a format's own words; `words` has the other format's for each of them."""
    from_other = {other: own for own, other in words.items()}

    def check(text: str) -> str:
        if text not in words:
            near = f"would be right: {from_other[text]}" if text in from_other else suggest(text, words)
            raise ValueError(f"{show(text)} is no architecture of this format; {near}")
        return text

    return AfterValidator(check)


def packaging_folder(text: str, info: ValidationInfo) -> str:
    """The absolute path of a packaging folder, which must exist."""
    return str(check_folder(text, context_of(info).folder))


def repository_url(text: str, info: ValidationInfo) -> str:
    """The URL of an RPM repository; a path becomes a file URL."""
    return urls.location(text, context_of(info).folder)


def repository_key(value: object, info: ValidationInfo) -> object:
    """Where a repository's key is; None for the word none, which says that packages are not signed."""
    if value == "none":
        return None
    return urls.key_location(value, context_of(info).folder) if isinstance(value, str) else value


def mock_config(text: str, info: ValidationInfo) -> str:
    """A configuration of mock: the name of one of the host's, or the absolute path of a file, which must exist."""
    if "/" not in text and not text.endswith(".cfg"):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._-]*", text):
            raise ValueError(f"{show(text)} is no mock configuration; would be right: centos-stream-10-x86_64")
        return text
    path = context_of(info).folder / text
    if not path.is_file():
        raise ValueError(f"there is no file {show(text)}; would be right: the path of a mock configuration")
    return str(path.absolute())


def image(text: str, info: ValidationInfo) -> str:
    """An image as containers-transports(5) writes it; of a file, the absolute path."""
    transport, _, rest = text.partition(":")
    if transport == "containers-storage" and re.fullmatch(r"[a-z0-9][A-Za-z0-9._/:@-]*", rest):
        return text
    if transport not in IMAGE_FILES or not rest:
        raise ValueError(
            f"{show(text)} names no image; would be right: containers-storage:localhost/buildroot:latest, "
            "or oci-archive:path/of/image.tar"
        )
    path, _, tag = rest.partition(":")
    place = (context_of(info).folder / path).absolute()
    return f"{transport}:{place}{':' if tag else ''}{tag}"


def branch_name(name: str) -> str:
    """A branch's name as git-check-ref-format(1) has it, that no command takes for an option."""
    forbidden = re.search(r"\.\.|@\{|[ ~^:?*\[\\]|//|/\.|\.lock(/|$)", name)
    if not name or forbidden or name.startswith(("-", "/", ".")) or name.endswith(("/", ".")) or name == "@":
        raise ValueError(f"{show(name)} is no branch name; would be right: master")
    return name


def job_name(name: str) -> str:
    """A job's name, as votes have it."""
    if not is_job_name(name):
        raise ValueError(f"{show(name)} is no name of a job; would be right: smoke-tests")
    return name


def check_folder(text: str, base: Path) -> Path:
    """The absolute path of a packaging folder.

    Raises:
        ValueError: there is none; the mistake suggests a neighbour.
    """
    path = base / text
    if not text or not is_folder(path):
        right = nearest(path.name, folders_in(path.parent)) or "would be right: a folder with packaging, or a git URL"
        raise ValueError(f"there is no folder {show(text)} in {base}; {right}")
    return path


def whole_path(text: str) -> str:
    """An absolute path; relative ones were completed by whoever knows where they start.

    Raises:
        ValueError: it is none.
    """
    if not Path(text).is_absolute() or not text.isprintable() or "/~" in text:
        raise ValueError(f"{show(text)} is no path; would be right: /srv/conveyor")
    return text


def argument(text: str) -> str:
    """One argument of a command line.

    Raises:
        ValueError: it is empty or cannot be one.
    """
    if not text or not text.isprintable():
        raise ValueError(f"{show(text)} is no argument of a command; would be right: --ulimit")
    return text


class Named(Protocol):
    """An entry of a list that has a name."""

    @property
    def name(self) -> str:
        """The name."""


NamedEntry = TypeVar("NamedEntry", bound=Named)


def one_of_each(entries: list[NamedEntry]) -> list[NamedEntry]:
    """Entries with different names.

    Raises:
        ValueError: two have one name.
    """
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two are called {show(twice[0])}; would be right: a name for each")
    return entries


def mail_address(text: str) -> str:
    """A mail address, with or without a name.

    Raises:
        ValueError: it is none.
    """
    try:
        mailbox(text)
    except ValueError:
        usable = False
    else:
        usable = text.isprintable()
    if not usable:
        raise ValueError(f"{show(text)} is no mail address; would be right: Name <name@example.org>")
    return text


TargetName = Annotated[str, AfterValidator(known_target)]
Archetype = Annotated[str, AfterValidator(archetype_folder)]
Branch = Annotated[str, AfterValidator(branch_name)]
GitUrl = Annotated[str, AfterValidator(urls.git_url)]
WebUrl = Annotated[str, AfterValidator(urls.web_url)]
WholePath = Annotated[str, AfterValidator(whole_path)]
Argument = Annotated[str, AfterValidator(argument)]
MailAddress = Annotated[str, AfterValidator(mail_address)]
PackagingPath = Annotated[str, AfterValidator(packaging_folder)]
RepositoryUrl = Annotated[str, AfterValidator(repository_url)]
RepositoryKey = Annotated[str | None, BeforeValidator(repository_key)]

FormatWord = Annotated[str, one_of(Format, "format")]
BuilderWord = Annotated[str, one_of(BuilderKind, "builder")]
DebBuilder = Annotated[str, one_of((BuilderKind.OVERLAY, BuilderKind.PBUILDER), "builder of debs")]
RpmBuilder = Annotated[str, one_of((BuilderKind.OVERLAY, BuilderKind.MOCK), "builder of RPMs")]
IndexCompression = Annotated[str, one_of(Compression, "compression")]
SourcesPlace = Annotated[str, one_of(SourcePackages, "place of source packages")]
Naming = Annotated[str, one_of(NAMINGS, "naming")]
Scheme = Annotated[str, one_of(VersionScheme, "version scheme")]
Commits = Annotated[str, one_of(CommitPolicy, "choice of commits")]
RebuildWhen = Annotated[str, one_of(RebuildPolicy, "reason to rebuild")]
DebArchitecture = Annotated[str, architecture_of(ARCHITECTURES)]
RpmArchitecture = Annotated[str, architecture_of({rpm: deb for deb, rpm in ARCHITECTURES.items()})]

Component = Annotated[str, matching(r"[a-z0-9][a-z0-9+._-]*", "component", "libs")]
# The core metadata specification, "Name".
Distribution = Annotated[
    str, matching(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "Python distribution", "oslo.utils")
]
Maintainer = Annotated[
    str, matching(r"[^<>@\s]+@[^<>@\s]+|[^<>@\s][^<>@]* <[^<>@\s]+@[^<>@\s]+>", "address", "Name <name@example.org>")
]
# Both formats' revisions take it: Debian Policy 5.6.12, rpm's Release.
Mark = Annotated[str, matching(r"[a-z0-9][a-z0-9.]*", "mark of a distribution", "el10")]
Suite = Annotated[str, matching(r"[a-z0-9][a-z0-9+._/-]*", "Debian suite", "trixie")]
# sources.list(5): a path that ends with "/" is a repository without components.
SuiteOrPath = Annotated[str, matching(r"[a-z0-9][a-z0-9+._/-]*|\./|/", "Debian suite", "trixie")]
Release = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "release", '"10"')]
FolderInRoot = Annotated[str, matching(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+", "absolute path", "/var/lib/rpm")]
RepositoryName = Annotated[str, matching(r"[A-Za-z0-9_][A-Za-z0-9_-]*", "repository name", "baseos")]
# A requirement as apt and dnf take it on their command line, and never an option or two of them.
Requirement = Annotated[str, matching(r"[A-Za-z0-9@/(][^\s,;|&$`'\"\\]*", "package name", "rpm-build")]
# A configuration that mock finds by its name, or a file; never an option.
MockConfig = Annotated[str, AfterValidator(mock_config)]
MockPackageManager = Annotated[str, one_of(("dnf5", "dnf4", "dnf", "yum", "microdnf"), "package manager of mock")]
MockIsolation = Annotated[str, one_of(("simple", "nspawn", "auto"), "isolation of mock")]
# The reference grammar of OCI images, with its longest form left to podman.
ImageName = Annotated[str, matching(r"[a-z0-9][A-Za-z0-9._/:@-]*", "image name", "localhost/conveyor-pbuilder:latest")]
Image = Annotated[str, AfterValidator(image)]

Job = Annotated[str, AfterValidator(job_name)]

Duration = Annotated[int, measure(parse_duration)]
Size = Annotated[int, measure(parse_size)]
# Linux knows no more processes: PID_MAX_LIMIT, proc(5).
# dpkg takes no epoch above a signed int's, and packages use single digits.
Epoch = Annotated[int, Field(ge=0, le=999)]
Count = Annotated[int, Field(ge=1, le=2**22)]
