"""A worker: a process of the daemon's that builds one build after the other, so that its caches stay warm.

It reads a configuration, then tasks, a line each, from standard input, and ends with it. What it has to say goes to
standard output: conveyor/model/work.py.

SIGINT cancels the build that runs, SIGTERM gives it back to the queue and ends the worker. Both reach the stages only:
what comes before and after them is short, and is finished first.
"""

from __future__ import annotations

import atexit
import gc
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from conveyor.command import die_with_parent
from conveyor.errors import ConveyorError, Interrupted
from conveyor.model.build import Build, Stage
from conveyor.model.work import Said, SaidKind, Task, to_line, to_task
from conveyor.pipeline.run import PutBack, Report
from conveyor.ports import Progress
from conveyor.wiring import handover, open_conveyor, upkeep
from conveyor.wiring.conveyor import Conveyor

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

EXIT_BROKEN = 3
Opener = Callable[["Settings", "Repos", Progress, Callable[[], AbstractContextManager[None]]], Conveyor]


class Interruptions:
    """Lets signals into a part of the work, and keeps them from the rest until there."""

    def __init__(self) -> None:
        self.ending = False
        self._working = self._open = False
        self._wanted: type[KeyboardInterrupt] | None = None

    def install(self) -> None:
        """Handle the signals from now on."""
        signal.signal(signal.SIGINT, self._cancel)
        signal.signal(signal.SIGTERM, self._end)

    @contextmanager
    def working(self) -> Iterator[None]:
        """A task: a signal that comes while there is none cancels nothing."""
        self._wanted = None
        self._working = True
        try:
            yield
        finally:
            self._working = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let signals in: as KeyboardInterrupt, or PutBack."""
        self._open = True
        try:
            if self._wanted is not None:
                raise self._wanted
            yield
        finally:
            self._open = False

    def _cancel(self, _number: int, _frame: FrameType | None) -> None:
        if self._working:
            self._want(KeyboardInterrupt)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self.ending = True
        if not self._working:
            sys.exit(0)
        self._want(PutBack)

    def _want(self, what: type[KeyboardInterrupt]) -> None:
        self._wanted = self._wanted or what
        if self._open:
            raise self._wanted


class Voice:
    """Says lines to the daemon; the port Progress on it.

    Args:
        output: where to.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def say(self, said: Said) -> None:
        """Say something."""
        self._output.write(f"{to_line(said)}\n")
        self._output.flush()

    def started(self, build: Build, stage: Stage) -> None:
        """A stage begins: the first means that the build was claimed."""
        if stage is Stage.RENDER:
            self.say(Said(kind=SaidKind.CLAIMED, build=build.id, attempt=build.attempt))
        self.say(Said(kind=SaidKind.STAGE, build=build.id, attempt=build.attempt, stage=stage))

    def ended(self, build: Build, stage: Stage, seconds: float, failed: bool) -> None:
        """A stage has ended."""
        del failed
        self.say(
            Said(
                kind=SaidKind.STAGE_ENDED,
                build=build.id,
                attempt=build.attempt,
                stage=stage,
                seconds=round(seconds, 3),
            )
        )

    def found_root(self, build: Build, *, ready: bool) -> None:
        """The build has its root."""
        self.say(Said(kind=SaidKind.ROOT, build=build.id, attempt=build.attempt, ready=ready))

    def waiting(self, build: Build) -> None:
        """A worker waits for nobody."""


