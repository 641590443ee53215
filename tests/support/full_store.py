"""A store that has rows in every table that is exported."""

from __future__ import annotations

from conveyor.model.access import Deed, Means, Result
from conveyor.model.build import Outcome
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.notice import Channel, NewNotice
from conveyor.model.order import NewOrder
from conveyor.model.promotion import Move, MoveKind, Step, Vote
from conveyor.model.queue import Change, NewBuild, Pause, Priority, Reason, ReasonKind, Relations, Scope, ScopeKind
from conveyor.model.watch import Head, Remote, Side, Tags
from conveyor.store import Books
from tests.fakes.store_samples import (
    CAUSE,
    NOON,
    OTHER_TARGET,
    TARGET,
    artifact,
    commit,
    end,
    minute,
    provenance,
    sha1,
    start,
    succeed,
)

HOSTILE = "\u202e'; DROP TABLE build; --\n\U0001f600"


def fill(books: Books) -> None:
    """Let something of everything happen."""
    _build(books)
    _queue(books)
    _publish(books)
    _tell(books)
    _audit(books)


def _build(books: Books) -> None:
    store = books.store
    good = succeed(store, commit("good"), minute(1), artifact(), provenance=provenance("dpkg", "gcc"))
    succeed(store, commit("local", trunk=False), minute(2), artifact("local.deb"))
    store.mark_published(good.id, 0.1)
    store.mark_collected([good.id], minute(3))
    end(store, commit("bad"), minute(4))
    end(store, commit("ours", package="glance"), minute(5), Outcome.ERRORED, target=OTHER_TARGET)
    running = start(store, commit("now", extended="abc"), "now", at=minute(6))
    store.set_log(running.id, "now", "builds/5/1/log")
    store.set_buildroot(running.id, "now", 64 * "a")
    lost = start(store, commit("lost"), "lost", at=minute(7))
    store.release(lost.id, CAUSE, minute(8))


def _queue(books: Books) -> None:
    reason = Reason(kind=ReasonKind.DEPENDENCY, detail=HOSTILE, build=1, cascade=2)
    builds = tuple(
        NewBuild(commit=commit(name), target=TARGET, priority=Priority.REBUILD, reason=reason, superseded=why)
        for name, why in (("waits", ""), ("old", HOSTILE), ("cancelled", ""))
    )
    head = Head(package="nova", side=Side.UPSTREAM, url="u", ref=HOSTILE, sha=None, at=minute(9))
    tags = {"nova": Tags(shas={"1.0": sha1("1.0"), HOSTILE: sha1("x")})}
    made = books.queue.apply(Change(builds=builds, heads=(head,), tags=tags), minute(9))
    books.queue.cancel(made[-1], "ada", minute(10))
    books.queue.pause(Pause(scope=Scope(kind=ScopeKind.PACKAGE, name="heat"), actor="ada", note="", at=minute(11)))
    books.queue.set_relations(TARGET, "nova", Relations(requires=("a", "b"), provides=("c",), fingerprint="f"))
    books.watch.polled(
        [Remote(url="u", polled_at=NOON, answered_at=None, failures=2, cause=HOSTILE, next_at=minute(5))]
    )
    books.watch.poke(["nova"], "ada", minute(12))
    new = NewOrder(package="nova", revision=HOSTILE, targets=(TARGET,), actor="ada", at=minute(12))
    for cause in (None, CAUSE):
        books.orders.settle(books.orders.add(new).number, minute(13), builds=[1], cause=cause)


def _publish(books: Books) -> None:
    step = Step(target=TARGET, pointer="tested", before=None, after=commit("good").id)
    move = Move(kind=MoveKind.PROMOTED, actor="ada", note=HOSTILE, evidence={"age": 3.5}, at=minute(13), steps=(step,))
    books.ledger.complete(books.ledger.begin(move), minute(14))
    books.ledger.complete(books.ledger.begin(move), minute(15))
    books.ledger.begin(move)
    for success in (True, None):
        vote = Vote(
            subject=step.after, target="", job="j", success=success, url="u", notes=HOSTILE, user="ci", at=minute(16)
        )
        books.votes.add(vote)
    books.mirrors.failed("backup", TARGET, minute(17), "busy")


def _tell(books: Books) -> None:
    detail = {"names": ["a", HOSTILE], "share": 0.1, "big": 2**60, "none": None, "more": {"ok": True}}
    books.events.record([NewEvent(kind=EventKind.FAILED, summary=HOSTILE, build=3, detail=detail)], minute(18))
    notices = [
        NewNotice(channel=Channel.MAIL, recipient=name, event=1, package="nova", subject="s", body=HOSTILE)
        for name in ("ada", "grace")
    ]
    books.outbox.post(notices, 1, minute(19))
    books.outbox.sent([books.outbox.waiting()[0].id], minute(20))


def _audit(books: Books) -> None:
    deed = Deed(
        at=minute(21),
        actor="ci",
        means=Means.TOKEN,
        address="2001:db8::1",
        action="POST /votes",
        subject=HOSTILE,
        result=Result.REFUSED,
        detail={"status": 403},
    )
    books.audit.record(deed)
