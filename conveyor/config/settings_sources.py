"""Where the site's settings are written: a TOML file and CONVEYOR_* variables, as raw values that know their places."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from conveyor.config import daemon, web
from conveyor.config.files import read_text
from conveyor.config.mistakes import Loc, Mistake, invalid, place, suggest
from conveyor.config.schema import Entry, LimitsEntry
from conveyor.config.settings_schema import PollingEntry, SettingsEntry, SigningEntry
from conveyor.config.telling_schema import MailEntry

PREFIX = "CONVEYOR_"
PATHS = {
    ("data_dir",),
    ("repos",),
    ("signing", "home"),
    ("signing", "passphrase_file"),
    ("mail", "password_file"),
    ("mail", "templates"),
}
SECTIONS: Mapping[str, type[Entry]] = {
    "limits": LimitsEntry,
    "signing": SigningEntry,
    "mail": MailEntry,
    daemon.SECTION: daemon.DaemonEntry,
    "polling": PollingEntry,
    web.SECTION: web.WebEntry,
}
SWITCHES = {("signing", "unsigned"), *web.SWITCHES}
NUMBERS = {
    ("sandbox_uid",),
    ("limits", "processes"),
    ("mail", "port"),
    ("polling", "at_once"),
    ("polling", "per_host"),
    *daemon.NUMBERS,
}
WRITTEN_AS_JSON = {
    ("rewrites",),
    ("mirrors",),
    ("webhooks",),
    ("commands",),
    ("mail", "operators"),
    ("mail", "operator_events"),
    ("container_command",),
    ("container_run_flags",),
    ("signing", "also"),
    ("signing", "retired"),
    *web.WRITTEN_AS_JSON,
}
MAX_NUMBER_DIGITS = 18
# Where the keys of a TOML file stand, for mistakes; tomllib does not tell.
HEADER = re.compile(r"\s*\[([^\[\]]+)\]")
ONE_OF_MANY = re.compile(r"\s*\[\[([^\[\]]+)\]\]")
KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_.\s-])+?)\s*=""")
KEY_PART = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


class Origin(NamedTuple):
    """Where a value is written.

    Attributes:
        source: the file's path, or the variable's name.
        line: the line in the file; 0 for a variable.
    """

    source: str
    line: int


@dataclass(slots=True, kw_only=True)
class Raw:
    """Settings as they were written, by their place, and where that was."""

    values: dict[Loc, object] = field(default_factory=dict)
    origins: dict[Loc, Origin] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def nested(self) -> dict[str, object]:
        """The values as the settings' model wants them."""
        nested: dict[str, object] = {str(loc[0]): value for loc, value in self.values.items() if len(loc) == 1}
        for section in SECTIONS:
            inner = {str(loc[1]): value for loc, value in self.values.items() if len(loc) > 1 and loc[0] == section}
            if inner:
                nested.setdefault(section, inner)
        return nested

    def mistake(self, loc: Loc, text: str) -> None:
        """Note a mistake at a place: in the file by its whole key, in a variable by what comes after its name."""
        above = [loc[:length] for length in range(len(loc), 0, -1)]
        # A mistake of a section as a whole stands at the first of its keys.
        inside = [known for known in self.origins if known[: len(loc)] == loc]
        written = next(known for known in (*above, *inside) if known in self.origins)
        origin = self.origins[written]
        below = loc if origin.line else loc[len(written) :]
        # Pydantic marks a mistake in a key, rather than in its value, so.
        shown = tuple(part for part in below if part != "[key]")
        self.mistakes.append(Mistake(source=origin.source, line=origin.line, place=place(shown), text=text))


# What the command line reads, and no setting.
OF_COMMANDS = frozenset({"CONVEYOR_TOKEN"})


def variables() -> dict[str, Loc]:
    """The variables that are read, and the setting that each of them sets."""
    names: list[Loc] = [(name,) for name in SettingsEntry.model_fields if name not in SECTIONS]
    names += [(section, name) for section, entry in SECTIONS.items() for name in entry.model_fields]
    return {PREFIX + "_".join(map(str, loc)).upper(): loc for loc in names}


def from_environment(environ: Mapping[str, str], folder: Path) -> Raw:
    """The settings in CONVEYOR_* variables; relative paths in them start at `folder`, empty ones are not set."""
    known = variables()
    raw = Raw()
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in OF_COMMANDS:
            continue
        if name not in known:
            text = f"unknown variable; {suggest(name, known)}"
            raw.mistakes.append(Mistake(source=name, line=0, place="", text=text))
        elif value:
            raw.values[known[name]] = _typed(known[name], value, folder)
            raw.origins[known[name]] = Origin(name, 0)
    return raw


def _typed(loc: Loc, value: str, folder: Path) -> object:
    """A variable's text as the type that a settings file would have; as it is where it cannot be that."""
    if loc in NUMBERS and value.isdecimal() and len(value) <= MAX_NUMBER_DIGITS:
        return int(value)
    if loc in WRITTEN_AS_JSON:
        return _json(value)
    if loc in SWITCHES and value in {"true", "false"}:
        return value == "true"
    return str(folder / value) if loc in PATHS else value


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def from_file(path: Path) -> Raw:
    """The settings in a TOML file; relative paths in it start at its folder.

    Raises:
        ConfigurationInvalid: it cannot be read, or is not TOML.
    """
    text = read_text(path)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(at[1]) if at and at[1] else text.count("\n") + 1
        what = str(error)[: at.start()] if at else str(error)
        wrong = f'is not TOML: {what}; would be right: lines such as `git_timeout = "30m"`'
        raise invalid(path.name, [Mistake(source=str(path), line=line, place="", text=wrong)]) from error
    raw = Raw()
    lines = toml_lines(text)
    raw.origins |= {
        loc: Origin(str(path), line) for loc, line in lines.items() if any(type(part) is int for part in loc)
    }
    for loc, value in _flat(data):
        known = next((loc[:length] for length in range(len(loc), 0, -1) if loc[:length] in lines), ())
        raw.origins[loc] = Origin(str(path), lines.get(known, 1))
        raw.values[loc] = str(path.absolute().parent / value) if loc in PATHS and isinstance(value, str) else value
    return raw


def _flat(data: Mapping[str, object]) -> list[tuple[Loc, object]]:
    flat: list[tuple[Loc, object]] = []
    for key, value in data.items():
        if key in SECTIONS and isinstance(value, dict):
            flat += [((key, inner), single) for inner, single in value.items()]
        else:
            flat.append(((key,), value))
    return flat


def toml_lines(text: str) -> dict[Loc, int]:
    """The line of each key of a TOML file, from 1; those inside of inline tables and multi-line texts are not told."""
    lines: dict[Loc, int] = {}
    table: Loc = ()
    seen: Counter[Loc] = Counter()
    for number, line in enumerate(text.split("\n"), start=1):
        if one := ONE_OF_MANY.match(line):
            many = _parts(one[1])
            table = (*many, seen[many])
            seen[many] += 1
            lines.setdefault(many, number)
            lines.setdefault(table, number)
        elif header := HEADER.match(line):
            table = _parts(header[1])
            lines.setdefault(table, number)
        elif key := KEY.match(line):
            lines.setdefault(table + _parts(key[1]), number)
    return lines


def _parts(key: str) -> Loc:
    return tuple("".join(groups) for groups in KEY_PART.findall(key))
