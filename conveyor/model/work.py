"""What the daemon and its workers say to each other: one line of JSON at a time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from conveyor.model.build import Outcome, Stage


class Chore(StrEnum):
    """Work that is no build."""

    SETTLE = "settle"  # bring everything to the state that it would have had without a kill
    REFRESH = "refresh"  # make the bases that are due anew
    COLLECT = "collect"  # remove what retention does not keep
    MIRROR = "mirror"  # bring mirrors up to date


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker is to do.

    Attributes:
        build: number of the build to build; None for a chore.
        chore: the chore; None for a build.
    """

    build: int | None = None
    chore: Chore | None = None


class SaidKind(StrEnum):
    """What a worker can say."""

    READY = "ready"  # it takes a task
    CLAIMED = "claimed"  # the build is its
    STAGE = "stage"  # a stage begins
    STAGE_ENDED = "stage-ended"
    ROOT = "root"  # the build has its root
    ENDED = "ended"  # the outcome is recorded
    PUBLISHED = "published"
    NOTE = "note"  # something went well in a chore
    PROBLEM = "problem"  # something did not
    BROKEN = "broken"  # it gives up, and ends
    DONE = "done"  # with the task; it takes the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One line of a worker.

    Attributes:
        kind: what it says.
        build: number of the build that it is about; None for none.
        attempt: the build's attempt; None where there is none.
        stage: the stage that begins or has ended; None for others.
        outcome: the build's; None while it has none.
        seconds: what the stage or attempt took; None while it runs.
        ready: whether all layers of the root were there; None for others.
        text: words for people; may be empty.
        memory: bytes that the worker occupies; 0 where it does not say.
    """

    kind: SaidKind
    build: int | None = None
    attempt: int | None = None
    stage: Stage | None = None
    outcome: Outcome | None = None
    seconds: float | None = None
    ready: bool | None = None
    text: str = ""
    memory: int = 0


def to_line(message: Task | Said) -> str:
    """A message as one line of ASCII."""
    return json.dumps({key: value for key, value in asdict(message).items() if value not in {None, ""}})


def to_task(line: str) -> Task:
    """A task from its line.

    Raises:
        ValueError: it is none.
    """
    found = json.loads(line)
    chore = found.get("chore")
    return Task(build=found.get("build"), chore=None if chore is None else Chore(chore))


def to_said(line: str) -> Said:
    """What a worker said, from its line.

    Raises:
        ValueError: it said nothing that is known.
    """
    found = json.loads(line)
    if not isinstance(found, dict) or "kind" not in found:
        raise ValueError("a worker says what kind of thing it says")
    stage, outcome = found.get("stage"), found.get("outcome")
    return Said(
        kind=SaidKind(found["kind"]),
        build=found.get("build"),
        attempt=found.get("attempt"),
        stage=None if stage is None else Stage(stage),
        outcome=None if outcome is None else Outcome(outcome),
        seconds=found.get("seconds"),
        ready=found.get("ready"),
        text=found.get("text", ""),
        memory=found.get("memory", 0),
    )
