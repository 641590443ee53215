"""A store as a file, and a store of such a file: the same, or nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, event, select, text

from conveyor.errors import ExportInvalid, NotPossible, StoreUnusable
from conveyor.model.lease import Lease
from conveyor.model.queue import Pause, Scope, ScopeKind
from conveyor.store import Books, exported, open_books
from conveyor.store.schema import HEAD
from conveyor.store.tables import metadata
from conveyor.store.transfer import LEFT_OUT
from tests.fakes import access_samples, postgresql
from tests.fakes.processes import ended, spawn
from tests.fakes.store_samples import NOON, TARGET, claim, commit, minute
from tests.support.full_store import fill

LEASE = Lease(name="daemon", token="t", host="hub", pid=1, process_started=1, since=NOON, heartbeat_at=NOON)
Rows = dict[str, list[tuple[object, ...]]]


def dump(books: Books) -> bytes:
    out = io.BytesIO()
    books.transfer.dump(out, NOON)
    return out.getvalue()


def load(books: Books, content: bytes) -> int:
    return books.transfer.load(io.BytesIO(content))


def everything(books: Books) -> Rows:
    """All that is in the store, by table, in the order of the keys."""
    with books.store._database.reading() as connection:
        return {
            name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for name, table in metadata.tables.items()
        }


@dataclass(frozen=True, kw_only=True)
class Full:
    """A store with something of everything, and what is in it."""

    rows: Rows
    content: bytes

    @property
    def lines(self) -> list[bytes]:
        return self.content.splitlines(keepends=True)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Full:
    books = open_books(f"sqlite:///{tmp_path_factory.mktemp('full')}/store.sqlite", now=lambda: NOON)
    fill(books)
    made = Full(rows=everything(books), content=dump(books))
    books.store.close()
    return made


@pytest.fixture(params=["sqlite_url", "emptied_postgresql_url"])
def empty(request: pytest.FixtureRequest) -> Iterator[Books]:
    opened = open_books(request.getfixturevalue(request.param), now=lambda: NOON)
    yield opened
    opened.store.close()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Books]:
    """An empty store in SQLite."""
    opened = open_books(f"sqlite:///{tmp_path}/new.sqlite", now=lambda: NOON)
    yield opened
    opened.store.close()


def sealed(lines: Sequence[bytes]) -> bytes:
    """The rows with a last line that says that they are as they were written."""
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    return b"".join(lines) + json.dumps({"rows": len(lines) - 1, "sha256": digest}).encode() + b"\n"


def changed(lines: list[bytes], table: str, **values: object) -> bytes:
    """The export with other values in the first row of a table, and sealed again."""
    position = next(number for number, line in enumerate(lines) if line.startswith(f'{{"table":"{table}"'.encode()))
    row = json.loads(lines[position])
    row["row"].update(values)
    return sealed([*lines[:position], json.dumps(row).encode() + b"\n", *lines[position + 1 : -1]])


def header(lines: list[bytes], **values: object) -> bytes:
    """The export with another first line."""
    first = {**json.loads(lines[0]), **values}
    return sealed([json.dumps(first).encode() + b"\n", *lines[1:-1]])


class TestRoundTrip:
    def test_every_table_has_rows(self, full: Full) -> None:
        assert {name for name, rows in full.rows.items() if not rows} == {table.name for table in LEFT_OUT}

    def test_it_is_the_same_store(self, full: Full, empty: Books) -> None:
        count = load(empty, full.content)

        assert everything(empty) == full.rows
        assert count == sum(map(len, full.rows.values()))
        assert dump(empty) == full.content
        assert empty.ledger.broken() is None

    def test_from_postgresql_back_to_sqlite(self, emptied_postgresql_url: str, new: Books) -> None:
        books = open_books(emptied_postgresql_url, now=lambda: NOON)
        fill(books)
        content, rows = dump(books), everything(books)
        books.store.close()
        load(new, content)

        assert everything(new) == rows
        assert dump(new) == content

    def test_work_goes_on_where_it_was(self, full: Full, empty: Books) -> None:
        load(empty, full.content)
        seen = empty.queue.changes(0)
        numbers = {build.id for build in empty.store.builds(limit=1000)}
        build = empty.store.queue(commit("after"), TARGET, retry=False)

        assert build.id > max(numbers)
        assert [item.build for item in empty.queue.changes(seen.number).items] == [build.id]
        claimed = empty.store.claim(build.id, claim("after"))
        assert claimed is not None
        pending = [number for number, _ in empty.ledger.pending()]
        assert empty.ledger.complete(pending[0], minute(30))[0].number == len(full.rows["ledger"]) + 1
        assert empty.ledger.broken() is None
        paused = Pause(scope=Scope(kind=ScopeKind.ALL), actor="ada", note="", at=NOON)
        assert empty.queue.pause(paused)
        assert empty.events.newest(limit=1)[0].number == len(full.rows["event"]) + 1

    def test_who_may_act_alone_is_left_behind(self, empty: Books, new: Books) -> None:
        empty.store.queue(commit(), TARGET, retry=False)
        empty.leases.take(LEASE, lost_after=60)
        load(new, dump(empty))

        assert new.leases.holder(LEASE.name) is None

    def test_who_may_come_in_is_left_behind(self, empty: Books, new: Books) -> None:
        empty.store.queue(commit(), TARGET, retry=False)
        empty.tokens.add(access_samples.token("ci"))
        empty.users.add(access_samples.user("ada"))
        empty.sessions.add(access_samples.session("s"))
        empty.idempotency.begin(access_samples.request(), NOON)
        content = dump(empty)
        load(new, content)

        assert (new.tokens.all(), new.users.all(), new.sessions.of_user("ada")) == ((), (), ())
        assert new.idempotency.begin(access_samples.request(), NOON) is None
        for secret in (access_samples.digest("ci"), access_samples.HASH, access_samples.digest("s")):
            assert secret.encode() not in content

    def test_an_export_is_of_one_moment(self, full: Full, empty: Books) -> None:
        load(empty, full.content)
        other = open_books(empty.store._database.url.render_as_string(hide_password=False))

        class Busy(io.BytesIO):
            def write(self, content: Any) -> int:  # noqa: ANN401 - as in io
                other.store.queue(commit(str(self.tell())), TARGET, retry=False)
                return super().write(content)

        out = Busy()
        empty.transfer.dump(out, NOON)
        other.store.close()
        assert out.getvalue() == full.content
        assert len(empty.store.builds(limit=1000)) > len(full.rows["build"])


class TestFormat:
    def test_the_first_line_says_what_it_is(self, full: Full) -> None:
        first = json.loads(full.lines[0])

        assert first.pop("conveyor")
        assert first == {"format": "conveyor-store", "version": 1, "schema": HEAD, "exported_at": NOON.isoformat()}

    def test_each_line_is_a_row_of_a_table_and_the_last_one_seals_them(self, full: Full) -> None:
        *rows, last = (json.loads(line) for line in full.lines[1:])

        assert all(list(row) == ["table", "row"] for row in rows)
        assert {row["table"] for row in rows} == set(metadata.tables) - {table.name for table in LEFT_OUT}
        digest = hashlib.sha256(b"".join(full.lines[:-1])).hexdigest()
        assert last == {"rows": len(rows), "sha256": digest}

    def test_moments_have_a_zone_and_text_is_ascii(self, full: Full) -> None:
        build = next(json.loads(line)["row"] for line in full.lines if b'"table":"build"' in line)

        assert build["queued_at"] == "2026-03-01T12:00:00+00:00"
        assert full.content.isascii()


DAMAGES: dict[str, tuple[Callable[[Full], bytes], str]] = {
    "nothing": (lambda _: b"", "no export"),
    "an empty line": (lambda full: b"\n" + full.content, "no export"),
    "a database": (lambda _: b"SQLite format 3\x00" + bytes(range(256)) * 40 + b"\n", "no export"),
    "JSON of something else": (lambda _: b'{"builds": []}\n', "no export"),
    "a list": (lambda _: b"[1, 2]\n", "no export"),
    "half a header": (lambda full: full.lines[0][:20], "no end"),
    "a header alone": (lambda full: full.lines[0], "ends before its last line"),
    "no header": (lambda full: b"".join(full.lines[1:]), "no export"),
    "another format": (lambda full: header(full.lines, version=2), "format 2.*knows 1"),
    "a newer schema": (lambda full: header(full.lines, schema="9999"), r"version '9999'.*have"),
    "an older schema": (lambda full: header(full.lines, schema="0002"), r"version '0002'.*upgrades"),
    "no schema": (lambda full: header(full.lines, schema=None), "version None"),
    "a row too few": (lambda full: b"".join(full.lines[:5] + full.lines[6:]), "are not those"),
    "rows of the end too few": (lambda full: b"".join(full.lines[:-3] + full.lines[-1:]), "are not those"),
    "a row twice": (lambda full: b"".join(full.lines[:6] + full.lines[5:]), "breaks a rule|are not those"),
    "rows in another order": (
        lambda full: b"".join([*full.lines[:2], full.lines[3], full.lines[2], *full.lines[4:]]),
        "are not those",
    ),
    "one letter": (lambda full: full.content.replace(b'"Ada"', b'"Eve"', 1), "are not those"),
    "something after the end": (lambda full: full.content + b"{}\n", "goes on after its last line"),
    "two exports": (lambda full: full.content + full.content, "goes on after its last line"),
    "no end of the last line": (lambda full: full.content.removesuffix(b"\n"), "no end"),
    "a line that is no JSON": (
        lambda full: b"".join([*full.lines[:4], b"}{\n", *full.lines[4:]]),
        "line 5: it is no JSON",
    ),
    "a line that is no object": (lambda full: b"".join([*full.lines[:4], b"7\n", *full.lines[4:]]), "no object"),
    "deep JSON": (lambda full: b"".join([full.lines[0], b'{"table":' + b"[" * 100_000 + b"\n"]), "no JSON"),
    "bytes that are no text": (lambda full: b"".join([full.lines[0], b'{"table":"\xff"}\n']), "no JSON"),
    "a row that is none": (lambda full: sealed([full.lines[0], b'{"table":"build","row":7}\n']), "no row"),
    "an unknown table": (lambda full: sealed([full.lines[0], b'{"table":"virus","row":{}}\n']), "no table 'virus'"),
    "the table of leases": (lambda full: sealed([full.lines[0], b'{"table":"lease","row":{}}\n']), "no table"),
    "columns too few": (lambda full: sealed([full.lines[0], b'{"table":"build","row":{}}\n']), "other columns"),
    "columns too many": (lambda full: changed(full.lines, "build", virus=1), "other columns"),
    "a moment without zone": (lambda full: changed(full.lines, "build", queued_at="2026-03-01T12:00:00"), "queued_at"),
    "a moment that is none": (lambda full: changed(full.lines, "build", queued_at="yesterday"), "queued_at"),
    "a number for text": (lambda full: changed(full.lines, "build", package=7), "package of build"),
    "text for a number": (lambda full: changed(full.lines, "build", attempts="7"), "attempts of build"),
    "a truth for a number": (lambda full: changed(full.lines, "build", attempts=True), "attempts of build"),
    "a number for a truth": (lambda full: changed(full.lines, "build", trunk=1), "trunk of build"),
    "a large number": (lambda full: changed(full.lines, "build", attempts=2**31), "attempts of build"),
    "a very large number": (lambda full: changed(full.lines, "artifact", size=2**63), "size of artifact"),
    "nothing where something must be": (lambda full: changed(full.lines, "build", package=None), "package of build"),
    "no such number": (lambda full: full.content.replace(b":0.1", b":NaN", 1), "no JSON"),
    "a broken reference": (lambda full: changed(full.lines, "build", commit_id=4711), "breaks a rule"),
    "a state that is none": (lambda full: changed(full.lines, "build", state="building"), "breaks a rule"),
    "an event that is none": (lambda full: changed(full.lines, "event", kind="other"), "breaks a rule"),
}


class TestDamage:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_it_is_told_and_nothing_is_imported(self, full: Full, empty: Books, damage: str) -> None:
        make, says = DAMAGES[damage]
        before = everything(empty)

        with pytest.raises(ExportInvalid, match=rf"(?s){says}"):
            load(empty, make(full))
        assert everything(empty) == before
        load(empty, full.content)
        assert everything(empty) == full.rows

    def test_wherever_it_was_cut_off(self, full: Full, new: Books) -> None:
        before = everything(new)
        ends = [sum(map(len, full.lines[:count])) for count in range(len(full.lines))]
        for end in [*ends, *(end + 10 for end in ends)]:
            with pytest.raises(ExportInvalid):
                load(new, full.content[:end])
            assert everything(new) == before

    def test_a_line_that_never_ends(self, full: Full, new: Books, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exported, "LONGEST_LINE", 10_000)

        with pytest.raises(ExportInvalid, match="too long"):
            load(new, full.lines[0] + b'{"table":"' + b"x" * 20_000)

    def test_a_ledger_that_was_changed_by_hand_comes_as_it_is_and_is_found(self, full: Full, empty: Books) -> None:
        load(empty, changed(full.lines, "ledger", actor="eve"))

        broken = empty.ledger.broken()
        assert broken is not None
        assert broken.number == 1


class TestNotEmpty:
    @pytest.mark.parametrize(
        "use",
        [
            lambda books: books.store.queue(commit(), TARGET, retry=False),
            lambda books: books.watch.poke(["nova"], "ada", NOON),
            lambda books: books.leases.take(LEASE, lost_after=60),
            lambda books: books.outbox.post([], 1, NOON),
        ],
        ids=["a build", "a poke", "a daemon", "a counter"],
    )
    def test_it_is_refused(self, full: Full, empty: Books, use: Callable[[Books], object]) -> None:
        use(empty)
        before = everything(empty)

        with pytest.raises(NotPossible, match="not empty"):
            load(empty, full.content)
        assert everything(empty) == before

    def test_nothing_is_imported_twice(self, full: Full, empty: Books) -> None:
        load(empty, full.content)

        with pytest.raises(NotPossible):
            load(empty, full.content)
        assert everything(empty) == full.rows

    def test_an_empty_store_is_not_exported(self, empty: Books) -> None:
        with pytest.raises(NotPossible, match="empty"):
            dump(empty)

    def test_a_row_that_cannot_be_read_is_told(self, new: Books) -> None:
        new.store.queue(commit(), TARGET, retry=False)
        with new.store._database.writing() as connection:
            connection.execute(text("UPDATE build SET version = x'00ff'"))

        with pytest.raises(StoreUnusable, match="table build"):
            dump(new)


def test_kill_9_within_an_import_leaves_nothing_or_all(full: Full, database_url: str) -> None:
    open_books(database_url).store.close()
    statements, exit_code = 0, -signal.SIGKILL
    while exit_code == -signal.SIGKILL:

        def work(survived: int = statements) -> None:
            mine = open_books(database_url)
            _kill_after(mine, survived)
            load(mine, full.content)

        exit_code = ended(spawn(work))
        if exit_code == -signal.SIGKILL:
            assert _count(database_url, "build") == 0
        statements += 7

    assert exit_code == 0
    assert statements > 40
    books = open_books(database_url)
    assert everything(books) == full.rows
    books.store.close()


def _count(url: str, table: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.scalar(text(f"SELECT count(*) FROM {table}"))
    engine.dispose()
    return int(found or 0)


def _kill_after(books: Books, statements: int) -> None:
    """Kill this process before the statement that follows so many; COMMIT counts."""
    left = [None] * statements

    def count(*_arguments: object) -> None:
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop()

    event.listen(books.store._database._engine, "before_cursor_execute", count)
    event.listen(books.store._database._engine, "commit", count)


def test_two_that_import_at_once_do_not_mix(full: Full, postgresql_server: URL) -> None:
    with postgresql.fresh_database(postgresql_server) as url:
        open_books(url).store.close()

        def work() -> None:
            mine = open_books(url)
            try:
                load(mine, full.content)
            except NotPossible:
                os._exit(7)

        assert sorted(ended(pid) for pid in [spawn(work) for _ in range(3)]) == [0, 7, 7]
        books = open_books(url)
        assert everything(books) == full.rows
        books.store.close()
