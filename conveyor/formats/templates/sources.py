"""Packaging before rendering: which files are templates, which are outputs, and the variables that they bring."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from conveyor.errors import TemplateInvalid
from conveyor.model.package import Package, PackagingFolder
from conveyor.model.packaging import PackagingFile

VARIABLES_FILE = "variables.yaml"
TEMPLATE_SUFFIX = ".j2"
_FOR_EACH = re.compile(r"\{#-?\s*for each (?P<variable>[A-Za-z_]\w*) in (?P<items>.+?)\s*-?#\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEach:
    """What a template says in its first line when it comes out several times: {# for each VARIABLE in ITEMS #}.

    Attributes:
        variable: the variable that holds the item, in the name and in the content.
        items: the expression that gives the items.
    """

    variable: str
    items: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSource:
    """A file of the packaging before rendering.

    Attributes:
        file: the file.
        label: what errors call it, such as "specs/nova/debian/control.j2".
    """

    file: PackagingFile
    label: str

    @property
    def path(self) -> str:
        """Its path in the packaging."""
        return self.file.path

    @property
    def is_template(self) -> bool:
        """Whether its content is rendered."""
        return self.path.endswith(TEMPLATE_SUFFIX)

    @property
    def is_private(self) -> bool:
        """Whether it is there for other templates only: its name, or a folder above it, starts with "_"."""
        return any(part.startswith("_") for part in PurePosixPath(self.path).parts)

    @property
    def is_output(self) -> bool:
        """Whether a packaging file comes from it."""
        return not self.is_private and self.path != VARIABLES_FILE

    @property
    def output_name(self) -> str:
        """The path of what comes from it, before the variables in it are filled in."""
        return self.path.removesuffix(TEMPLATE_SUFFIX)

    @property
    def for_each(self) -> ForEach | None:
        """What it comes out once for each of; None where it comes out once."""
        match = _FOR_EACH.match(self.text()) if self.is_template else None
        return ForEach(variable=match["variable"], items=match["items"]) if match else None

    def text(self) -> str:
        """Its content.

        Raises:
            TemplateInvalid: it is not UTF-8.
        """
        try:
            return self.file.content.decode()
        except UnicodeDecodeError as error:
            line = self.file.content.count(b"\n", 0, error.start) + 1
            raise TemplateInvalid(f"{self.label}, line {line}", cause="it is not UTF-8") from error


def own_sources(package: Package, files: Iterable[PackagingFile]) -> tuple[TemplateSource, ...]:
    """The package's own files."""
    packaging = package.packaging
    place = f"specs/{package.name}" if isinstance(packaging, PackagingFolder) else packaging.url
    return tuple(TemplateSource(file=file, label=f"{place}/{file.path}") for file in files)


def shared_sources(package: Package, files: Iterable[PackagingFile]) -> tuple[TemplateSource, ...]:
    """The archetype's files."""
    archetype = package.archetype.name if package.archetype else ""
    return tuple(TemplateSource(file=file, label=f"specs/_archetypes/{archetype}/{file.path}") for file in files)


def file_variables(sources: Iterable[TemplateSource], reserved: Iterable[str]) -> dict[str, object]:
    """The variables of the variables.yaml among `sources`; none where there is no such file.

    Args:
        sources: files of one origin.
        reserved: names that are not free.

    Raises:
        TemplateInvalid: it is no YAML, no mapping, or sets what it cannot set.
    """
    for source in sources:
        if source.path == VARIABLES_FILE:
            return _with_good_names(source.label, _mapping(source), frozenset(reserved))
    return {}


def refuse_bad_path(path: str, label: str) -> None:
    """Check where a packaging file is to be written.

    Raises:
        TemplateInvalid: the path is empty, absolute, not in its shortest form, leads out of its folder, or holds
            control characters.
    """
    parts = path.split("/")
    controls = any(unicodedata.category(character) == "Cc" for character in path)
    if controls or not {"", ".", ".."}.isdisjoint(parts):
        raise TemplateInvalid(
            f"The name of {label}",
            cause=f"it renders to {path!r}, which is no path below the packaging's folder",
            hint='a path is relative, without empty parts, "." and ".."',
        )


def refuse_collisions(sources: Mapping[str, TemplateSource]) -> None:
    """Check that no output is a folder of another.

    Raises:
        TemplateInvalid: one is.
    """
    for path, source in sources.items():
        for parent in PurePosixPath(path).parents:
            if file := sources.get(str(parent)):
                raise TemplateInvalid(
                    f"The name of {source.label}",
                    cause=f"it renders to {path!r}, below {str(parent)!r}, which is a file ({file.label})",
                )


def _mapping(source: TemplateSource) -> dict[object, object]:
    try:
        content = YAML(typ="safe", pure=True).load(source.text())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source.label}, line {mark.line + 1}" if mark else source.label
        raise TemplateInvalid(where, cause=error.problem or "it is no YAML") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise TemplateInvalid(source.label, cause=f"it is no YAML: {_first_line(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise TemplateInvalid(f"{source.label}, line 1", cause="it holds no mapping", hint="write 'variable: value'")
    return content


def _with_good_names(label: str, variables: Mapping[object, object], reserved: frozenset[str]) -> dict[str, object]:
    named: dict[str, object] = {}
    for key, value in variables.items():
        if not isinstance(key, str) or not key.isidentifier():
            raise TemplateInvalid(
                label, cause=f"{key!r} is no variable name", hint="a name is made of letters, digits and '_'"
            )
        if key in reserved:
            raise TemplateInvalid(
                label, cause=f"it sets {key!r}, which Conveyor sets", hint="choose another name for the variable"
            )
        named[key] = value
    return named


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
