"""Says of a claim, again and again, that its process is alive: other machines cannot look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from conveyor.errors import ConveyorError
from conveyor.model.build import Build
from conveyor.ports import Clock, Store

BEAT_SECONDS = 15.0


@contextmanager
def beating(store: Store, clock: Clock, build: Build) -> Iterator[None]:
    """Have the claim of a build be heard of until the end of the block."""
    ended = Event()
    thread = Thread(target=_beat, args=(store, clock, build, ended), name=f"heartbeat of build {build.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(store: Store, clock: Clock, build: Build, ended: Event) -> None:
    """Until the end, or until the claim is lost: then finishing the build says so."""
    while not ended.wait(BEAT_SECONDS):
        try:
            alive = build.claim is not None and store.heartbeat(build.id, build.claim.token, clock.now())
        except ConveyorError:
            continue  # the store does not answer: the next beat may be heard
        if not alive:
            return
