"""What a spec declares of its build and its packages, read as text: rpm would run what is in its macros.

Both branches of each `%if` count: what is built with in one case only orders a build in the other, too, and no more.
Macros are expanded where the spec itself defines them plainly (`%global name value`, and the tags Name and Version). A
name with any other macro in it is left out.

rpm's generators provide a Python distribution under its name, `python3dist(oslo-utils)`, which no spec says. So a
package python3-X provides python3dist(X) and python3dist(python-X), and a spec that makes such a package provides what
its upstream archives and the usual macros call the distribution. Too many names do no harm: they are only looked up.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from packaging.utils import canonicalize_name

from conveyor.model.packaging import PackagingFile
from conveyor.model.queue import Relations

# Longer ones are no names and no plain values, and would make a few macros a lot of text.
MAX_WORD = 200
TAG = re.compile(r"[ \t]*(buildrequires|provides|name|version|source[0-9]*)[ \t]*:(.*)", re.IGNORECASE)
DEFINITION = re.compile(r"[ \t]*%(?:global|define)[ \t]+([A-Za-z_][A-Za-z0-9_]*)[ \t]+(.*)")
SUBPACKAGE = re.compile(r"%package[ \t]+(-n[ \t]*)?(\S+)")
# What ends a part of the spec in which tags stand; the rest of it is scripts and prose.
SECTION = re.compile(
    r"%(?:description|prep|generate_buildrequires|conf|build|install|check|clean|files|changelog|sourcelist|patchlist"
    r"|pre|post|preun|postun|pretrans|posttrans|preuntrans|postuntrans|verifyscript|verify"
    r"|trigger\w*|filetrigger\w*|transfiletrigger\w*)(?![\w-])"
)
MACRO = re.compile(r"%(?:\{(\??)([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
# The architecture in brackets behind a name; what has the name has it with that, too.
ARCHITECTURE = "%{?_isa}"
OPERATORS = frozenset(("<", ">", "=", "<=", ">=", "=="))
# Of dependencies that are sentences, rpm's "Boolean dependencies".
WORDS = frozenset(("and", "or", "if", "else", "with", "without", "unless"))
PYTHON = re.compile(r"python(?:3|3\.[0-9]{1,3})dist\(([A-Za-z0-9._-]+)(?:\[[^]]*\])?\)")
PYTHON_PACKAGE = "python3-"
DISTRIBUTION_MACROS = ("pypi_name", "srcname", "modname", "pname", "dist_name")
ARCHIVE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*(?:-[A-Za-z][A-Za-z0-9._]*)*)-[0-9]")


def declared(files: Sequence[PackagingFile]) -> Relations:
    """What the spec at the top of the packaging declares; nothing where there is none."""
    content = next((file.content for file in files if file.path.endswith(".spec") and "/" not in file.path), b"")
    spec = _Spec()
    for line in content.decode("utf-8", "replace").split("\n"):
        spec.read(line)
    return Relations(
        requires=tuple(sorted(spec.requires)),
        provides=tuple(sorted({*spec.provides, *spec.distributions()})),
        fingerprint=hashlib.sha256(content).hexdigest(),
    )


class _Spec:
    """A spec, read line by line."""

    def __init__(self) -> None:
        self.requires: set[str] = set()
        self.provides: set[str] = set()
        self._macros: dict[str, str] = {}
        self._archives: list[str] = []
        self._has_tags = True
        self._continues = False

    def read(self, line: str) -> None:
        """Take in a line. Those that continue the one before are part of a macro that is not plain."""
        continued, self._continues = self._continues, line.endswith("\\")
        if continued or self._continues or line.lstrip().startswith(("#", "%dnl")):
            return
        if match := DEFINITION.match(line):
            self._define(match[1], match[2].strip())
        elif match := SUBPACKAGE.match(line):
            self._has_tags = True
            self._add_package(match[2], whole=bool(match[1]))
        elif SECTION.match(line):
            self._has_tags = False
        elif self._has_tags and (match := TAG.match(line)):
            self._read_tag(match[1].lower(), match[2].strip())

    def distributions(self) -> Iterator[str]:
        """What Python packages provide by the names of their distributions."""
        modules = [name.removeprefix(PYTHON_PACKAGE) for name in self.provides if name.startswith(PYTHON_PACKAGE)]
        if modules:
            archives = (ARCHIVE.match(archive.rpartition("/")[2]) for archive in self._archives)
            known = (self._macros[macro] for macro in DISTRIBUTION_MACROS if macro in self._macros)
            prefixed = (f"python-{module}" for module in modules)
            for name in (*modules, *prefixed, *known, *(match[1] for match in archives if match)):
                yield f"python3dist({canonicalize_name(name)})"

    def _define(self, name: str, value: str) -> None:
        expanded = self._expanded(value)
        if expanded is None:
            self._macros.pop(name, None)
        else:
            self._macros[name] = expanded

    def _read_tag(self, tag: str, value: str) -> None:
        if tag == "buildrequires":
            self.requires.update(self._names(value))
        elif tag == "provides":
            self.provides.update(self._names(value))
        elif (expanded := self._expanded(value)) is None:
            return
        elif tag.startswith("source"):
            self._archives.append(expanded)
        else:
            self._macros[tag] = expanded
            if tag == "name":
                self._add_package(expanded, whole=True)

    def _add_package(self, name: str, *, whole: bool) -> None:
        expanded = self._expanded(name if whole else f"%{{name}}-{name}")
        if expanded:
            self.provides.add(expanded)

    def _names(self, value: str) -> Iterator[str]:
        """The names in a list of dependencies, versions and operators left out."""
        is_version = False
        for word in self._words(value):
            if word in OPERATORS:
                is_version = True
            elif is_version:
                is_version = False
            elif word and word not in WORDS:
                yield _python_name(word)

    def _words(self, value: str) -> Iterator[str]:
        """Each word as it is when its macros are expanded; an empty one where that is not known.

        The rest of the line is left out from where a macro begins that has blanks in it.
        """
        for written in value.replace(",", " ").split():
            if "%(" in written or written.count("{") > written.count("}"):
                return
            expanded = self._expanded(written)
            if expanded is None:
                yield ""
            else:
                yield from map(_without_brackets, expanded.replace(",", " ").split())

    def _expanded(self, text: str) -> str | None:
        """A text without macros; None where it has one that is not known, or is too long for a name."""
        if len(text) > MAX_WORD:
            return None
        text = text.replace(ARCHITECTURE, "")
        expanded = MACRO.sub(lambda match: self._macros.get(match[2] or match[3], "%"), text)
        return None if "%" in expanded or len(expanded) > MAX_WORD else expanded


def _without_brackets(word: str) -> str:
    """A word of a sentence without the brackets around it: those of "pkgconfig(x)" are its own."""
    word = word.lstrip("(")
    surplus = word.count(")") - word.count("(")
    return word[: len(word) - surplus] if surplus > 0 and word.endswith(")" * surplus) else word


def _python_name(name: str) -> str:
    """A Python distribution under one name, however it is written."""
    match = PYTHON.fullmatch(name)
    return f"python3dist({canonicalize_name(match[1])})" if match else name
