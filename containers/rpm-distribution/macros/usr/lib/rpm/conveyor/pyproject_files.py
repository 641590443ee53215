"""What %pyproject_install, %pyproject_save_files and %pyproject_check_import do."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# What pip writes for its own use. rpm knows the files, and these would say where and how the package was built.
OF_PIP = ("RECORD", "REQUESTED", "direct_url.json")


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(prog="pyproject_files")
    steps = parser.add_subparsers(required=True, dest="step")
    step = steps.add_parser("collect")
    step.add_argument("buildroot", type=Path)
    step.add_argument("folder")
    step.add_argument("metadata", type=Path)
    step = steps.add_parser("save")
    step.add_argument("metadata", type=Path)
    step.add_argument("folder")
    step.add_argument("output", type=Path)
    step.add_argument("-l", "--assert-license", action="store_true")
    step.add_argument("-L", "--no-assert-license", action="store_true")
    step.add_argument("-M", "--allow-no-modules", action="store_true")
    step.add_argument("globs", nargs="*")
    step = steps.add_parser("import")
    step.add_argument("metadata", type=Path)
    step.add_argument("folder", type=Path)
    step.add_argument("-t", "--top-level", action="store_true")
    step.add_argument("-e", "--exclude", action="append", default=[])
    options = parser.parse_args()
    if options.step == "collect":
        collect(options.buildroot, options.folder, options.metadata)
    elif options.step == "save":
        installed = json.loads(options.metadata.read_text(encoding="utf-8"))
        lines = saved_files(installed, options.folder, options.globs, may_be_empty=options.allow_no_modules)
        options.output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    else:
        installed = json.loads(options.metadata.read_text(encoding="utf-8"))
        check_import(installed, options.folder, options.exclude)


def collect(buildroot: Path, folder: str, metadata: Path) -> None:
    """Note the files of each installed wheel, and take out of its metadata what is pip's own.

    Args:
        buildroot: the folder that stands for / of the package.
        folder: Python's folder of modules.
        metadata: the file that the notes are written to.
    """
    installed: list[str] = []
    for dist_info in sorted((buildroot / folder.lstrip("/")).glob("*.dist-info")):
        record = dist_info / "RECORD"
        if not record.exists():
            continue
        for row in record.read_text(encoding="utf-8").splitlines():
            path = row.rsplit(",", 2)[0].strip('"')
            installed.append(os.path.normpath(f"{folder}/{path}") if not path.startswith("/") else path)
        for name in OF_PIP:
            (dist_info / name).unlink(missing_ok=True)
        (dist_info / "INSTALLER").write_text("rpm\n", encoding="utf-8")
    metadata.write_text(json.dumps(sorted(set(installed))), encoding="utf-8")


def saved_files(installed: Iterable[str], folder: str, globs: Iterable[str], *, may_be_empty: bool) -> Iterator[str]:
    """Lines of a %files list: the metadata, the modules that match, and with "+auto" all that lies elsewhere."""
    modules = [path.removeprefix(f"{folder}/") for path in installed if path.startswith(f"{folder}/")]
    tops = sorted({path.split("/")[0] for path in modules})
    wanted = [glob for glob in globs if glob != "+auto"]
    if not wanted and not may_be_empty:
        sys.exit("%pyproject_save_files: name at least one module")
    yield from (f'"{folder}/{top}"' for top in tops if top.endswith(".dist-info"))
    for glob in wanted:
        matching = [top for top in tops if fnmatch.fnmatchcase(top.split(".")[0], glob) and not top.endswith("-info")]
        if not matching:
            sys.exit(f"%pyproject_save_files: no module matches {glob}; there are: {' '.join(tops)}")
        yield from (f'"{folder}/{top}"' for top in matching)
    if "+auto" in globs:
        yield from (f'"{path}"' for path in installed if not path.startswith(f"{folder}/"))


def check_import(installed: Iterable[str], folder: Path, excluded: Iterable[str]) -> None:
    """Import each top-level module that was installed."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    names = {path.name.split(".")[0] for path in folder.iterdir() if not path.name.endswith("-info")}
    recorded = {part.split(".")[0] for path in installed for part in Path(path).parts}
    for name in sorted(names & recorded):
        if not any(fnmatch.fnmatchcase(name, glob) for glob in excluded):
            importlib.import_module(name)


if __name__ == "__main__":
    main()
