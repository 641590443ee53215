"""What mails say: Jinja2 templates, those that Conveyor brings and the site's own.

docs/telling.md is the contract with those who write templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from conveyor.model.notice import Letter
from conveyor.model.text import plain, shortened

SHIPPED = Path(__file__).parent / "templates"
SUFFIX = ".j2"
PARTS = ("subject", "body")
# What is written of an event that has no template of its own.
GENERAL = "event"
MAX_SUBJECT = 200
MAX_BODY = 100_000
# All that a template's mistakes raise: Jinja2's errors, Python's for what expressions do to values, and those of files.
_MISTAKES = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


class TemplateLetters:
    """The port Letters, with Jinja2.

    Args:
        folder: the site's own templates; None where it has none.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._shipped = _environment([SHIPPED])
        self._own = self._shipped if folder is None else _environment([folder, SHIPPED])

    def write(self, name: str, facts: Mapping[str, object]) -> Letter:
        """A letter after a template; see the port."""
        problems: list[str] = []
        subject, body = (self._part(name, part, facts, problems) for part in PARTS)
        if problems:
            body = "\n".join([body, "", *(_note(problem) for problem in problems)])
        return Letter(subject=shortened(_one_line(subject), MAX_SUBJECT), body=_text(body))

    def problems(self, facts: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
        """What is wrong with the site's templates, a line for each.

        Args:
            facts: for each name of a template what to try it with; that of any event for the rest.
        """
        found: list[str] = []
        for path in self._files():
            name, _, part = path.name.removesuffix(SUFFIX).rpartition(".")
            if path.name.startswith("_"):
                continue
            if part not in PARTS or not path.name.endswith(SUFFIX):
                found.append(f"{path.name}: no mail uses a file of this name")
            else:
                self._part(name, part, facts.get(name, facts[GENERAL]), found)
        return tuple(found)

    def _files(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir()) if self._folder else []
        except OSError:
            return []

    def _part(self, name: str, part: str, facts: Mapping[str, object], problems: list[str]) -> str:
        """Subject or body after the site's template, or after Conveyor's where that is broken."""
        try:
            return _rendered(self._own, name, part, facts)
        except _MISTAKES as error:
            problems.append(_told(error, f"{name}.{part}{SUFFIX}"))
        return _rendered(self._shipped, name, part, facts)


def _environment(folders: Iterable[Path]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = _moment
    return environment


def _rendered(environment: ImmutableSandboxedEnvironment, name: str, part: str, facts: Mapping[str, object]) -> str:
    """What the first template that there is gives.

    Raises:
        TemplateRuntimeError: it gives nothing at all.
    """
    template = environment.select_template([f"{each}.{part}{SUFFIX}" for each in (name, GENERAL)])
    chunks: list[str] = []
    size = 0
    for chunk in template.generate(facts):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            break
    text = "".join(chunks).strip("\n")
    if not text.strip():
        raise ValueError("it gives no text")
    return text


def _moment(text: str) -> str:
    """A moment as people read it."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _one_line(text: str) -> str:
    return plain(re.sub(r"\s+", " ", text)).strip()


def _text(text: str) -> str:
    lines = (plain(line).rstrip() for line in text.split("\n"))
    return "\n".join(lines)[:MAX_BODY]


def _told(error: BaseException, name: str) -> str:
    line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
    where = (error.filename or name) if isinstance(error, TemplateSyntaxError) else name
    why = (error.message if isinstance(error, TemplateError) else str(error)) or type(error).__name__
    return plain(f"{Path(where).name}{line}: {why}".replace("\n", " "))


def _note(problem: str) -> str:
    return f"(The site's template is broken, and this is Conveyor's own text in its place: {problem})"
