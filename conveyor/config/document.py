"""YAML into plain values that know their lines.

Only what configuration needs: mappings with text as keys, lists, text, numbers, true and false. Tags, merge keys and
aliases that lead into themselves are mistakes, and aliases may not blow a small file up into a large one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from conveyor.config.files import read_text
from conveyor.config.mistakes import Loc, Mistake, invalid, place, show

MAX_DEPTH = 20
MAX_VALUES = 200_000
MAX_NUMBER_CHARACTERS = 18
TAG = "tag:yaml.org,2002:"
SCALAR_TAGS = {TAG + name for name in ("str", "null", "bool", "int", "float", "timestamp", "value")}


@dataclass(slots=True, kw_only=True)
class Document:
    """A YAML file's values.

    Attributes:
        source: the file's path, as mistakes name it.
        data: the values at the top: dict, list, str, int, float, bool and None.
        lines: the line of each value, from 1; of its key where it has one.
        mistakes: what was found wrong so far.
        broken: the places of mistakes that left nothing to judge there.
    """

    source: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Loc, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    broken: set[Loc] = field(default_factory=set)

    def mistake(self, loc: Loc, text: str) -> None:
        """Note a mistake at a place, the first one there; a missing place has the line of what it is missing from."""
        if loc in self.broken:
            return
        self.broken.add(loc)
        known = loc
        while known and known not in self.lines:
            known = known[:-1]
        self.mistakes.append(Mistake(source=self.source, line=self.lines.get(known, 1), place=place(loc), text=text))


def read_document(path: Path) -> Document:
    """Read a YAML file whose top is a mapping. Duplicate keys and the like are noted in it.

    Raises:
        ConfigurationInvalid: the file cannot be read, or is not YAML with a mapping at the top.
    """
    text = read_text(path)
    document = Document(source=str(path))
    try:
        node = _parser().compose(text)
    except (YAMLError, ValueError, OverflowError) as error:
        line, what = _syntax_mistake(error, text)
        raise invalid(path.name, [Mistake(source=str(path), line=line, place="", text=what)]) from error
    if not isinstance(node, MappingNode) or node.tag != TAG + "map":
        found = "is empty" if node is None else "is not a mapping of keys to values"
        what = f"{found}; would be right: the keys defaults, targets and packages"
        raise invalid(path.name, [Mistake(source=str(path), line=1, place="", text=what)])
    document.lines[()] = 1
    document.data = _Reader(document).mapping(node, ())
    return document


def _parser() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    # An anchor may be used again (YAML 1.2.2, section 7.1); that is no reason for a warning.
    yaml.composer.warn_double_anchors = False
    return yaml


def _syntax_mistake(error: Exception, text: str) -> tuple[int, str]:
    # ruamel.yaml hands an escape such as "\\U00110000" to chr() as it is.
    escape = re.search(r"\\U(?!0010|000)", text)
    if escape and isinstance(error, (ValueError, OverflowError)):
        line = text.count("\n", 0, escape.start()) + 1
        return line, "holds an escape beyond Unicode; would be right: the character itself"
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, "holds a control character; would be right: plain text"
    if isinstance(error, MaxDepthExceededError):
        return _line(error), f"is nested deeper than {MAX_DEPTH} levels; would be right: targets and packages only"
    if isinstance(error, MarkedYAMLError):
        line = _line(error)
        lines = text.splitlines()
        problem = lines[line - 1] if line <= len(lines) else ""
        if "\t" in problem and "\\t" in str(error.problem):
            return line, "a tab character between words or as indentation; would be right: spaces"
        return line, _syntax_words(error)
    return 1, f"is not YAML: {show(str(error))}; would be right: `key: value` lines, indented with spaces"


def _line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


def _syntax_words(error: MarkedYAMLError) -> str:
    began = f" (from line {error.context_mark.line + 1})" if error.context_mark else ""
    context = f"{error.context}{began}" if error.context else ""
    words = " ".join(": ".join(filter(None, [context, error.problem])).split())
    return f"is not YAML: {words}; would be right: `key: value` lines, indented with spaces"


class _Reader:
    """Turns YAML's nodes into values, noting in the document where they stand and what is wrong."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = MAX_VALUES
        self._open: set[int] = set()

    def value(self, node: Node, loc: Loc) -> object:
        """The value of a node; None where there is something wrong with it."""
        self._left -= 1
        if self._left <= 0:
            if self._left == 0:
                self._document.mistake(loc, f"aliases make more than {MAX_VALUES} values; would be right: fewer")
            return None
        if id(node) in self._open or len(self._open) > MAX_DEPTH:
            self._document.mistake(loc, "aliases lead into themselves or too deep; would be right: values written out")
            return None
        self._open.add(id(node))
        value = self._convert(node, loc)
        self._open.remove(id(node))
        return value

    def _convert(self, node: Node, loc: Loc) -> object:
        if isinstance(node, MappingNode) and node.tag == TAG + "map":
            return self.mapping(node, loc)
        if isinstance(node, SequenceNode) and node.tag == TAG + "seq":
            return [self._item(item, (*loc, index)) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag in SCALAR_TAGS:
            return self._scalar(node, loc)
        self._document.mistake(loc, f"has the tag {show(str(node.tag))}; would be right: no tag")
        return None

    def _item(self, node: Node, loc: Loc) -> object:
        self._document.lines[loc] = node.start_mark.line + 1
        return self.value(node, loc)

    def mapping(self, node: MappingNode, loc: Loc) -> dict[str, object]:
        """The values of a mapping by their keys; those with something wrong about the key are left out."""
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, loc)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key in values:
                self._duplicate((*loc, key), line)
                continue
            self._document.lines[(*loc, key)] = line
            values[key] = self.value(value_node, (*loc, key))
        return values

    def _key(self, node: Node, loc: Loc) -> str | None:
        line = node.start_mark.line + 1
        if isinstance(node, ScalarNode) and node.tag == TAG + "str" and node.value.isprintable():
            return str(node.value)
        if isinstance(node, ScalarNode) and node.tag == TAG + "merge":
            self._note(line, loc, "merge keys (<<) are not read; would be right: the keys written out, or `defaults`")
        elif isinstance(node, ScalarNode):
            self._note(line, loc, f"the key {show(node.value)} is not text; would be right: quotes around it")
        else:
            self._note(line, loc, "a key is a list or mapping; would be right: text")
        return None

    def _duplicate(self, loc: Loc, line: int) -> None:
        first = self._document.lines[loc]
        self._note(line, loc, f"stands here a second time, after line {first}; would be right: one of the two")

    def _note(self, line: int, loc: Loc, text: str) -> None:
        mistake = Mistake(source=self._document.source, line=line, place=place(loc), text=text)
        self._document.mistakes.append(mistake)

    def _scalar(self, node: ScalarNode, loc: Loc) -> str | int | float | bool | None:
        text = str(node.value)
        kind = str(node.tag).removeprefix(TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in {"true", "yes", "on", "y"}
        if kind in {"int", "float"} and len(text) <= MAX_NUMBER_CHARACTERS:
            return _number(text)
        if not text.isprintable():
            self._document.mistake(loc, f"{show(text)} holds a line break or control character; would be right: none")
            return None
        return text


def _number(text: str) -> int | float:
    for convert in (int, lambda digits: int(digits, 0), float):
        try:
            return convert(text)
        except ValueError:
            continue
    return math.nan
