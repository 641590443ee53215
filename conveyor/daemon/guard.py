"""Keeps what goes wrong in one part of the daemon from the others."""

from __future__ import annotations

import time
from collections.abc import Callable

from conveyor.daemon.log import Log
from conveyor.errors import ConveyorError, Interrupted

# The same trouble of the same job is logged once in so many seconds: it may go on for hours.
AGAIN_SECONDS = 60.0


class Guard:
    """Does what must not end the daemon. For any thread.

    Args:
        log: the daemon's.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._last: dict[str, tuple[str, float]] = {}

    def __call__(self, name: str, work: Callable[[], object]) -> bool:
        """Do something; what goes wrong is logged. Tells whether it went well.

        Args:
            name: what it is called in the log.
            work: what is done.
        """
        try:
            work()
        except Interrupted:
            return False
        except ConveyorError as error:
            if self._is_news(name, error.summary):
                self._log.warning("job failed", job=name, cause=error.summary, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - the outermost loop: a defect of one job is no reason to stop others
            if self._is_news(name, repr(error)):
                self._log.exception("job failed: this is a defect of Conveyor", job=name)
        else:
            self._last.pop(name, None)
            return True
        return False

    def _is_news(self, name: str, trouble: str) -> bool:
        known, at = self._last.get(name, ("", 0.0))
        now = time.monotonic()
        if known == trouble and now - at < AGAIN_SECONDS:
            return False
        self._last[name] = (trouble, now)
        return True
