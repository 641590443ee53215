"""The file that a store is exported to: lines of JSON, the last of which tells whether all are there.

docs/store.md has the format. What a line means to the database is not known here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from conveyor.errors import ExportInvalid

FORMAT = "conveyor-store"
FORMAT_VERSION = 1
LONGEST_LINE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of the store.

    Attributes:
        number: of the line, from 1.
        table: the table's name.
        row: its values, by column.
    """

    number: int
    table: str
    row: Mapping[str, Any]


class ExportWriter:
    """Writes the lines, and with them what `ExportReader` needs to trust them.

    Args:
        out: where to.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._digest = hashlib.sha256()
        self.rows = 0

    def header(self, **facts: str) -> None:
        """The first line."""
        self._write({"format": FORMAT, "version": FORMAT_VERSION, **facts})

    def row(self, table: str, row: Mapping[str, object]) -> None:
        """A row of a table.

        Raises:
            TypeError, ValueError: JSON cannot hold it.
        """
        self._write({"table": table, "row": row})
        self.rows += 1

    def end(self) -> None:
        """The last line."""
        self._write({"rows": self.rows, "sha256": self._digest.hexdigest()})

    def _write(self, value: Mapping[str, object]) -> None:
        line = json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        self._digest.update(line)
        self._out.write(line)


class ExportReader:
    """Reads the lines, and refuses what is not as it was written.

    Args:
        source: where from.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self._number = 0

    def header(self, schema: str) -> None:
        """Read the first line.

        Args:
            schema: revision of the schema that the rows must be of.

        Raises:
            ExportInvalid: it is none, or of another version.
        """
        line = self._read()
        self._digest.update(line)
        value = self._value(line) if line.startswith(b"{") else {}
        if value.get("format") != FORMAT:
            raise ExportInvalid("the file is no export of a store", hint="'conveyor export' writes one")
        if value.get("version") != FORMAT_VERSION:
            raise ExportInvalid(
                f"the export has format {value.get('version')!r}, and this Conveyor knows {FORMAT_VERSION} only",
                cause="another version of Conveyor wrote it",
                hint="import it with a Conveyor of that version",
            )
        if value.get("schema") != schema:
            raise ExportInvalid(
                f"the export is of a store of version {value.get('schema')!r}, and this Conveyor's have {schema}",
                cause=f"Conveyor {value.get('conveyor')} wrote it",
                hint="import it with that Conveyor, and open the store with this one: that upgrades it",
            )

    def rows(self) -> Iterator[Line]:
        """Read the rows. All of them were written so only if this comes to its end.

        Raises:
            ExportInvalid: a line is none, or lines were cut off, changed, added or taken out.
        """
        count = 0
        while line := self._read():
            value = self._value(line)
            if "table" not in value:
                self._end(value, count)
                return
            self._digest.update(line)
            count += 1
            yield self._row(value)
        self.refuse("the file ends before its last line")

    def refuse(self, what: str) -> NoReturn:
        """Say what is wrong with the line that was read last.

        Raises:
            ExportInvalid: always.
        """
        raise ExportInvalid(
            f"the export cannot be imported: line {self._number}: {what}",
            cause="it was cut off or changed on its way",
            hint="export the store again; nothing was imported",
        )

    def _read(self) -> bytes:
        line = self._source.readline(LONGEST_LINE)
        self._number += 1
        if line and not line.endswith(b"\n"):
            self.refuse("it is too long" if len(line) == LONGEST_LINE else "it has no end")
        return line

    def _value(self, line: bytes) -> Mapping[str, Any]:
        try:
            value = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError):
            self.refuse("it is no JSON")
        if not isinstance(value, dict):
            self.refuse("it is no object")
        return value

    def _row(self, value: Mapping[str, Any]) -> Line:
        table, row = value.get("table"), value.get("row")
        if not isinstance(table, str) or not isinstance(row, dict) or len(value) != len(("table", "row")):
            self.refuse("it is no row of a table")
        return Line(number=self._number, table=table, row=row)

    def _end(self, value: Mapping[str, Any], count: int) -> None:
        if value != {"rows": count, "sha256": self._digest.hexdigest()}:
            self.refuse(f"the {count} rows before it are not those that were written")
        if self._read():
            self.refuse("the file goes on after its last line")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number that JSON has")
