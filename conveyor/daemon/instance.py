"""That there is one daemon: a lock in the data directory, and a lease in the store, which other machines see too."""

from __future__ import annotations

import fcntl
import os
import platform
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from conveyor.command import process_started
from conveyor.daemon.log import Log
from conveyor.errors import ConveyorError, DaemonRunning
from conveyor.model.lease import DAEMON, Lease
from conveyor.pipeline.holders import is_gone
from conveyor.ports import Clock, Leases

LOCK = "daemon.lock"
RETRY_SECONDS = 1.0
# How often within the time after which it counts as lost a lease is renewed.
RENEWALS = 5


@contextmanager
def locked(data: Path, *, wait: bool) -> Iterator[None]:
    """Hold the data directory's lock.

    Raises:
        DaemonRunning: another process holds it, and `wait` is not set.
    """
    with (data / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            file.seek(0)
            raise DaemonRunning(
                f"another daemon works with {data}: process {file.read().strip() or 'unknown'}",
                hint="stop it, or say --wait to stand in when it ends",
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


class Held:
    """The daemon's lease, renewed by a thread until it is given back or lost.

    Args:
        leases: where it is.
        clock: the time.
        lost_after: seconds after which a lease that was not renewed can be taken.
        on_loss: is called, in the thread, when another has taken it.
        log: the daemon's.
    """

    def __init__(self, leases: Leases, clock: Clock, lost_after: float, on_loss: Callable[[], None], log: Log) -> None:
        self._leases = leases
        self._clock = clock
        self._lost_after = lost_after
        self._on_loss = on_loss
        self._log = log
        self._token = uuid.uuid4().hex
        self._ended = Event()
        self._thread = Thread(target=self._renew, name="lease", daemon=True)

    def take(self, *, wait: bool) -> None:
        """Take the lease, and keep it from now on.

        Raises:
            DaemonRunning: another daemon has it, and `wait` is not set.
        """
        while (holder := self._try()).token != self._token:
            if not wait:
                raise DaemonRunning(
                    f"another daemon works with this store: process {holder.pid} on {holder.host}",
                    cause=f"it was heard of at {holder.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC",
                    hint="stop it, or say --wait to stand in when it ends",
                )
            self._ended.wait(RETRY_SECONDS)
        self._thread.start()

    def give_back(self) -> None:
        """Let go of the lease."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._leases.release(DAEMON, self._token)

    def _try(self) -> Lease:
        self._clear_dead()
        now, pid = self._clock.now(), os.getpid()
        return self._leases.take(
            Lease(
                name=DAEMON,
                token=self._token,
                host=platform.node(),
                pid=pid,
                process_started=process_started(pid) or 0,
                since=now,
                heartbeat_at=now,
            ),
            lost_after=self._lost_after,
        )

    def _clear_dead(self) -> None:
        """Take the lease from a process of this machine that is gone: nobody needs to wait for it."""
        holder = self._leases.holder(DAEMON)
        if holder is not None and is_gone(holder):
            self._leases.release(DAEMON, holder.token)

    def _renew(self) -> None:
        while not self._ended.wait(self._lost_after / RENEWALS):
            try:
                if not self._leases.renew(DAEMON, self._token, self._clock.now()):
                    self._on_loss()
                    return
            except ConveyorError as error:
                # Who cannot reach the store can neither do harm nor be stood in for: it is tried again.
                self._log.warning("lease not renewed", cause=error.summary)
