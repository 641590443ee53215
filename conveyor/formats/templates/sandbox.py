"""The Jinja2 environment that packaging templates run in: strict, sandboxed, repeatable, and certain to end.

A template cannot reach files, processes or the clock. It ends, too: Jinja2 has no endless loop, and what is left
(loops in loops over `range`, macros that call themselves, includes that include themselves) is counted. These limits
stop mistakes. Whoever can change the packaging is trusted not to attack the machine's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateNotFound, TemplateRuntimeError, nodes
from jinja2 import pass_environment as with_environment
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_STEPS = 500_000
MAX_OUTPUT = 8 * 1024 * 1024
_MAX_BITS = 1024
_MAX_ITEMS = 1_000_000
_COUNTED = "counted by the sandbox"
_NOT_REPEATABLE_FILTERS = ("random",)
_NOT_REPEATABLE_GLOBALS = ("lipsum",)


class MemoryLoader(BaseLoader):
    """Finds templates among texts in memory only.

    Args:
        texts: a template's text by its name.
        labels: what errors call it, by the same name.
    """

    def __init__(self, texts: Mapping[str, str], labels: Mapping[str, str]) -> None:
        self._texts = texts
        self._labels = labels

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:  # noqa: ARG002
        """The text and label of a template.

        Raises:
            TemplateNotFound: there is none of that name.
        """
        if template not in self._texts:
            raise TemplateNotFound(template)
        return self._texts[template], self._labels[template], None


class _CountingCodeGenerator(CodeGenerator):
    """Lets every turn of every loop pass through the counter."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        for loop in node.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        super().visit_Template(node, frame)


@with_environment
def _counted(environment: PackagingEnvironment, items: Iterable[object]) -> Iterator[object]:
    for item in items:
        environment.step()
        yield item


class PackagingEnvironment(ImmutableSandboxedEnvironment):
    """The environment of one rendering: its steps are counted from its making on.

    Args:
        loader: where includes, imports and parents are found.
    """

    code_generator_class = _CountingCodeGenerator
    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, loader: BaseLoader) -> None:
        super().__init__(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._steps_left = MAX_STEPS
        self.filters[_COUNTED] = _counted
        for name in _NOT_REPEATABLE_FILTERS:
            del self.filters[name]
        for name in _NOT_REPEATABLE_GLOBALS:
            del self.globals[name]

    def step(self) -> None:
        """Count one turn of a loop, one call or one include.

        Raises:
            TemplateRuntimeError: there were too many.
        """
        self._steps_left -= 1
        if self._steps_left < 0:
            raise TemplateRuntimeError(f"rendering takes more than {MAX_STEPS:,} steps")

    def call(self, context: Context, called: object, /, *args: object, **kwargs: object) -> object:
        """Call what a template calls, counted."""
        self.step()
        return super().call(context, called, *args, **kwargs)

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002
    ) -> Template:
        """Find a template, counted."""
        self.step()
        return super().get_template(name, parent, globals)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Multiply and raise to powers, unless the result would be enormous.

        Raises:
            TemplateRuntimeError: it would.
        """
        if _is_enormous(operator, left, right):
            raise TemplateRuntimeError(f"the result of {operator!r} is too large")
        return super().call_binop(context, operator, left, right)


def render_text(template: Template, variables: Mapping[str, object]) -> str:
    """What a template gives.

    Raises:
        TemplateRuntimeError: it gives too much, or takes too many steps.
        TemplateError: anything else that Jinja2 finds wrong.
    """
    chunks = []
    size = 0
    for chunk in template.generate(variables):
        size += len(chunk)
        if size > MAX_OUTPUT:
            raise TemplateRuntimeError(f"the result is longer than {MAX_OUTPUT:,} characters")
        chunks.append(chunk)
    return "".join(chunks)


def _is_enormous(operator: str, left: object, right: object) -> bool:
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 0) if operator == "**" else left.bit_length() + right.bit_length()
        return bits > _MAX_BITS
    return _items(left) * _items(right) > _MAX_ITEMS


def _items(operand: object) -> int:
    """How many items a factor of a repetition stands for."""
    if isinstance(operand, Sequence):
        return len(operand)
    return operand if isinstance(operand, int) else 1
