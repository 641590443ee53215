"""Who works on a build: claims of this process, and what becomes of those whose process is gone."""

from __future__ import annotations

import contextlib
import os
import platform
import time
import uuid
from datetime import datetime
from pathlib import Path

from conveyor.command import process_started
from conveyor.errors import ClaimLost
from conveyor.model.build import Build, Claim, Outcome
from conveyor.pipeline.attempt import cause_of, folder_of, throw_away
from conveyor.pipeline.happenings import Happenings
from conveyor.pipeline.holders import is_gone
from conveyor.ports import Clock, Store

KILLED = "the process that built it was killed"
# What dies with its worker so often may be what kills it: it is not built again at once any more.
REBUILDS_AFTER_DEATH = 3
LOST = "the machine that built it was not heard of any more"


class Claims:
    """Takes builds for this process, and takes them from processes that are gone.

    Args:
        store: what happened.
        happenings: says it.
        clock: the time.
        builds: folder with a folder for each build's attempts.
        retries: how often a build whose process died is built anew at once: it may be what kills them.
    """

    def __init__(
        self,
        store: Store,
        *,
        happenings: Happenings,
        clock: Clock,
        builds: Path,
        retries: int = REBUILDS_AFTER_DEATH,
    ) -> None:
        self._store = store
        self._happenings = happenings
        self._clock = clock
        self._builds = builds
        self._retries = retries

    def take(self, build_id: int) -> Build | None:
        """Claim a queued build; None when it is not queued (any more)."""
        pid = os.getpid()
        claim = Claim(
            token=uuid.uuid4().hex,
            host=platform.node(),
            pid=pid,
            process_started=process_started(pid) or 0,
            heartbeat_at=self._clock.now(),
        )
        return self._store.claim(build_id, claim, events=self._happenings.started)

    def release_dead(self) -> None:
        """Put builds whose process on this machine is gone back into the queue."""
        for build in self._store.running():
            if is_dead(build.claim):
                self.release(build)

    def release(self, build: Build, why: str = KILLED) -> None:
        """Put a running build, as it was seen, back into the queue; one that was claimed anew since is left alone."""
        throw_away(folder_of(self._builds, build))
        token = build.claim.token if build.claim else None
        cause, now = cause_of(why), self._clock.now()
        told = self._happenings.ended(build, Outcome.ERRORED, cause, None)
        if token is None or build.errors < self._retries:
            self._store.release(build.id, cause, now, token=token, events=told)
            return
        with contextlib.suppress(ClaimLost):
            self._store.finish(
                build.id,
                token,
                outcome=Outcome.ERRORED,
                at=now,
                version=None,
                cause=cause,
                stages=(),
                entry=None,
                events=told,
            )


class Silence:
    """Notices claims of other machines that are not heard of any more.

    How long ago that was is measured here, by a clock that only goes on: the other machine's may be wrong.

    Args:
        store: what happened.
        seconds: after this time a claim counts as lost.
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._heard: dict[str, tuple[datetime, float]] = {}

    def lost(self) -> tuple[Build, ...]:
        """Builds that run, but of whose machines nothing was heard for so long while this was asked again and again."""
        now = time.monotonic()
        known, self._heard, found = self._heard, {}, []
        for build in self._store.running():
            claim = build.claim
            if claim is None or claim.host == platform.node():
                continue
            beat, since = known.get(claim.token, (claim.heartbeat_at, now))
            if beat != claim.heartbeat_at:
                beat, since = claim.heartbeat_at, now
            self._heard[claim.token] = (beat, since)
            if now - since > self._seconds:
                found.append(build)
        return tuple(found)


def is_dead(claim: Claim | None) -> bool:
    """Whether a claim's process was on this machine, and is gone."""
    return claim is not None and is_gone(claim)
