"""Aggregated repository files by their md5: the name by which DLRN's clients vote on a set of components."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Annotated, cast

from fastapi import Depends, Request

from conveyor.web.dlrn.place import Place

# How many of the newest promotions and snapshots are looked at.
PROMOTIONS = 1_000
SNAPSHOTS = 5_000
_MD5 = re.compile(r"[0-9a-f]{32}")


class Aggregates:
    """Finds the snapshot that an md5 stands for. Snapshots never change: each is read once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, Mapping[str, str | None]] = {}

    def of(self, place: Place, commit: str) -> str | None:
        """The md5 of a commit's snapshot; None where it has none, or is not there any more."""
        return place.site.conveyor.tree.aggregate(place.target, commit)

    def commit(self, place: Place, md5: str) -> str | None:
        """The id of the commit whose snapshot an md5 stands for; None where there is none."""
        if not _MD5.fullmatch(md5):
            return None
        found = _first(self._known.get(place.target, {}), md5)
        if found is not None and self.of(place, found) == md5:
            return found
        with self._lock:
            before = self._known.get(place.target, {})
            known = {commit: before.get(commit) or self.of(place, commit) for commit in _there(place)}
            self._known[place.target] = known
        return _first(known, md5)


def _there(place: Place) -> Iterator[str]:
    """Ids of the commits whose snapshots may be there: of promotions first."""
    conveyor = place.site.conveyor
    for entry in conveyor.ledger.promotions(place.target, limit=PROMOTIONS):
        yield entry.step.after
    for snapshot in conveyor.store.published(place.target, limit=SNAPSHOTS):
        if snapshot.collected_at is None:
            yield snapshot.commit


def _first(known: Mapping[str, str | None], md5: str) -> str | None:
    return next((commit for commit, each in known.items() if each == md5), None)


async def _aggregates(request: Request) -> Aggregates:
    return cast(Aggregates, request.app.state.aggregates)


# What a route takes to find aggregates.
Known = Annotated[Aggregates, Depends(_aggregates)]
