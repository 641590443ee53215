"""The bench's own repos.yaml and packaging: the project's, with targets for each builder, and free to be changed."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from conveyor.model.target import Format

RELATIVE = "./"
REQUIRES = {Format.DEB: "deb_build_depends", Format.RPM: "rpm_build_requires"}


def with_builder(target: str, builder: str) -> str:
    """Name of the target that is built for by another builder."""
    return f"{target}-{builder}"


def derived(repos: Mapping[str, Any], project: Path, builders: Mapping[str, str]) -> dict[str, Any]:
    """What repos.yaml says, for a file that lies elsewhere, and one more target for each builder.

    Args:
        repos: the project's repos.yaml.
        project: the folder where its relative paths start.
        builders: names of targets, and the builder that each is also to have.
    """
    made = copy.deepcopy(dict(repos))
    for target in made["targets"].values():
        for repository in target.get("repositories", ()):
            if repository["url"].startswith(RELATIVE):
                repository["url"] = str(project / repository["url"])
    for name, builder in builders.items():
        made["targets"][with_builder(name, builder)] = {**copy.deepcopy(made["targets"][name]), "builder": builder}
    return made


class Site:
    """A folder with repos.yaml and specs/, made anew.

    Args:
        project: the project's folder.
        folder: where it is made.
        builders: as for `derived`.
    """

    def __init__(self, project: Path, folder: Path, builders: Mapping[str, str]) -> None:
        self._specs = folder / "specs"
        self.repos = folder / "repos.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._specs, ignore_errors=True)
        shutil.copytree(project / "specs", self._specs)
        yaml = YAML(typ="safe", pure=True)
        repos = yaml.load((project / "repos.yaml").read_text(encoding="utf-8"))
        with self.repos.open("w", encoding="utf-8") as file:
            yaml.dump(derived(repos, project, builders), file)

    @contextmanager
    def requiring(self, package: str, format_: Format, requirement: str) -> Iterator[None]:
        """A package has one more build dependency meanwhile."""
        variables = self._specs / package / "variables.yaml"
        before = variables.read_text(encoding="utf-8")
        variables.write_text(f"{before}\n{REQUIRES[format_]}: [{requirement}]\n", encoding="utf-8")
        try:
            yield
        finally:
            variables.write_text(before, encoding="utf-8")
