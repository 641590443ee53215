#!/usr/bin/python3
"""rpm's generator of Python dependencies, for modules in Debian's folder, whose name has no Python version in it.

Requirements lose their versions: a trunk asks for newer libraries than a stable Debian has, and works with these
more often than not. A requirement that is missing altogether is still found.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Protocol

from packaging.specifiers import SpecifierSet

GENERATOR = "/usr/lib/rpm/pythondistdeps.py"


class Requirement(Protocol):
    """A requirement as the generator holds it."""

    specifier: SpecifierSet


def load_generator() -> ModuleType:
    """The generator that rpm ships, as a module."""
    spec = importlib.util.spec_from_file_location("pythondistdeps", GENERATOR)
    if spec is None or spec.loader is None:
        sys.exit(f"{GENERATOR} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Run the generator with the arguments of this, for the interpreter that runs this."""
    generator = load_generator()
    parse = generator.Requirement.__init__

    def parse_without_versions(requirement: Requirement, text: str) -> None:
        parse(requirement, text)
        requirement.specifier = SpecifierSet()

    def python_version(_distribution: object, _path: str) -> str:
        return f"{sys.version_info.major}.{sys.version_info.minor}"

    generator.Requirement.__init__ = parse_without_versions
    generator.Distribution._parse_py_version = python_version  # noqa: SLF001 - the only place that knows the version
    generator.main()


if __name__ == "__main__":
    main()
