"""What pages have in common and takes long to find out, kept for a moment."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request

_KEPT = 128
_Value = TypeVar("_Value")


@dataclass(slots=True)
class _Place:
    lock: Lock = field(default_factory=Lock)
    version: Hashable = None
    made_at: float = 0.0
    value: Any = None
    filled: bool = False


class Kept:
    """Values that many ask for. While one is made anew, others get the one before: nobody waits for another's work.

    Args:
        monotonic: the time, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    def get(self, key: Hashable, version: Hashable, seconds: float, make: Callable[[], _Value]) -> _Value:
        """A value.

        Args:
            key: which one.
            version: what it depends on: with another version it is made anew.
            seconds: how long it is good with the same version.
            make: makes it.
        """
        place = self._place(key)
        if place.filled and self._is_good(place, version, seconds):
            return cast(_Value, place.value)
        if not place.lock.acquire(blocking=not place.filled):
            return cast(_Value, place.value)
        try:
            if not (place.filled and self._is_good(place, version, seconds)):
                value = make()
                place.version, place.made_at, place.value = version, self._monotonic(), value
                place.filled = True
            return cast(_Value, place.value)
        finally:
            place.lock.release()

    def _is_good(self, place: _Place, version: Hashable, seconds: float) -> bool:
        return place.version == version and self._monotonic() - place.made_at < seconds

    def _place(self, key: Hashable) -> _Place:
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            if len(self._places) > _KEPT:
                self._places.popitem(last=False)
            return place


async def _kept(request: Request) -> Kept:
    return cast(Kept, request.app.state.kept)


# What a route takes to keep things between requests.
Keeping = Annotated[Kept, Depends(_kept)]
