"""What people ask of a Conveyor, answered by a server."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from conveyor.client.connection import Connection, open_connection, part
from conveyor.documents.acts import cancelled_from_json, pauses_from_json, rebuilds_from_json
from conveyor.documents.builds import build_from_json
from conveyor.documents.events import event_from_json
from conveyor.documents.ledger import entry_from_json
from conveyor.documents.notices import notices_from_json
from conveyor.documents.orders import ordered_from_json
from conveyor.documents.queue import daemon_from_json, pause_from_json, queue_from_json
from conveyor.documents.snapshots import difference_from_json, listed_from_json, places_from_json, shown_from_json
from conveyor.documents.status import status_from_json
from conveyor.documents.votes import vote_from_json
from conveyor.documents.why import why_from_json
from conveyor.errors import ConveyorError, UnknownName
from conveyor.model.build import Build
from conveyor.model.event import Event, EventKind
from conveyor.model.notice import Notice
from conveyor.model.promotion import LedgerEntry, Vote, VotesWanted
from conveyor.model.published import PublishedSnapshot
from conveyor.model.queue import Pause, Priority, Scope
from conveyor.model.why import Why
from conveyor.pipeline.controls import Cancelled, Rebuilt
from conveyor.pipeline.desk import Desk, Ordered, Promotion, Shown, Status
from conveyor.pipeline.explaining.queueview import QueueState
from conveyor.pipeline.holders import DaemonState
from conveyor.pipeline.looking.travel import Difference, Listed, Then
from conveyor.pipeline.pointing.rollback import Wish
from conveyor.pipeline.pointing.voting import Ballot

EVENTS_AT_ONCE = 500
MOST_ENTRIES = 10_000
MOST_NOTICES = 500
MOST_VOTES = 500


@contextmanager
def open_desk(server: str, token: str | None, transport: httpx.BaseTransport | None = None) -> Iterator[Desk]:
    """A server, let go of at the end.

    Raises:
        UserError: it is no Conveyor server.
        NetworkError: it cannot be reached.
    """
    with open_connection(server, token, transport) as connection:
        yield HttpDesk(connection)


class HttpDesk:
    """See `conveyor.pipeline.desk.Desk`. The server knows who acts by the token.

    Args:
        connection: the server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._urls: dict[int, str] = {}

    def url(self, snapshot: PublishedSnapshot) -> str:
        """See the port. Known of snapshots that the server told of."""
        return self._urls.get(snapshot.build, "")

    def status(self, package: str | None) -> Status:
        """See the port."""
        return status_from_json(self._connection.get("/status", package=package), datetime.now(UTC))

    def why(self, name: str, package: str | None) -> Why:
        """See the port."""
        return why_from_json(self._connection.get("/why", name=name, package=package)["why"])

    def queue(self, package: str | None, target: str | None, limit: int) -> QueueState:
        """See the port."""
        return queue_from_json(self._connection.get("/queue", package=package, target=target, limit=limit))

    def events(
        self, package: str | None, target: str | None, kinds: Collection[EventKind], limit: int
    ) -> tuple[Event, ...]:
        """See the port."""
        found: list[Event] = []
        cursor: str | None = None
        while len(found) < limit:
            page = self._connection.get(
                "/events",
                package=package,
                target=target,
                kind=sorted(kinds),
                cursor=cursor,
                limit=min(limit - len(found), EVENTS_AT_ONCE),
            )
            found += [event_from_json(each) for each in reversed(page["events"])]
            cursor = page["next"]
            if cursor is None:
                break
        return tuple(found)

    def follow(
        self, package: str | None, target: str | None, kinds: Collection[EventKind], after: int
    ) -> Iterator[Event]:
        """See the port."""
        stream = self._connection.stream("/events/stream", after, package=package, target=target, kind=sorted(kinds))
        return map(event_from_json, stream)

    def ledger(self, target: str | None, pointer: str | None, limit: int) -> tuple[LedgerEntry, ...]:
        """See the port. A server tells of the newest MOST_ENTRIES at most."""
        found = self._connection.get("/ledger", target=target, pointer=pointer, limit=min(limit, MOST_ENTRIES))
        return _entries(found)

    def verify_ledger(self, expect: str | None) -> LedgerEntry | None:
        """See the port."""
        last = self._connection.get("/ledger/verification", expect=expect)["last"]
        return entry_from_json(last) if last else None

    def votes(self, commit: str, target: str | None) -> tuple[str, tuple[Vote, ...]]:
        """See the port."""
        found = self._connection.get(f"/votes/{part(commit)}", target=target)
        return found["commit"], tuple(vote_from_json(each, found["commit"]) for each in found["votes"])

    def newest_votes(self, wanted: VotesWanted) -> tuple[Vote, ...]:
        """See the port. A server tells of MOST_VOTES at once."""
        found = self._connection.get(
            "/votes",
            target=wanted.target,
            job=wanted.job,
            success=wanted.success,
            since=wanted.since.isoformat() if wanted.since else None,
            cursor=str(wanted.offset) if wanted.offset else None,
            limit=min(wanted.limit, MOST_VOTES),
        )
        return tuple(vote_from_json(each, each["commit"]) for each in found["votes"])

    def snapshots(self, target: str | None, package: str | None, limit: int) -> tuple[Listed, ...]:
        """See the port."""
        found = self._connection.get("/snapshots", target=target, package=package, limit=limit)
        self._remember(*(each["snapshot"] for each in found["snapshots"]))
        return listed_from_json(found)

    def snapshot(self, named: str, target: str | None) -> Shown:
        """See the port."""
        found = self._connection.get(f"/snapshots/{part(named)}", target=target)
        self._remember(found["snapshot"])
        return shown_from_json(found)

    def places(
        self, target: str | None, at: datetime, pointer: str
    ) -> tuple[tuple[Then, ...], tuple[ConveyorError, ...]]:
        """See the port."""
        found = self._connection.get("/snapshots/at", time=at.isoformat(), pointer=pointer, target=target)
        for place in found["places"]:
            self._remember(*(place[name] for name in ("snapshot", "older", "newer") if place[name]))
        return places_from_json(found), tuple(UnknownName(each) for each in found["missing"])

    def notices(self, limit: int) -> tuple[tuple[Notice, ...], tuple[Notice, ...]]:
        """See the port. A server tells of the newest MOST_NOTICES that were given up."""
        return notices_from_json(self._connection.get("/notices", limit=min(limit, MOST_NOTICES)))

    def difference(self, before: str, after: str, target: str | None) -> Difference:
        """See the port."""
        found = self._connection.get("/snapshots/diff", before=before, after=after, target=target)
        self._remember(found["before"], found["after"])
        return difference_from_json(found)

    def daemon(self) -> DaemonState:
        """See the port."""
        return daemon_from_json(self._connection.get("/queue", limit=0)["daemon"])

    def unfinished(self, package: str, target: str | None, *, waiting: bool) -> tuple[int, ...]:
        """See the port."""
        states = ("queued",) if waiting else ("queued", "running")
        numbers: list[int] = []
        for state in states:
            cursor: str | None = None
            while True:
                page = self._connection.get(
                    "/builds", package=package, target=target, state=state, cursor=cursor, limit=EVENTS_AT_ONCE
                )
                numbers += [each["id"] for each in page["builds"]]
                cursor = page["next"]
                if cursor is None:
                    break
        return tuple(sorted(numbers))

    def cancel(self, build: int, actor: str) -> Cancelled:  # noqa: ARG002 - the token says who
        """See the port."""
        return cancelled_from_json(self._connection.act("POST", f"/builds/{build}/cancel"))

    def retry(self, asked: str, target: str | None, actor: str) -> tuple[Build, ...]:  # noqa: ARG002
        """See the port."""
        return _builds(self._of(asked, "retry", target))

    def rebuild(self, asked: str, target: str | None, actor: str) -> tuple[Rebuilt, ...]:  # noqa: ARG002
        """See the port."""
        return rebuilds_from_json(self._of(asked, "rebuild", target))

    def order(self, package: str, revision: str, targets: Sequence[str], actor: str) -> Ordered:  # noqa: ARG002
        """See the port."""
        wish = {"commit": revision or None, "targets": list(targets)}
        return ordered_from_json(self._connection.act("POST", f"/packages/{part(package)}/builds", wish))

    def ordered(self, number: int) -> Ordered:
        """See the port."""
        return ordered_from_json(self._connection.get(f"/orders/{number}"))

    def prioritize(self, build: int, priority: Priority, actor: str) -> Build:  # noqa: ARG002
        """See the port."""
        wish = {"priority": priority.name.lower()}
        (changed,) = _builds(self._connection.act("PUT", f"/builds/{build}/priority", wish))
        return changed

    def pause(self, scope: Scope, note: str, actor: str) -> tuple[Pause, bool]:  # noqa: ARG002
        """See the port."""
        wish = {"scope": scope.kind, "name": scope.name or None, "note": note}
        found = self._connection.act("POST", "/pauses", wish)
        return pause_from_json(found["pause"]), found["is_new"]

    def resume(self, scope: Scope, actor: str) -> tuple[bool, tuple[Pause, ...]]:  # noqa: ARG002
        """See the port."""
        found = self._connection.act("DELETE", "/pauses", scope=scope.kind, name=scope.name or None)
        return found["resumed"], pauses_from_json(found["pauses"])

    def poll(self, packages: Sequence[str] | None, actor: str) -> tuple[str, ...]:  # noqa: ARG002
        """See the port."""
        wish = {"packages": None if packages is None else list(packages)}
        return tuple(self._connection.act("POST", "/polls", wish)["packages"])

    def vote(self, ballot: Ballot) -> tuple[Vote, tuple[ConveyorError, ...]]:
        """See the port."""
        wish = {
            "job": ballot.job,
            "success": ballot.success,
            "target": ballot.target,
            "url": ballot.url,
            "notes": ballot.notes,
        }
        found = self._connection.act("POST", f"/votes/{part(ballot.commit)}", wish)
        return vote_from_json(found["vote"], found["commit"]), _problems(found)

    def plan(self, promotion: Promotion) -> Mapping[str, tuple[str | None, str]]:
        """See the port."""
        found = self._promote(promotion, dry_run=True)
        return {each["target"]: (each["before"], each["after"]) for each in found["plan"]}

    def promote(self, promotion: Promotion) -> tuple[LedgerEntry, ...]:
        """See the port."""
        return _entries(self._promote(promotion, dry_run=False))

    def rollback(self, wish: Wish) -> tuple[tuple[LedgerEntry, ...], tuple[ConveyorError, ...]]:
        """See the port."""
        asked = {"targets": list(wish.targets), "to": wish.to, "note": wish.note}
        found = self._connection.act("POST", f"/pointers/{part(wish.pointer)}/rollback", asked)
        return _entries(found), _problems(found)

    def _promote(self, promotion: Promotion, *, dry_run: bool) -> Mapping[str, Any]:
        wish = {
            "commit": promotion.commit,
            "targets": list(promotion.targets),
            "note": promotion.note,
            "keep": promotion.keep,
            "dry_run": dry_run,
        }
        return self._connection.act("POST", f"/promotions/{part(promotion.name)}", wish)

    def _of(self, asked: str, act: str, target: str | None) -> Mapping[str, Any]:
        """Do something with a build, or with a package's builds."""
        if asked.isascii() and asked.isdigit():
            return self._connection.act("POST", f"/builds/{asked}/{act}", {"target": target})
        return self._connection.act("POST", f"/packages/{part(asked)}/{act}", {"target": target})

    def _remember(self, *snapshots: Mapping[str, Any]) -> None:
        self._urls |= {each["build"]: each["url"] for each in snapshots if each["url"]}


def _builds(found: Mapping[str, Any]) -> tuple[Build, ...]:
    return tuple(build_from_json(each) for each in found["builds"])


def _entries(found: Mapping[str, Any]) -> tuple[LedgerEntry, ...]:
    return tuple(entry_from_json(each) for each in found["entries"])


def _problems(found: Mapping[str, Any]) -> tuple[ConveyorError, ...]:
    return tuple(ConveyorError(each) for each in found["problems"])
