"""Changes a store in each way that the daemon and its workers do, says what was acknowledged, and is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from conveyor.model.build import Outcome, State
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.store import Books, open_books
from tests.fakes.store_samples import CAUSE, TARGET, claim, commit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEW = tuple(
    NewBuild(commit=commit(name), target=TARGET, priority=Priority.FRESH, reason=Reason(kind=ReasonKind.NEW_COMMIT))
    for name in ("first", "second", "third")
)
WAYS: Mapping[str, Callable[[Books], object]] = {
    "apply": lambda books: books.queue.apply(Change(builds=NEW), NOW),
    "claim": lambda books: [books.store.claim(number, claim(f"{number}")) for number in (1, 2)],
    "finish": lambda books: books.store.finish(
        1, "1", outcome=Outcome.FAILED, at=NOW, version="1-1", cause=CAUSE, stages=(), entry=None
    ),
    "put-back": lambda books: books.queue.put_back(2, "2", NOW),
    "cancel": lambda books: books.queue.cancel(3, "ada", NOW),
    "retry": lambda books: books.queue.retry(1, NEW[0].reason, Priority.REQUEST, NOW),
    "poke": lambda books: books.watch.poke(["nova"], "ada", NOW),
}
# What must be there after all of them.
ACKNOWLEDGED: Mapping[str, Callable[[Books], bool]] = {
    "apply": lambda books: len(books.store.builds()) == len(NEW),
    "claim": lambda books: [books.store.build(number).attempt for number in (1, 2)] == [1, 1],
    "finish": lambda books: books.store.attempts(1)[0].outcome is Outcome.FAILED,
    "put-back": lambda books: books.store.build(2).state is State.QUEUED,
    "cancel": lambda books: books.store.build(3).outcome is Outcome.CANCELLED,
    "retry": lambda books: books.store.build(1).state is State.QUEUED,
    "poke": lambda books: [poke.package for poke in books.watch.pokes()] == ["nova"],
}

if __name__ == "__main__":
    opened = open_books(sys.argv[1])
    for name, change in WAYS.items():
        change(opened)
        os.write(1, f"{name}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
