"""The ports PackagingSource and Renderer for tests of the pipeline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from conveyor.errors import TemplateInvalid, UnknownName
from conveyor.model.package import Package
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from tests.fakes.toolchain import RECIPE

FULL = b"full "


@dataclass(slots=True)
class FakePackaging:
    """Each package's recipe; see tests.fakes.toolchain.

    Attributes:
        recipes: text by the package's name.
        releases: release by the package's name, 1 for the others.
        restless: packages whose folder is being changed.
        past: earlier recipes that are kept, by the package's name.
    """

    recipes: dict[str, str] = field(default_factory=dict)
    releases: dict[str, int] = field(default_factory=dict)
    past: dict[str, tuple[str, ...]] = field(default_factory=dict)
    restless: set[str] = field(default_factory=set)

    def load(self, package: Package) -> Packaging:
        if package.name not in self.recipes:
            raise UnknownName(f"{package.name} has no packaging")
        return self._of(package, self.recipes[package.name])

    def sha(self, package: Package, commit: str) -> str | None:
        if package.name in self.restless:
            return None
        return commit or self.load(package).sha

    def at(self, package: Package, sha: str) -> Packaging | None:
        states = [self.load(package), *(self._of(package, text) for text in self.past.get(package.name, ()))]
        return next((state for state in states if state.sha == sha), None)

    def _of(self, package: Package, text: str) -> Packaging:
        content = text.encode()
        return Packaging(
            sha=hashlib.sha256(content).hexdigest()[:40],
            release=self.releases.get(package.name, 1),
            files=(PackagingFile(path=RECIPE, content=content, executable=True),),
            shared=(),
        )


class FakeRenderer:
    """Replaces "{evr}" by the version; a recipe with "{undefined}" is a mistake.

    A line after "full" is left out of a bootstrap.
    """

    def render(self, render_input: RenderInput) -> tuple[PackagingFile, ...]:
        for file in render_input.packaging.files:
            if b"{undefined}" in file.content:
                raise TemplateInvalid(f"{file.path}:1: 'undefined' is undefined")
        evr = render_input.version.evr.encode()
        return tuple(
            replace(file, content=_chosen(file.content, bootstrap=render_input.bootstrap).replace(b"{evr}", evr))
            for file in render_input.packaging.files
        )


def _chosen(recipe: bytes, *, bootstrap: bool) -> bytes:
    lines = recipe.splitlines(keepends=True)
    return b"".join(line.removeprefix(FULL) for line in lines if not (bootstrap and line.startswith(FULL)))
