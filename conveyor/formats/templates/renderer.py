"""Rendering: templates, and what is known of a commit, become packaging files.

docs/packaging.md is the contract with packagers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from conveyor.errors import TemplateInvalid
from conveyor.formats.templates.mistakes import Known, nearest, telling_mistakes
from conveyor.formats.templates.sandbox import MemoryLoader, PackagingEnvironment, render_text
from conveyor.formats.templates.sources import (
    VARIABLES_FILE,
    ForEach,
    TemplateSource,
    file_variables,
    own_sources,
    refuse_bad_path,
    refuse_collisions,
    shared_sources,
)
from conveyor.formats.templates.variables import template_variables
from conveyor.model.packaging import PackagingFile, RenderInput
from conveyor.model.target import Format

_DEB_FOLDER = "debian/"
_SPEC_SUFFIX = ".spec"
# What specs ask for that are also built by DLRN: %if 0%{?repo_bootstrap}.
_BOOTSTRAP_MACRO = "%global repo_bootstrap 1\n"
_WORD = re.compile(r"[A-Za-z_]\w*")


class JinjaRenderer:
    """The port Renderer, with Jinja2."""

    def render(self, render_input: RenderInput) -> tuple[PackagingFile, ...]:
        """The packaging for one commit and target, sorted by path.

        Raises:
            TemplateInvalid: a template or variables.yaml has a mistake; `what` names file and line.
            SourceInvalid: the package's name gives no Debian source name.
            VersionInvalid: upstream's version cannot be written into packaging.
        """
        return _Rendering(render_input).files()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """A file that will come out.

    Attributes:
        source: what it comes from.
        variables: with which.
    """

    source: TemplateSource
    variables: Mapping[str, object]


class _Rendering:
    """One call of the renderer."""

    def __init__(self, render_input: RenderInput) -> None:
        packaging = render_input.packaging
        self._deb = render_input.target.format is Format.DEB
        self._bootstrap = render_input.bootstrap
        self._own = own_sources(render_input.package, packaging.files)
        self._shared = shared_sources(render_input.package, packaging.shared)
        # The package's own come last: they win.
        reachable = {s.path: s for s in [*self._shared, *self._own] if s.is_template or s.is_private}
        self._texts = {path: source.text() for path, source in reachable.items()}
        labels = {path: source.label for path, source in reachable.items()}
        self._environment = PackagingEnvironment(MemoryLoader(self._texts, labels))
        given = template_variables(render_input)
        self._shared_variables = file_variables(self._shared, reserved=given)
        self._own_variables = file_variables(self._own, reserved=given)
        self._variables = {**given, **self._shared_variables, **self._own_variables}
        self._known = Known(
            labels=frozenset(labels.values()),
            templates=frozenset(self._texts),
            variables=frozenset([*self._variables, *self._environment.globals]),
        )

    def files(self) -> tuple[PackagingFile, ...]:
        """All files of the target's format, without those that render to nothing but white space."""
        chosen = {**self._outputs(self._shared), **self._outputs(self._own)}
        refuse_collisions({path: output.source for path, output in chosen.items()})
        wanted = [path for path in sorted(chosen) if path.startswith(_DEB_FOLDER) is self._deb]
        rendered = [self._file(path, chosen[path]) for path in wanted]
        self._refuse_unread_variables()
        return tuple(file for file in rendered if file is not None)

    def _outputs(self, sources: Iterable[TemplateSource]) -> dict[str, _Output]:
        """What comes out of `sources`, by path."""
        by_path: dict[str, _Output] = {}
        for output in self._all_outputs(sources):
            path = self._path(output)
            if path in by_path:
                raise TemplateInvalid(
                    f"The name of {output.source.label}",
                    cause=f"it renders to {path!r}, as the name of {by_path[path].source.label} does",
                )
            by_path[path] = output
        return by_path

    def _all_outputs(self, sources: Iterable[TemplateSource]) -> Iterator[_Output]:
        for source in sources:
            if not source.is_output:
                continue
            each = source.for_each
            if each is None:
                yield _Output(source=source, variables=self._variables)
                continue
            for item in self._items(source, each):
                yield _Output(source=source, variables={**self._variables, each.variable: item})

    def _items(self, source: TemplateSource, each: ForEach) -> tuple[object, ...]:
        with telling_mistakes(f"{source.label}, line 1", self._known):
            items = self._environment.compile_expression(each.items, undefined_to_none=False)(self._variables)
            return tuple(items or ())

    def _path(self, output: _Output) -> str:
        with telling_mistakes(f"The name of {output.source.label}", self._known):
            path = render_text(self._environment.from_string(output.source.output_name), output.variables)
        refuse_bad_path(path, output.source.label)
        return path

    def _file(self, path: str, output: _Output) -> PackagingFile | None:
        source = output.source
        if not source.is_template:
            return self._made(path, source.file.content, source)
        with telling_mistakes(source.label, self._known):
            text = render_text(self._environment.get_template(source.path), output.variables)
            content = text.encode()
        return self._made(path, content, source) if text.strip() else None

    def _made(self, path: str, content: bytes, source: TemplateSource) -> PackagingFile:
        if self._bootstrap and path.endswith(_SPEC_SUFFIX):
            content = _BOOTSTRAP_MACRO.encode() + content
        return PackagingFile(path=path, content=content, executable=source.file.executable)

    def _refuse_unread_variables(self) -> None:
        """A variable that no template mentions is a slip of the pen: it would have no effect, without a word.

        Words are compared, for that is quick, and also sees the templates of the other format that do not parse.
        """
        names = self._own_variables.keys() - self._shared_variables.keys()
        mentioned = {word for text in self._readable_texts() for word in _WORD.findall(text)}
        for name in sorted(names - mentioned):
            label = next(source.label for source in self._own if source.path == VARIABLES_FILE)
            hint = nearest(name, {*self._shared_variables, *mentioned})
            raise TemplateInvalid(label, cause=f"no template reads the variable {name!r}", hint=hint)

    def _readable_texts(self) -> Iterator[str]:
        """All that can read a variable: the templates and the names of all files."""
        yield from self._texts.values()
        yield from (source.path for source in [*self._shared, *self._own])