class Worker:
    """Carries out tasks.

    Args:
        conveyor: everything put together.
        voice: says what comes of them.
        interruptions: the signals.
    """

    def __init__(self, conveyor: Conveyor, voice: Voice, interruptions: Interruptions) -> None:
        self._conveyor = conveyor
        self._voice = voice
        self._interruptions = interruptions

    def carry_out(self, task: Task) -> None:
        """Carry out one task, and say so."""
        try:
            with self._interruptions.working():
                if task.build is not None:
                    self._build(task.build)
                elif task.chore is not None:
                    with self._interruptions.open():
                        self._do(task)
        except PutBack:
            text = "stopped" if task.build is None else "given back to the queue"
            self._voice.say(Said(kind=SaidKind.NOTE, build=task.build, text=text))
        except (Interrupted, KeyboardInterrupt) as error:
            self._voice.say(Said(kind=SaidKind.NOTE, build=task.build, text=str(error) or "cancelled"))
        except ConveyorError as error:
            if task.build is not None and self._holds(task.build):
                raise
            self._voice.say(Said(kind=SaidKind.PROBLEM, build=task.build, text=error.summary))
        self._voice.say(Said(kind=SaidKind.DONE, build=task.build, memory=memory()))

    def _build(self, number: int) -> None:
        began = time.monotonic()
        report = self._conveyor.queued.build(number)
        if report is not None:
            self._tell(report, time.monotonic() - began)

    def _holds(self, number: int) -> bool:
        """Whether this process still has the build, which only its own end would then free."""
        claim = self._conveyor.store.build(number).claim
        return claim is not None and (claim.host, claim.pid) == (platform.node(), os.getpid())

    def _tell(self, report: Report, seconds: float) -> None:
        build = report.build
        if report.ran:
            text = build.cause.summary if build.cause is not None else ""
            self._voice.say(
                Said(
                    kind=SaidKind.ENDED,
                    build=build.id,
                    attempt=build.attempt,
                    outcome=build.outcome,
                    seconds=round(seconds, 3),
                    text=text,
                )
            )
        if build.published:
            self._voice.say(Said(kind=SaidKind.PUBLISHED, build=build.id, attempt=build.attempt))

    def _do(self, task: Task) -> None:
        if task.chore is None:
            raise AssertionError("a task without a build is a chore")
        for told in upkeep.carry_out(self._conveyor, task.chore):
            kind = SaidKind.PROBLEM if isinstance(told, ConveyorError) else SaidKind.NOTE
            text = told.summary if isinstance(told, ConveyorError) else told
            self._voice.say(Said(kind=kind, text=text))


def memory() -> int:
    """Bytes that this process occupies: proc_pid_statm(5)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(open_: Opener | None = None) -> None:
    """Work until standard input ends, or SIGTERM.

    Args:
        open_: puts everything together; what is real if None.
    """
    atexit.register(gc.freeze)  # the kernel takes all at once, without looking for garbage
    die_with_parent()
    interruptions = Interruptions()
    interruptions.install()
    voice = Voice(_own_output())
    try:
        configuration = sys.stdin.readline()
        if not configuration:  # the daemon was killed while this process started
            return
        settings, repos = handover.from_line(configuration)
        conveyor = (open_ or _open)(settings, repos, voice, interruptions.open)
        try:
            _work(Worker(conveyor, voice, interruptions), voice, interruptions)
        finally:
            conveyor.close()
    except ConveyorError as error:
        voice.say(Said(kind=SaidKind.BROKEN, text=str(error)))
        sys.exit(EXIT_BROKEN)
    except BrokenPipeError:  # the daemon was killed while this process started: nobody listens
        os._exit(EXIT_BROKEN)
    except Exception:  # noqa: BLE001 - the outermost loop: the daemon hears of it, and releases the build
        voice.say(Said(kind=SaidKind.BROKEN, text=traceback.format_exc()))
        sys.exit(EXIT_BROKEN)


def _work(worker: Worker, voice: Voice, interruptions: Interruptions) -> None:
    voice.say(Said(kind=SaidKind.READY, memory=memory()))
    for line in sys.stdin:
        worker.carry_out(to_task(line))
        if interruptions.ending:
            return


def _open(
    settings: Settings, repos: Repos, progress: Progress, stages_only: Callable[[], AbstractContextManager[None]]
) -> Conveyor:
    return open_conveyor(settings, repos, progress, stages_only=stages_only)


def _own_output() -> TextIO:
    """Standard output, for lines of ours alone: what libraries print goes to standard error from now on."""
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return os.fdopen(own, "w", encoding="utf-8")


if __name__ == "__main__":
    main()
