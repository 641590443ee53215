"""What %pyproject_buildrequires does: print the build dependencies that pyproject.toml and its build backend name.

Printed are those that reading further depends on, and, once they are installed, all others (PEP 517, PEP 518). The
versions of what is needed at run time are left out, as in pythondist.py.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).parent))
import pythondist

FALLBACK = {"requires": ["setuptools >= 40.8", "wheel"], "build-backend": "setuptools.build_meta:__legacy__"}


def main() -> None:
    """Print the dependencies for the source tree in the current folder."""
    parser = argparse.ArgumentParser(prog="%pyproject_buildrequires", allow_abbrev=False)
    parser.add_argument("-r", "--runtime", action="store_true", default=True, help="what run time needs (default)")
    parser.add_argument("-R", "--no-runtime", dest="runtime", action="store_false", help="not what run time needs")
    parser.add_argument("-w", "--wheel", action="store_true", help="accepted; reading metadata needs no wheel here")
    parser.add_argument("-x", "--extras", action="append", default=[], help="extras, comma separated")
    parser.add_argument("-N", "--no-use-build-system", action="store_true", help="only what the files list")
    parser.add_argument("files", nargs="*", type=Path, help="files that list requirements")
    options = parser.parse_args()
    extras = [extra.strip() for given in options.extras for extra in given.split(",")]
    listed = [line for file in options.files for line in file.read_text(encoding="utf-8").splitlines()]
    _show(filter(None, (line.partition("#")[0].strip() for line in listed)), extras)
    if not options.no_use_build_system:
        _show_of_build_system(extras, runtime=options.runtime)


def _show_of_build_system(extras: Iterable[str], *, runtime: bool) -> None:
    project = Path("pyproject.toml")
    read = tomllib.loads(project.read_text(encoding="utf-8")) if project.exists() else {}
    system = {**FALLBACK, **read.get("build-system", {})}
    if not _show(["pip", *system["requires"]]):
        return
    with contextlib.redirect_stdout(sys.stderr):
        backend = _backend(system["build-backend"], system.get("backend-path", []))
        asked: list[str] = getattr(backend, "get_requires_for_build_wheel", list)()
    if not _show(asked) or not runtime or not hasattr(backend, "prepare_metadata_for_build_wheel"):
        return
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(sys.stderr):
            name = backend.prepare_metadata_for_build_wheel(folder)
        distribution = importlib.metadata.PathDistribution(Path(folder) / name)
        _show(distribution.requires or [], ["", *extras], versions=False)


def _backend(named: str, path: Iterable[str]) -> Any:  # noqa: ANN401 - whatever object upstream names
    """The object that pyproject.toml's build-backend names: "module:object"."""
    sys.path[:0] = [str(Path.cwd() / part) for part in path]
    sys.argv[:] = ["pyproject_buildrequires"]
    module, _, attributes = named.partition(":")
    backend: Any = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        backend = getattr(backend, attribute)
    return backend


def _show(requirements: Iterable[str], extras: Iterable[str] = ("",), *, versions: bool = True) -> bool:
    """Print requirements in RPM's form, and tell whether all of them are installed."""
    complete = True
    for requirement in map(Requirement, requirements):
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            continue
        complete &= _installed(requirement)
        print(_in_rpm_form(requirement, versions=versions))
    return complete


def _installed(requirement: Requirement) -> bool:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def _in_rpm_form(requirement: Requirement, *, versions: bool) -> str:
    name = f"python3dist({canonicalize_name(requirement.name)})"
    if not versions or not requirement.specifier:
        return name
    convert = pythondist.load_generator().convert
    converted = sorted(convert(name, part.operator, part.version) for part in requirement.specifier)
    return converted[0] if len(converted) == 1 else f"({' with '.join(converted)})"


if __name__ == "__main__":
    main()
